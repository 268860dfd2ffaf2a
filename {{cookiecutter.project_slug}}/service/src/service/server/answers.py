"""What the server answers by itself, before or instead of the application."""

import json
from http import HTTPStatus
from random import getrandbits
from time import gmtime, strftime

from service.errors import MEDIA_TYPE

HEAD = (
    "HTTP/1.1 {status.value} {status.phrase}\r\n"
    f"Content-Type: {MEDIA_TYPE}\r\n"
    "Content-Length: {length}\r\n"
    "X-Request-ID: {request_id}\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"
    "Date: {date}\r\n"
)


def date() -> str:
    """Now, as HTTP writes it."""
    return strftime("%a, %d %b %Y %H:%M:%S GMT", gmtime())


def problem(status: int, detail: str, request_id: str, more: str = "") -> bytes:
    """An answer to a request that failed; `more` are lines of its head, each with its end."""
    known = HTTPStatus(status)
    body = json.dumps(
        {
            "type": "about:blank",
            "title": known.phrase,
            "status": status,
            "detail": detail,
            "request_id": request_id,
        }
    )
    head = HEAD.format(status=known, length=len(body), request_id=request_id, date=date())
    return f"{head}{more}\r\n{body}".encode()


def refusal(status: int, detail: str, request_id: str) -> bytes:
    """A problem behind which the connection is closed."""
    return problem(status, detail, request_id, "Connection: close\r\n")


BUSY = "The service has more to do than it can answer in time; try again."
_ID = "0" * 32
_SHED = problem(503, BUSY, _ID, "Retry-After: 1\r\n")


def shed(close: bool) -> bytes:
    """A request is turned away: made of ready parts, as it has to be cheap just then."""
    answer = _SHED.replace(_ID.encode(), b"%032x" % getrandbits(128))
    return answer.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1) if close else answer
