"""One HTTP/1.1 response: all of it by a deadline and within a bound on its size, or none."""

import re
import socket
from typing import NoReturn

from service.predictors.connecting import seconds_left
from service.predictors.port import PredictorError

MAX_RESPONSE_BYTES = 2**20
"""One row's response takes a few hundred, metadata a few thousand."""

STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?=[ \r]|$)")
FRAMING = re.compile(rb"\r\n(content-length|transfer-encoding):[ \t]*([^\r]*)", re.IGNORECASE)
CLOSE = re.compile(rb"\r\nconnection:[^\r]*\bclose\b", re.IGNORECASE)
LENGTH = re.compile(rb"[0-9]{1,9}[ \t]*")
CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(?:;.*)?")


class Incoming:
    """The bytes that come in on a connection, in answer to one request.

    It is strict (RFC 9112): a response that does not say once and clearly where its body ends is
    rejected, and a connection with a byte too many is not used again.

    Attributes:
        received: how many bytes there were.
    """

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self.received = 0
        self._connection, self._deadline = connection, deadline
        self._unread = bytearray()

    def response(self) -> tuple[int, bytes, bool]:
        """The status, the body, and whether the connection can be used again.

        Raises:
            TimeoutError: the deadline has passed.
            OSError: the connection was closed before the end.
            PredictorError: it is no valid response.
        """
        while True:
            head = self._until(b"\r\n\r\n")
            line = STATUS.match(head)
            if line is None:
                _reject("not an HTTP response")
            if line[2] >= b"200":  # others are interim
                break
        match [(name.lower(), value) for name, value in FRAMING.findall(head)]:
            case []:
                while self._more():
                    pass
                return int(line[2]), bytes(self._unread), False
            case [(b"content-length", length)] if LENGTH.fullmatch(length):
                body = self._take(int(length))
            case [(b"transfer-encoding", coding)] if coding.strip().lower() == b"chunked":
                body = self._chunks()
            case _:
                _reject("a response of unclear length")
        return int(line[2]), body, line[1] == b"1" and not self._unread and not CLOSE.search(head)

    def _chunks(self) -> bytes:
        body = bytearray()
        while size := self._chunk_size():
            body += self._take(size)
            if self._take(2) != b"\r\n":
                _reject("a chunk of another size than announced")
        while self._until(b"\r\n"):  # trailers
            pass
        return bytes(body)

    def _chunk_size(self) -> int:
        line = CHUNK_SIZE.fullmatch(self._until(b"\r\n"))
        if line is None:
            _reject("a chunk without a size")
        return int(line[1], 16)

    def _until(self, end: bytes) -> bytes:
        while (position := self._unread.find(end)) < 0:
            self._need()
        part = bytes(self._unread[:position])
        del self._unread[: position + len(end)]
        return part

    def _take(self, size: int) -> bytes:
        while len(self._unread) < size:
            self._need()
        part = bytes(self._unread[:size])
        del self._unread[:size]
        return part

    def _need(self) -> None:
        if not self._more():
            raise ConnectionResetError("closed before the end of the response")

    def _more(self) -> bool:
        """Whether there was more."""
        self._connection.settimeout(seconds_left(self._deadline))
        data = self._connection.recv(2**16)
        self.received += len(data)
        if self.received > MAX_RESPONSE_BYTES:
            _reject(f"a response of over {MAX_RESPONSE_BYTES} bytes")
        self._unread += data
        return bool(data)


def _reject(fault: str) -> NoReturn:
    raise PredictorError("invalid_response", fault)
