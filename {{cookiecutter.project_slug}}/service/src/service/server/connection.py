"""One connection: reads a request, has it answered, reads the next."""

import asyncio
import re
import socket
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, cast
from uuid import uuid4

import structlog

from service.context import PROBE_PATHS
from service.server import answers
from service.server.parser import Parser, Refused
from service.server.request import Request

if TYPE_CHECKING:
    from service.server.front import Front

log = structlog.get_logger(__name__)

IDLE_SECONDS = 75.0
"""How long a connection without a request is kept: longer than load balancers keep theirs."""

DRAINING_SECONDS = 1.0
"""The same once the process is to stop."""

LINGER_SECONDS = 1.0
"""How long a caller that was told of the end may go on sending."""

PROBES = tuple(path.encode() for path in PROBE_PATHS)
"""They are answered on the event loop itself: they wait for nothing, so for no thread."""

PROBING = tuple(b"GET %b " % path for path in PROBES)
LENGTH = re.compile(rb"\r\ncontent-length: ?([0-9]{1,9})\r\n")
UNUSUAL = re.compile(rb"^head|transfer-|connection:|expect:")


class Socket(socket.socket):
    """A socket that stays open while a thread may be writing to it.

    Its number would otherwise be given to the next caller, who would read another one's answer.
    """

    in_use = False
    doomed = False

    def close(self) -> None:
        """Close it, or let `free` do it."""
        self.doomed = True
        if not self.in_use:
            super().close()

    def free(self) -> None:
        """No thread writes any more."""
        self.in_use = False
        if self.doomed:
            super().close()


