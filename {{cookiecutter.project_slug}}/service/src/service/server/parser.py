"""gunicorn's parser of HTTP/1.1, with quicker checks of characters."""

import re

from gunicorn.asgi import parser

METHOD = re.compile(rb"[A-Z0-9!$%&'*+.^_`|~-]{3,20}")
TOKEN = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")

VERSION = re.compile(r"HTTP/[0-9]\.[0-9]")

MAX_HEAD = 2**16
"""Bytes that the head of a request may have."""

MAX_CHUNKS = 2**14
"""Chunks in which a body may arrive."""


class Refused(Exception):
    """A request that is not answered by the application.

    Attributes:
        status: of the answer.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Parser(parser.PythonProtocol):  # type: ignore[misc]
    """Reads one request after the other; `parts` is the body as far as it has arrived.

    Args:
        max_body: bytes that a body may have.
    """

    def __init__(self, max_body: int) -> None:
        super().__init__(on_headers_complete=self._check_head, on_body=self._take)
        self._max_body = max_body
        self.begin()

    def begin(self) -> bytes:
        """Make ready for the next request; returns what has already arrived of it."""
        rest: bytes = self.remaining()
        if self.is_complete:
            self.reset()
        self.parts: list[bytes] = []
        self._body = self._fed = 0
        self.expects = False
        return rest

    def read(self, data: bytes) -> bool:
        """Whether the request is complete, with this.

        Raises:
            Refused: it is malformed, too large, or asks for what there is not.
        """
        self._fed += len(data)
        try:
            self.feed(data)
        except parser.LimitRequestLine:
            raise Refused(414, "The address is too long.") from None
        except parser.LimitRequestHeaders:
            raise Refused(431, "The head of the request is too large.") from None
        except parser.UnsupportedTransferCoding:
            raise Refused(501, "The body is encoded in an unknown way.") from None
        except (parser.ParseError, ValueError) as error:
            if isinstance(error, parser.InvalidHTTPVersion) and VERSION.fullmatch(str(error)):
                raise Refused(505, "The protocol must be HTTP/1.0 or HTTP/1.1.") from None
            raise Refused(400, "The request is not HTTP as RFC 9112 has it.") from None
        if self.in_head and self._fed > MAX_HEAD:
            raise Refused(431, "The head of the request is too large.")
        return bool(self.is_complete)

    @property
    def in_head(self) -> bool:
        """Whether the head is not complete yet."""
        return self._state in ("request_line", "headers")

    def _check_head(self) -> bool:
        names = {name for name, _ in self.headers}
        if b"host" not in names and self.http_version == (1, 1):
            raise Refused(400, "The request names no Host.")
        if b"upgrade" in names and self._upgrades():
            raise Refused(403, "There are no WebSockets here.")
        if self.content_length and self.content_length > self._max_body:
            raise self._too_large()
        if b"expect" in names and self.http_version == (1, 1):
            values = [value.lower() for name, value in self.headers if name == b"expect"]
            self.expects = values == [b"100-continue"]
        return False

    def _upgrades(self) -> bool:
        return any(
            name == b"upgrade" and value.lower() == b"websocket" for name, value in self.headers
        )

    def _take(self, part: bytes) -> None:
        self.parts.append(part)
        self._body += len(part)
        if self._body > self._max_body or (self.is_chunked and len(self.parts) > MAX_CHUNKS):
            raise self._too_large()

    def _too_large(self) -> Refused:
        return Refused(413, f"The body must not have more than {self._max_body} bytes.")

    def _is_valid_method(self, method: bytes) -> bool:
        return METHOD.fullmatch(method) is not None

    def _is_valid_token(self, data: bytes) -> bool:
        return TOKEN.fullmatch(data) is not None

    def _has_invalid_header_chars(self, value: bytes) -> bool:
        return VALUE.fullmatch(value) is None
