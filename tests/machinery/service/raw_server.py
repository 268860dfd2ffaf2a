"""A model server that sends its responses byte by byte, cut off, too long or not at all."""

import os
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from threading import Event
from typing import Any

from support import PATIENCE_SECONDS, FakeServer

MOMENT_SECONDS = 0.02
"""A pause between two packets; the tests hold without it, but would prove less."""


class RawServer(FakeServer):
    """A fake server that misbehaves on the wire.

    Attributes:
        raw: bytes to send in place of the response's body.
        status: to send in place of 200.
        framing: what ends the body: its "length", "chunked" encoding, or the "end" of the
            connection; or "cut": one byte is missing of the length that was announced.
        closing: what becomes of the connection after a response: its end is "announced", and left
            to the client; or it ends, "silent" or with a "reset"; or it is kept.
        drip_head, drip: seconds to wait before each byte of the head, or of the body.
        split: how many bytes of the response go into a packet of their own.
        afterthought: what to send once `read` is set, though it was not asked for.
        hang_up: how many requests to read without a response, closing the connection instead.
        answers: how many were sent, the afterthought of each included.
    """

    def __init__(self) -> None:
        super().__init__()
        self.raw: bytes | None = None
        self.status = 200
        self.framing = "length"
        self.closing = ""
        self.drip = self.drip_head = 0.0
        self.split = 0
        self.afterthought = b""
        self.read = Event()
        self.hang_up = 0
        self.answers = 0
        self._handlers: list[BaseHTTPRequestHandler] = []

    @property
    def connections(self) -> int:
        """How many there were that asked for something."""
        return len(self._handlers)

    def open(self) -> list[BaseHTTPRequestHandler]:
        """Those that are open."""
        return [each for each in self._handlers if not each.rfile.closed]

    def close_all(self) -> None:
        """Close every connection."""
        for handler in self.open():
            with suppress(OSError):
                handler.connection.shutdown(socket.SHUT_RDWR)

    def answer(self, handler: BaseHTTPRequestHandler, ask: Callable[[], Any]) -> None:
        """See `FakeServer.answer`."""
        if handler not in self._handlers:
            self._handlers.append(handler)
        if self.hang_up:
            self.hang_up -= 1
            handler.close_connection = True
        else:
            super().answer(handler, ask)

    def send(self, handler: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
        """See `FakeServer.send`."""
        body = body if self.raw is None else self.raw
        lines = [f"HTTP/1.1 {self.status if status == 200 else status} So"]
        if self.framing in ("length", "cut"):
            lines.append(f"Content-Length: {len(body) + (self.framing == 'cut')}")
        if self.framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
            parts = [body[start : start + 100] for start in range(0, len(body), 100)]
            body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))
        if self.closing == "announced":
            lines.append("Connection: close")
        ends = self.framing == "end" or self.closing in ("silent", "reset")
        reset = self.closing == "reset"
        self._write(handler, "\r\n".join([*lines, "", ""]).encode(), body)
        handler.close_connection = ends
        if reset:
            at_once = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
            os.close(handler.connection.detach())

    def _write(self, handler: BaseHTTPRequestHandler, head: bytes, body: bytes) -> None:
        if self.drip or self.drip_head:
            for pause, part in ((self.drip_head, head), (self.drip, body)):
                for byte in part:
                    time.sleep(pause)
                    handler.wfile.write(bytes([byte]))
        else:
            answer = head + body
            for part in (answer[: self.split], answer[self.split :]):
                handler.wfile.write(part)
                time.sleep(MOMENT_SECONDS if self.split else 0)
        if self.afterthought and self.read.wait(PATIENCE_SECONDS):
            handler.wfile.write(self.afterthought)
        self.answers += 1