class Connection(asyncio.Protocol):
    """Where a caller's requests arrive; all but `answer` is called by the event loop.

    Attributes:
        gone: whether the caller has left.
        busy: whether a request of it waits, or is being answered.
    """

    transport: asyncio.Transport

    def __init__(self, front: "Front", sock: Socket, peer: str) -> None:
        self.front = front
        self.peer = peer
        self.gone = False
        self.busy = False
        self._socket = sock
        self._parser = Parser(front.max_body)
        self._behind = b""  # what came behind the request under way
        self._began = False  # whether a part of a request has arrived
        self._held = 0  # how many bytes of it
        self._in_head = True
        self._since = monotonic()  # the last change: see `check`
        self._unsent = 0
        self._unread = False  # whether the last answer is still being sent
        self._hung_up = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note it."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(0)
        self.front.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Forget it; what is under way is abandoned."""
        self.gone = True
        self._let_go()
        self.front.forget(self)

    def eof_received(self) -> bool:
        """Whoever sends no more has left: a closed connection looks the same from here."""
        self.gone = True
        return False

    def data_received(self, data: bytes) -> None:
        """Read a request, or keep what comes behind it."""
        if self._hung_up:
            return
        if self.busy or self._behind:
            self._behind += data
            self.transport.pause_reading()
            if not self.busy:  # it was answered just now, by a thread that saw nothing behind
                self._resume()
        elif self._began or not self._turned_away(data):
            self._read(data)

    def answer(self, data: bytes, close: bool) -> None:
        """Send the answer to the request under way; called in a thread.

        It is written here and now: handing it to the event loop would cost as much again.
        """
        try:
            sent = 0 if self.transport.get_write_buffer_size() else self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            sent, close = len(data), True
        if close or sent < len(data):
            self._socket.free()
            self._later(self._finish, data[sent:], close)
            return
        self._since = monotonic()
        self._socket.free()
        self.busy = False  # from here on the event loop may begin the next one
        if self._behind:
            self._later(self._resume)

    def shed(self, close: bool) -> None:
        """Turn the request under way away."""
        self._socket.free()
        self._finish(answers.shed(close), close)

    def check(self, now: float) -> None:
        """Close it if the caller takes too long to send, to read, or to ask again."""
        unsent = self.transport.get_write_buffer_size()
        if unsent and unsent != self._unsent:
            self._since = now
        self._unsent = unsent
        waited = now - self._since
        if unsent:
            if waited > self.front.receive_timeout:
                self.transport.abort()
        elif self._hung_up:
            if waited > LINGER_SECONDS:
                self.transport.close()
        elif self.busy:
            return
        elif self._began:
            if waited > self.front.receive_timeout:
                self._refuse(Refused(408, "The request did not arrive in time."))
        elif waited > self._idle_timeout() and not self._is_asked():
            self.transport.close()

    def _idle_timeout(self) -> float:
        return DRAINING_SECONDS if self.front.draining else self.front.idle_timeout

    def _is_asked(self) -> bool:
        """Whether something has arrived that the event loop, kept busy, has not read yet."""
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except OSError:  # nothing, or the connection is gone
            return False

    def _later(self, call: "object", *arguments: object) -> None:
        try:
            self.front.loop.call_soon_threadsafe(call, *arguments)  # type: ignore[arg-type]
        except RuntimeError:  # the process ends
            self.gone = True

    def _finish(self, rest: bytes, close: bool) -> None:
        """Send the rest of an answer; then close, or read on."""
        if rest:
            self.transport.write(rest)
        self._since = monotonic()
        if close:
            self._hang_up()
        elif self.transport.get_write_buffer_size():
            self._unread = True  # and nothing is read until it is
        else:
            self.busy = False
            if self._behind:
                self.front.loop.call_soon(self._resume)

    def resume_writing(self) -> None:
        """All that was written has been sent."""
        if self._unread:
            self._unread = False
            self._finish(b"", close=False)

    def _hang_up(self) -> None:
        """Close this side, and leave the other to the caller.

        If what the caller still sends met a closed connection, the answer would be lost with it.
        """
        self._hung_up = True
        self.transport.resume_reading()
        with suppress(OSError):  # the caller may have closed both
            if not self.transport.is_closing():
                self.transport.write_eof()

    def _resume(self) -> None:
        if self.busy or self.transport.is_closing() or not self._behind:
            return
        data, self._behind = self._behind, b""
        self.transport.resume_reading()
        self._read(data)

    def _turned_away(self, data: bytes) -> bool:
        """Whether this was answered at once: a look at the process, or one request too many.

        At many times the load that can be borne, this is what most requests cost.
        """
        if data.startswith(PROBING) or not self.front.pool.is_full():
            return False
        head, end, body = data.partition(b"\r\n\r\n")
        head = head.lower() + b"\r\n"
        lengths = LENGTH.findall(head)
        if not end or UNUSUAL.search(head) or b" http/1.1\r\n" not in head:
            return False
        if head.count(b"content-length") != len(lengths) or len(lengths) > 1:
            return False
        if len(body) != int(lengths[0] if lengths else 0):
            return False
        self.front.on_shed("overload")
        self.busy = True
        self.shed(self.front.draining)
        return True

    def _read(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        parser = self._parser
        now = monotonic()
        if not self._began:
            self._began, self._in_head, self._since = True, True, now
        try:
            complete = parser.read(data)
        except Refused as refused:
            self._refuse(refused)
            return
        if complete:
            self._begin(now)
            return
        self._held += len(data)
        if not self.front.hold(len(data)):
            self.front.on_shed("memory")
            self.transport.write(answers.shed(close=True))
            self._end(now)
        elif self._in_head and not parser.in_head:
            self._in_head, self._since = False, now
            if parser.expects and not parser.parts:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _begin(self, now: float) -> None:
        parser = self._parser
        request = Request(
            connection=self,
            arrival=now,
            method=parser.method,
            target=parser.path,
            minor=parser.http_version[1],
            headers=parser.headers,
            body=b"".join(parser.parts),
            keep=parser.should_keep_alive and parser.method != b"CONNECT",
            has_body=parser.is_chunked or parser.content_length is not None,
        )
        self._behind = parser.begin() + self._behind
        self._began = False
        self._let_go()
        self.busy = True
        self._socket.in_use = True
        if request.method == b"GET" and request.target in PROBES:
            self.front.answer(request)
        else:
            self.front.submit(request)

    def _refuse(self, refused: Refused) -> None:
        request_id = uuid4().hex
        log.info("refused", status=refused.status, detail=str(refused), request_id=request_id)
        self.transport.write(answers.refusal(refused.status, str(refused), request_id))
        self._end(monotonic())

    def _end(self, now: float) -> None:
        """Read no more; what had arrived is of no use."""
        self._parser = Parser(self.front.max_body)
        self._let_go()
        self._since = now
        self._hang_up()

    def _let_go(self) -> None:
        self.front.hold(-self._held)
        self._held = 0
