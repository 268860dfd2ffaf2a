"""HTTP/1.1 byte for byte, as RFC 9110 and 9112 word it: what the suites of both servers send."""

import json
import re
import socket
import time
from dataclasses import dataclass
from pathlib import Path

PATIENCE_SECONDS = 30
"""How long to wait for what is sure to come."""

NONE = b"0\r\n\r\n"
"""A body in chunks, without any."""


@dataclass
class Requests:
    """Makes requests.

    Attributes:
        path: where a POST goes.
        body: what such a POST sends.
        usual: lines of every head, each with its end.
    """

    path: str
    body: bytes
    usual: str = ""

    def whole(
        self,
        method: str = "POST",
        path: str = "",
        headers: str = "",
        body: bytes | None = None,
        version: str = "1.1",
    ) -> bytes:
        """A request; `headers` end with CRLF each, a body brings its length along.

        A POST has the usual body unless it is given one, or headers that frame it.
        """
        if body is None and method == "POST" and "Transfer-Encoding" not in headers:
            body = self.body
        if body is not None:
            headers += f"Content-Length: {len(body)}\r\n"
        path = path or self.path
        lines = f"{method} {path} HTTP/{version}\r\nHost: model\r\n{self.usual}{headers}\r\n"
        return lines.encode("latin-1") + (body or b"")

    def chunked(self, *chunks: bytes, last: bytes = NONE) -> bytes:
        """A request whose body comes in chunks."""
        framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
        return self.whole(headers="Transfer-Encoding: chunked\r\n") + framed + last

    def head(self, *lines: str, line: str = "") -> bytes:
        """A request's head, word for word."""
        line = line or f"POST {self.path} HTTP/1.1"
        said = "\r\n".join([line, "Host: model", *self.usual.splitlines(), *lines])
        return f"{said}\r\n\r\n".encode("latin-1")

    def refused(self) -> dict[str, tuple[bytes, int]]:
        """What is malformed or ambiguous, and the status of the refusal."""
        head, chunked, body = self.head, self.chunked, self.body
        return {
            "length and chunks": (
                head("Content-Length: 5", "Transfer-Encoding: chunked") + NONE,
                400,
            ),
            "chunks and length": (
                head("Transfer-Encoding: chunked", "Content-Length: 5") + NONE,
                400,
            ),
            "two lengths": (head("Content-Length: 4", "Content-Length: 5"), 400),
            "a list of lengths": (head("Content-Length: 4, 5"), 400),
            "a negative length": (head("Content-Length: -1"), 400),
            "a signed length": (head("Content-Length: +4"), 400),
            "a length in words": (head("Content-Length: four"), 400),
            "an underscore in a length": (head("Content-Length: 1_0"), 400),
            "a length in hexadecimal": (head("Content-Length: 0x4"), 400),
            "no length": (head("Content-Length: "), 400),
            "a folded header": (head("X-Long: a", " b"), 400),
            "a folded length": (head("Content-Length:", " 4"), 400),
            "a space behind a name": (head("Content-Length : 4"), 400),
            "a space before a name": (head(" Content-Length: 4"), 400),
            "no name": (head(": 4"), 400),
            "no colon": (head("Content-Length 4"), 400),
            "a NUL": (head("X-Nul: a\0b"), 400),
            "a bare CR": (head("X-Cr: a\rb"), 400),
            "a bare LF": (head("X-Lf: a\nX-Other: b"), 400),
            "bare LFs": (head("Content-Length: 0").replace(b"\r\n", b"\n"), 400),
            "two hosts": (head("Host: other"), 400),
            "chunks twice": (head(*["Transfer-Encoding: chunked"] * 2) + NONE, 400),
            "chunks not last": (head("Transfer-Encoding: chunked, gzip") + NONE, 400),
            "no chunks at last": (head("Transfer-Encoding: gzip") + NONE, 400),
            "an unknown coding": (head("Transfer-Encoding: xchunked") + NONE, 501),
            "a coding behind a VT": (head("Transfer-Encoding:\x0bchunked") + NONE, 400),
            "chunks in HTTP/1.0": (
                head(
                    "Transfer-Encoding: chunked", "Connection: keep-alive", line="POST /v2 HTTP/1.0"
                )
                + NONE,
                400,
            ),
            "an old protocol": (head(line="GET / HTTP/0.9"), 400),
            "a new protocol": (head(line="GET / HTTP/2.0"), 400),
            "no protocol": (head(line="GET /"), 400),
            "two spaces": (head(line="GET  / HTTP/1.1"), 400),
            "a space in the path": (head(line="GET /a b HTTP/1.1"), 400),
            "a control character in the path": (head(line="GET /a\x01 HTTP/1.1"), 400),
            "a small method": (head(line="get / HTTP/1.1"), 400),
            "an odd method": (head(line="G@T / HTTP/1.1"), 400),
            "TLS": (bytes.fromhex("16030100c8010000c40303") + b"\r\n" * 20, 400),
            "a long request line": (head(line=f"GET /{'x' * 9000} HTTP/1.1"), 414),
            "an endless request line": (b"GET /" + b"x" * 9000, 414),
            "a long header": (head(f"X-Long: {'x' * 9000}"), 431),
            "an endless header": (head()[:-2] + b"X-Long: " + b"x" * 9000, 431),
            "many headers": (head(*["X-Many: 1"] * 101), 431),
            "a chunk size in words": (chunked(last=b"zz\r\n"), 400),
            "a negative chunk size": (chunked(last=b"-1\r\n"), 400),
            "an empty chunk size": (chunked(last=b"\r\n"), 400),
            "a chunk size with 0x": (chunked(last=b"0x1\r\nx\r\n"), 400),
            "a space before a chunk size": (chunked(last=b" 1\r\nx\r\n"), 400),
            "a bare LF behind a chunk size": (chunked(last=b"1\nx\r\n"), 400),
            "a chunk that is longer than it says": (chunked(last=b"1\r\nxy\r\n0\r\n\r\n"), 400),
            "no CRLF behind a chunk": (chunked(last=b"1\r\nxab0\r\n\r\n"), 400),
            "a bare CR in an extension": (chunked(last=b"1;a\rb\r\nx\r\n"), 400),
            "an endless chunk size": (chunked(last=b"0" * 9000), 400),
            "an endless extension": (chunked(last=b"1;" + b"x" * 9000), 400),
            "a length in a trailer": (chunked(body, last=b"0\r\nContent-Length: 4\r\n\r\n"), 400),
            "many trailers": (chunked(body, last=b"0\r\n" + b"X-T: 1\r\n" * 200 + b"\r\n"), 431),
        }


