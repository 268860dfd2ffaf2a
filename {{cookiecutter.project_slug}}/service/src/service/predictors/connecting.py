"""A connection to the server that MODEL_URL names, by a deadline, and to no other."""

import os
import socket
import ssl
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Lock, Thread
from time import monotonic
from typing import Any
from urllib.parse import unquote, urlsplit

from service.predictors.access import Access
from service.predictors.port import PredictorError
from service.settings import is_loopback

Address = tuple[int, Any]
"""An address family, and an address of it."""

Connect = Callable[[float], socket.socket]
"""Makes a connection by a deadline.

It raises TimeoutError at the deadline, OSError when there is no connection, and PredictorError when
the server is not the right one.
"""

FRESH_SECONDS = 5
"""How long the addresses of a host are used before they are looked up again."""

FAILED_SECONDS = 1
"""The same for a look-up that failed."""


def server_of(url: str, access: Access) -> tuple[Connect, str, str]:
    """How to connect to a server, its host, and the path before every other.

    Raises:
        ValueError: the URL names no server, or one that may not be reached in this way.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "http+unix":
        if not rest:
            raise ValueError("it needs the path of a socket: http+unix://path")
        return _to_socket(unquote(rest), access.peers), "localhost", ""
    parts = urlsplit(url)
    host, port = parts.hostname, parts.port or (443 if scheme == "https" else 80)
    if not host or "@" in parts.netloc or parts.query or parts.fragment or " " in parts.path:
        raise ValueError("it must look like http://host:port")
    if scheme == "http" and not (access.plaintext or is_loopback(host)):
        fault = "http:// leads to another host, where others can read along"
        raise ValueError(f"{fault}: use https://, or set MODEL_PLAINTEXT=1")
    connect = _to_host(host, port)
    if scheme == "https":
        connect = _encrypted(connect, host, access)
    return connect, parts.netloc, parts.path.rstrip("/")


def seconds_left(deadline: float) -> float:
    """The time until the deadline; raises TimeoutError once it has passed."""
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class Host:
    """The addresses of a host.

    A look-up cannot be interrupted, so it runs in a thread of its own. Only the first one is waited
    for: while a later one is under way, or after it failed, the addresses are those found last.
    """

    def __init__(self, name: str, port: int) -> None:
        self._name, self._port = name, port
        self._lock = Lock()
        self._look_up: Future[list[Address]] | None = None
        self._found: list[Address] = []
        self._fresh_until = 0.0

    def addresses(self, deadline: float) -> list[Address]:
        """The addresses; raises OSError if none was ever found, TimeoutError at the deadline."""
        with self._lock:
            look_up = self._look_up
            if look_up is None or (look_up.done() and monotonic() >= self._fresh_until):
                look_up = self._look_up = Future()
                # A daemon, so that the process can end meanwhile.
                Thread(target=self._run, args=(look_up,), daemon=True, name="look-up").start()
        return self._found or look_up.result(seconds_left(deadline))

    def _run(self, look_up: Future[list[Address]]) -> None:
        try:
            answers = socket.getaddrinfo(self._name, self._port, type=socket.SOCK_STREAM)
            self._found = [(family, address) for family, *_, address in answers]
            self._fresh_until = monotonic() + FRESH_SECONDS
            look_up.set_result(self._found)
        except (OSError, UnicodeError) as error:
            self._fresh_until = monotonic() + FAILED_SECONDS
            look_up.set_exception(OSError(f"no address of {self._name}: {error}"))


def _to_socket(path: str, peers: Sequence[int]) -> Connect:
    def connect(deadline: float) -> socket.socket:
        connection = _first([(socket.AF_UNIX, path)], deadline)
        if hasattr(socket, "SO_PEERCRED"):  # on Linux; elsewhere the folder must be private
            size = struct.calcsize("iII")
            found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
            _, owner, _ = struct.unpack("iII", found)
            if owner not in (os.geteuid(), *peers):
                connection.close()
                fault = f"the socket belongs to user {owner}, who is not in MODEL_PEERS"
                raise PredictorError("unauthorized", fault)
        return connection

    return connect


def _to_host(name: str, port: int) -> Connect:
    host = Host(name, port)

    def connect(deadline: float) -> socket.socket:
        connection = _first(host.addresses(deadline), deadline)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    return connect


def _encrypted(connect: Connect, host: str, access: Access) -> Connect:
    default = ssl.create_default_context()
    tls = access.tls or (lambda: default)

    def encrypted(deadline: float) -> socket.socket:
        connection = connect(deadline)
        # The handshake comes with the request, and so has its deadline.
        return tls().wrap_socket(connection, do_handshake_on_connect=False, server_hostname=host)

    return encrypted


def _first(addresses: Sequence[Address], deadline: float) -> socket.socket:
    """A connection to the first address that takes one; each gets its share of the time."""
    for waiting, (family, address) in zip(range(len(addresses), 0, -1), addresses, strict=True):
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(seconds_left(deadline) / waiting)
            connection.connect(address)
            return connection
        except OSError:
            connection.close()
            if waiting == 1:
                raise
    raise OSError("the host has no address")
