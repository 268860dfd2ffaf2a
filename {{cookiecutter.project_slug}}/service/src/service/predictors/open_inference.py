"""The Open Inference Protocol over HTTP: a private server on a socket, or one on the network."""

import json
import select
import socket
import ssl
import weakref
from collections.abc import Mapping
from contextlib import suppress
from time import sleep
from typing import Any, NamedTuple

from contract import MODEL_NAME, Features
from service.context import RequestContext
from service.predictors.access import Access
from service.predictors.connecting import seconds_left, server_of
from service.predictors.incoming import Incoming
from service.predictors.messages import answer_of, check_metadata, request_of, self_test_of
from service.predictors.port import Answer, PredictorError, Reason, SelfTest, Topic

DEADLINE_HEADER = "X-Request-Timeout-Ms"
"""Whole milliseconds that are left: a relative time, since clocks differ."""

RETRIED = (ConnectionError, FileNotFoundError, BlockingIOError, ssl.SSLEOFError)
"""Failures of a connection after which a request is sent again, if no byte of an answer came.

Refused, reset, closed; no socket at the path; more connections than the socket's queue takes.
"""

RETRY_SHARE = 0.1
"""Calls may be sent a second time for this share of all calls,"""

RETRY_RESERVE = 10
"""and so many at once."""

RETRY_PAUSE_SECONDS = 0.05
"""What a server that could not be connected to gets before the second attempt, at most."""