@dataclass
class Answer:
    """A response, its header names in lower case."""

    version: str
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """Which request it answers."""
        return str(json.loads(self.body)["id"])


class Connection:
    """A connection that sends what it is told, and believes nothing of what it reads."""

    def __init__(self, at: int | Path) -> None:
        self.socket = socket.socket(socket.AF_INET if isinstance(at, int) else socket.AF_UNIX)
        self.socket.settimeout(PATIENCE_SECONDS)
        self.socket.connect(("127.0.0.1", at) if isinstance(at, int) else str(at))
        if isinstance(at, int):
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""

    def send(self, *segments: bytes, pause: float = 0.002) -> None:
        """Send each segment by itself."""
        for number, segment in enumerate(segments):
            if number:
                time.sleep(pause)
            self.socket.sendall(segment)

    def answer(self, has_body: bool = True) -> Answer:
        """The next response, whose framing has to be exact.

        Raises:
            EOFError: the server closed the connection instead.
        """
        while b"\r\n\r\n" not in self._read:
            self._receive()
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        line, *lines = head.decode("ascii").split("\r\n")
        found = re.fullmatch(r"HTTP/(1\.[01]) (\d{3}) [\w -]+", line)
        assert found, line
        pairs = [re.fullmatch(r"([\w-]+): ([ -~]*)", line) for line in lines]
        assert all(pairs), lines
        headers = {pair[1].lower(): pair[2] for pair in pairs if pair}
        assert len(headers) == len(lines)
        assert "transfer-encoding" not in headers
        status = int(found[2])
        length = int(headers["content-length"]) if has_body and status >= 200 else 0
        while len(self._read) < length:
            self._receive()
        body, self._read = self._read[:length], self._read[length:]
        return Answer(found[1], status, headers, body)

    def ask(self, *segments: bytes) -> Answer:
        """Send, and read the response."""
        self.send(*segments)
        return self.answer()

    def is_closed(self) -> bool:
        """Whether the server closes the connection, and sends nothing before it does."""
        try:
            self._receive()
        except (EOFError, ConnectionError):
            return not self._read
        except TimeoutError:
            pass
        return False

    def close(self) -> None:
        """Leave."""
        self.socket.close()

    def _receive(self) -> None:
        received = self.socket.recv(65536)
        if not received:
            raise EOFError
        self._read += received
