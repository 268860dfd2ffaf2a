"""`model-check`: whether the server at MODEL_URL answers; an orchestrator restarts it if not.

Of the standard library alone, since it runs every few seconds: reading the settings as the server
does would take fifteen times the CPU, and 25 MiB more of its container's memory.
"""

import os
import socket
import ssl
import sys
from urllib.parse import unquote, urlsplit

SECONDS = 4.0
"""How long each step may take."""
REQUEST = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def main() -> None:
    """Exit with status 0 if the server answers, else with 1 and the reason."""
    try:
        check(os.environ.get("MODEL_URL", ""))
    except (OSError, ValueError) as error:
        sys.exit(f"model-check: {error}")


def check(url: str) -> None:
    """Ask the server at this URL whether it lives.

    Raises:
        OSError, ValueError: it does not say so.
    """
    family, address = _address(url)
    with socket.socket(family) as connection:
        connection.settimeout(SECONDS)
        connection.connect(address)
        if url.startswith("https:"):
            _shake_hands(connection)
            return
        connection.sendall(REQUEST)
        answer = connection.makefile("rb").readline()
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise ValueError(f"the answer is {answer!r:.80}")


def _address(url: str) -> tuple[socket.AddressFamily, str | tuple[str, int]]:
    parts = urlsplit(url)
    if parts.scheme == "http+unix":
        return socket.AF_UNIX, unquote(parts.netloc + parts.path)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"MODEL_URL: no server can be at {url!r}")
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    return socket.AF_INET6 if ":" in parts.hostname else socket.AF_INET, (parts.hostname, port)


def _shake_hands(connection: socket.socket) -> None:
    """Have a worker take its part in a handshake; more needs the service's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing secret is sent
    context.wrap_socket(connection).close()