class OpenInference:
    """A client that keeps its connections open, as many as there are calls at a time.

    Args:
        url: `http://host:port`, `https://host:port` or `http+unix://path`; a path that names
            another model (`…/v2/models/NAME`) is taken as it is.
        access: what it shows, and what it asks to be shown.
        connections: how many to keep open.

    Raises:
        ValueError: the URL is none of these, or may not be called in this way.
    """

    def __init__(self, url: str, *, access: Access, connections: int) -> None:
        self._connect, host, path = server_of(url, access)
        root, _, name = path.partition("/v2/models/")
        self._root, self._path = root, f"{root}/v2/models/{name or MODEL_NAME}"
        self._headers = {
            "Host": host,
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
        }
        self._tokens = access.tokens
        self._accepted = ""
        self._retries = float(RETRY_RESERVE)
        self._connections = connections
        self._idle: list[socket.socket] = []
        weakref.finalize(self, _close, self._idle)

    def open(self) -> None:
        """See `Predictor.open`; connections are made on the first call."""

    def predict(self, features: Features, context: RequestContext) -> Answer:
        """See `Predictor.predict`."""
        body = json.dumps(request_of(features, context.request_id)).encode()
        headers = {"X-Request-ID": context.request_id, **context.trace.headers()}
        request = _Request(f"POST {self._path}/infer", headers, body, context.deadline)
        return answer_of(_parse(self._call(request)), context.request_id)

    def check(self, deadline: float) -> None:
        """See `Predictor.check`."""
        check_metadata(self._metadata(deadline))

    def self_test(self, deadline: float) -> SelfTest:
        """See `Predictor.self_test`."""
        return self_test_of(self._metadata(deadline))

    def _metadata(self, deadline: float) -> Any:
        return _parse(self._call(_Request(f"GET {self._path}", {}, b"", deadline)))

    def query(self, topic: Topic, deadline: float, row: Features | None = None) -> bytes | None:
        """See `Predictor.query`."""
        line, body = f"GET {self._root}/{topic}", b""
        if row:
            line, body = f"POST {self._path}/{topic}", json.dumps(request_of(row, "")).encode()
        return self._call(_Request(line, {}, body, deadline), missing=b"") or None

    def _call(self, request: "_Request", missing: bytes | None = None) -> bytes:
        """The body of the answer; `missing` in place of a 404, if it is given."""
        try:
            status, answer = self._authorized(request)
        except TimeoutError:
            raise PredictorError("timeout", "no answer by the deadline") from None
        except OSError as error:
            raise PredictorError("unreachable", f"connection failed: {error!s:.200}") from None
        except ValueError:  # of the request's head, and with the token in its message
            fault = "the request cannot be sent: check MODEL_URL and MODEL_TOKENS"
            raise PredictorError("error", fault) from None
        if status in (401, 403):
            fault = f"the model server answered {status}: compare MODEL_TOKENS on both sides"
            raise PredictorError("unauthorized", fault)
        if status == 404 and missing is not None:
            return missing
        if status != 200:
            reason: Reason = "overloaded" if status == 503 else "error"
            raise PredictorError(reason, f"the model server answered {status}")
        return answer

    def _authorized(self, request: "_Request") -> tuple[int, bytes]:
        """The answer to the first token that is accepted, beginning with the one that was."""
        tokens = sorted(self._tokens(), key=lambda token: token != self._accepted)
        for token in tokens:
            authorization = {"Authorization": f"Bearer {token}"}
            status, answer = self._send(request.with_headers({**self._headers, **authorization}))
            if status != 401:
                self._accepted = token
            if status != 401 or token is tokens[-1]:
                return status, answer
        return self._send(request.with_headers(self._headers))

    def _send(self, request: "_Request") -> tuple[int, bytes]:
        self._retries = min(self._retries + RETRY_SHARE, RETRY_RESERVE)
        kept = self._kept()
        try:
            return self._exchange(request, kept or self._connect(request.deadline))
        except RETRIED:
            if self._retries < 1:
                raise
        self._retries -= 1
        if not kept:  # one that was kept may have been closed just as it was used
            sleep(min(RETRY_PAUSE_SECONDS, seconds_left(request.deadline) / 2))
        return self._exchange(request, self._connect(request.deadline))

    def _kept(self) -> socket.socket | None:
        with suppress(IndexError):
            while connection := self._idle.pop():  # the last one used, so that few stay in use
                poll = select.poll()
                poll.register(connection, select.POLLIN)
                if not poll.poll(0):
                    return connection
                connection.close()  # the server has closed it, or sent what was not asked for
        return None

    def _exchange(self, request: "_Request", connection: socket.socket) -> tuple[int, bytes]:
        incoming, keep = Incoming(connection, request.deadline), False
        try:
            unsent = memoryview(request.encode())
            while unsent:
                connection.settimeout(seconds_left(request.deadline))
                unsent = unsent[connection.send(unsent) :]
            status, answer, keep = incoming.response()
        except RETRIED as error:
            if incoming.received:  # answered in part: not to be asked again
                raise OSError(str(error)) from None
            raise
        finally:
            if keep and len(self._idle) < self._connections:
                self._idle.append(connection)
            else:
                connection.close()
        return status, answer


class _Request(NamedTuple):
    """What to send by when."""

    line: str
    headers: Mapping[str, str]
    body: bytes
    deadline: float

    def with_headers(self, headers: Mapping[str, str]) -> "_Request":
        """The same with more headers."""
        return self._replace(headers={**headers, **self.headers})

    def encode(self) -> bytes:
        """The bytes to send now; raises TimeoutError after the deadline, ValueError for a head."""
        headers = {
            **self.headers,
            DEADLINE_HEADER: str(int(seconds_left(self.deadline) * 1000)),
            "Content-Length": str(len(self.body)),
        }
        lines = [f"{self.line} HTTP/1.1", *map(": ".join, headers.items())]
        if not all(map(str.isprintable, lines)):
            raise ValueError("a line break, which would begin another header")
        return "\r\n".join([*lines, "", ""]).encode("ascii") + self.body


def _parse(answer: bytes) -> Any:
    try:
        return json.loads(answer)
    except (ValueError, RecursionError):
        raise PredictorError("invalid_response", "the answer is not JSON") from None


def _close(connections: list[socket.socket]) -> None:
    for connection in connections:
        connection.close()
