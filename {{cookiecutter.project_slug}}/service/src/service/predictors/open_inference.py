"""The Open Inference Protocol over HTTP: a private server on a socket, or one on the network."""

import io
import json
import select
import socket
import ssl
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.client import HTTPException, HTTPResponse, IncompleteRead
from time import monotonic
from typing import Any
from urllib.parse import unquote, urlsplit

from contract import MODEL_NAME, Features
from service.predictors.messages import answer_of, check_metadata, request_of
from service.predictors.port import Answer, PredictorError

MAX_RESPONSE_BYTES = 2**20
"""One row's response takes a few hundred, metadata a few thousand."""


class OpenInference:
    """A client that keeps its connections open, as many as there are calls at a time.

    Args:
        url: `http://host:port`, `https://host:port` or `http+unix://path`; a path that names
            another model (`…/v2/models/NAME`) is taken as it is.
        token: sent as a bearer token.
        connections: how many to keep open.

    Raises:
        ValueError: the URL is none of these.
    """

    def __init__(self, url: str, *, token: str | None, connections: int) -> None:
        self._connect, host, path = _server(url)
        self._path = path if "/v2/models/" in path else f"{path}/v2/models/{MODEL_NAME}"
        self._headers = {
            "Host": host,
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
        }
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._connections = connections
        self._idle: list[socket.socket] = []
        weakref.finalize(self, _close, self._idle)

    def open(self) -> None:
        """See `Predictor.open`; connections are made on the first call."""

    def predict(self, features: Features, request_id: str, deadline: float) -> Answer:
        """See `Predictor.predict`."""
        body = json.dumps(request_of(features, request_id)).encode()
        headers = {"X-Request-ID": request_id}
        path = f"{self._path}/infer"
        return answer_of(self._call("POST", path, headers, body, deadline), request_id)

    def check(self, deadline: float) -> None:
        """See `Predictor.check`."""
        check_metadata(self._call("GET", self._path, {}, b"", deadline))

    def _call(
        self, method: str, path: str, headers: dict[str, str], body: bytes, deadline: float
    ) -> Any:
        try:
            status, answer = self._send(self._request(method, path, headers, body), deadline)
        except TimeoutError:
            raise PredictorError("timeout", "no answer by the deadline") from None
        except (OSError, HTTPException) as error:
            raise PredictorError("unreachable", f"connection failed: {error!s:.200}") from None
        except ValueError:  # of the request's head, and with the token in its message
            fault = "the request cannot be sent: check MODEL_URL and MODEL_TOKENS"
            raise PredictorError("error", fault) from None
        if status in (401, 403):
            fault = f"the model server answered {status}: compare MODEL_TOKENS on both sides"
            raise PredictorError("unauthorized", fault)
        if status != 200:
            raise PredictorError("error", f"the model server answered {status}")
        try:
            return json.loads(answer)
        except (ValueError, RecursionError):
            raise PredictorError("invalid_response", "the answer is not JSON") from None

    def _request(self, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
        headers = {**self._headers, **headers, "Content-Length": str(len(body))}
        lines = [f"{method} {path} HTTP/1.1", *map(": ".join, headers.items())]
        if not all(map(str.isprintable, lines)):
            raise ValueError("a line break, which would begin another header")
        return "\r\n".join([*lines, "", ""]).encode("ascii") + body

    def _send(self, request: bytes, deadline: float) -> tuple[int, bytes]:
        if kept := self._kept():
            incoming = _Incoming(kept, deadline)
            try:
                return self._exchange(request, incoming)
            except OSError:
                # The server has closed an idle connection just as we used it. A prediction
                # changes nothing, so it may be asked for again, on a new connection.
                if incoming.size or monotonic() > deadline:
                    raise
        return self._exchange(request, _Incoming(self._connect(deadline), deadline))

    def _kept(self) -> socket.socket | None:
        with suppress(IndexError):
            while connection := self._idle.pop():  # the last one used, so that few stay in use
                poll = select.poll()
                poll.register(connection, select.POLLIN)
                if not poll.poll(0):
                    return connection
                connection.close()  # the server has closed it, or sent what was not asked for
        return None

    def _exchange(self, request: bytes, incoming: "_Incoming") -> tuple[int, bytes]:
        connection, keep = incoming.connection, False
        try:
            connection.settimeout(_left(incoming.deadline))
            connection.sendall(request)
            # All that it needs of a socket is makefile.
            with HTTPResponse(incoming) as response:  # type: ignore[arg-type]
                response.begin()
                answer = response.read(MAX_RESPONSE_BYTES)
                if response.length:
                    raise IncompleteRead(answer, response.length)
                keep = response.isclosed() and not response.will_close
        finally:
            if keep and len(self._idle) < self._connections:
                self._idle.append(connection)
            else:
                connection.close()
        return response.status, answer


class _Incoming(io.RawIOBase):
    """The bytes of one answer, with a limit on their number and a deadline."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self.connection, self.deadline, self.size = connection, deadline, 0

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.connection.settimeout(_left(self.deadline))
        size = self.connection.recv_into(buffer)
        self.size += size
        if self.size > MAX_RESPONSE_BYTES:
            fault = f"an answer of over {MAX_RESPONSE_BYTES} bytes"
            raise PredictorError("invalid_response", fault)
        return size


def _close(connections: list[socket.socket]) -> None:
    for connection in connections:
        connection.close()


def _left(deadline: float) -> float:
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _server(url: str) -> tuple[Callable[[float], socket.socket], str, str]:
    """How to connect to a server by a deadline, its host, and the path before every other."""
    scheme, _, rest = url.partition("://")
    if scheme == "http+unix":
        if not rest:
            raise ValueError("it needs the path of a socket: http+unix://path")
        address = socket.AF_UNIX, unquote(rest)
        return lambda deadline: _first([address], deadline), "localhost", ""
    parts = urlsplit(url)
    host, port = parts.hostname, parts.port or (443 if scheme == "https" else 80)
    if not host or "@" in parts.netloc or parts.query or parts.fragment or " " in parts.path:
        raise ValueError("it must look like http://host:port")
    tls = ssl.create_default_context() if scheme == "https" else None

    def connect(deadline: float) -> socket.socket:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        connection = _first([(family, address) for family, *_, address in found], deadline)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is None:
            return connection
        # The handshake comes with the request, and so has its deadline.
        return tls.wrap_socket(connection, do_handshake_on_connect=False, server_hostname=host)

    return connect, parts.netloc, parts.path.rstrip("/")


def _first(addresses: Sequence[tuple[int, Any]], deadline: float) -> socket.socket:
    """A connection to the first address that takes one."""
    for each in addresses:
        connection = socket.socket(each[0], socket.SOCK_STREAM)
        try:
            connection.settimeout(_left(deadline))
            connection.connect(each[1])
            return connection
        except OSError:
            connection.close()
            if each is addresses[-1]:
                raise
    raise OSError("the host has no address")
