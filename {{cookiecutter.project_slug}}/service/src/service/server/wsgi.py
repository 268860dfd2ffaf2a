"""A request as WSGI has it (PEP 3333), and its answer as bytes."""

import re
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from service.context import ABANDONED, ARRIVAL
from service.server import answers
from service.server.request import Request

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

ORIGIN = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?]*")
"""What stands before the path where a caller sends an address with a host."""

BODILESS = ("204", "304")
"""Statuses of answers without a body."""


@lru_cache(256)
def _key(name: bytes) -> str | None:
    """The key of a header; None for one that could be mistaken for another."""
    text = name.decode("latin-1").upper()
    if "_" in text:
        return None
    key = text.replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def environ_of(request: Request) -> dict[str, Any]:
    """The environment; nothing in it that says who or where we are comes from the caller."""
    target = request.target.decode("latin-1")
    if not target.startswith("/"):
        target = ORIGIN.sub("", target)
    path, _, query = target.partition("?")
    path = path or "/"
    if "%" in path:
        path = unquote_to_bytes(path).decode("latin-1")
    environ: dict[str, Any] = {}
    for name, value in request.headers:
        if key := _key(name):
            text = value.decode("latin-1")
            environ[key] = f"{environ[key]},{text}" if key in environ else text
    environ.update(
        {
            "REQUEST_METHOD": request.method.decode("latin-1"),
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_LENGTH": str(len(request.body)),
            "SERVER_NAME": request.here[0],
            "SERVER_PORT": str(request.here[1]),
            "SERVER_PROTOCOL": f"HTTP/1.{request.minor}",
            "REMOTE_ADDR": request.there,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(request.body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            ARRIVAL: request.arrival,
            ABANDONED: request.is_abandoned,
        }
    )
    environ.pop("HTTP_TRANSFER_ENCODING", None)  # the body is whole, and its length known
    if not request.has_body:
        del environ["CONTENT_LENGTH"]
    return environ


def answer(application: Application, request: Request) -> tuple[bytes, bool]:
    """The application's whole answer, and whether it says that the connection is closed."""
    begun: list[Any] = []

    def start(status: str, headers: list[tuple[str, str]], _fault: object = None) -> object:
        begun[:] = status, headers
        return begun.append  # PEP 3333's `write`, which nothing here calls

    parts = application(environ_of(request), start)
    try:
        body = b"".join(parts)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    status, headers = begun
    lines = [f"HTTP/1.{request.minor} {status}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in headers]
    has_length = any(name.lower() == "content-length" for name, _ in headers)
    if not (has_length or status.startswith(BODILESS)):
        lines.append(f"Content-Length: {len(body)}\r\n")
    if close := request.closes():
        lines.append("Connection: close\r\n")
    elif not request.minor:
        lines.append("Connection: keep-alive\r\n")
    lines.append(f"Date: {answers.date()}\r\n\r\n")
    if request.method == b"HEAD" or status.startswith(BODILESS):
        body = b""
    return "".join(lines).encode("latin-1") + body, close
