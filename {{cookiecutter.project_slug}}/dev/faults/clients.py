"""What callers of the public API do, on purpose or not."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from demo import PLURAL
from faults.processes import System
from faults.scenarios import Limits, scenario

SLOW = Limits(slowed=2.0)
"""Others do not notice slow callers."""

HEAD = f"POST /{PLURAL} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n".encode()
CAPACITY_SECONDS = 2.0


@contextmanager
def connections(system: System, number: int, first: bytes) -> Iterator[list[socket.socket]]:
    """So many connections that have sent these bytes, and do not go on."""
    with ExitStack() as stack:
        held = []
        for _ in range(number):
            connection = socket.create_connection(("127.0.0.1", system.port), 5)
            held.append(stack.enter_context(connection))
            with suppress(OSError):  # it may be turned away
                connection.sendall(first)
        yield held


@contextmanager
def every(seconds: float, action: Callable[[], None]) -> Iterator[None]:
    """Do something again and again in a thread."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(seconds):
            action()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@scenario(SLOW, quick=True)
def half_requests_32(system: System) -> Iterator[None]:
    """32 connections send `G` and wait."""
    with connections(system, 32, b"G"):
        yield


@scenario(SLOW)
def half_requests_200(system: System) -> Iterator[None]:
    """200 connections send `G` and wait."""
    with connections(system, 200, b"G"):
        yield


@scenario(SLOW)
def idle_connections(system: System) -> Iterator[None]:
    """200 connections send nothing."""
    with connections(system, 200, b""):
        yield


@scenario(SLOW)
def dripping_bodies(system: System) -> Iterator[None]:
    """50 connections send a body at a byte a second."""
    with connections(system, 50, HEAD + b"Content-Length: 500\r\n\r\n{") as held:

        def drip() -> None:
            for each in held:
                with suppress(OSError):
                    each.send(b" ")

        with every(1.0, drip):
            yield


@scenario(SLOW)
def huge_chunks(system: System) -> Iterator[None]:
    """50 connections announce chunks of exabytes, again and again."""

    def announce() -> None:
        with connections(
            system, 50, HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n{"
        ):
            time.sleep(0.5)

    with every(0.1, announce):
        yield


@scenario(Limits())
def callers_leave(system: System) -> Iterator[None]:
    """100 callers a second leave after 10 ms."""
    with system.crowd(rate=100, patience=0.01):
        yield


@scenario(Limits(), load={"twice": True, "rate": 100}, quick=True)
def sent_twice(system: System) -> Iterator[None]:
    """Every request is sent twice at once under the same key."""
    yield


@scenario(Limits(shed=None, ready=None))
def connections_200(system: System) -> Iterator[None]:
    """200 connections send as fast as they are answered."""
    with system.crowd(rate=0, connections=200) as reports:
        yield
    failed = sum(each.status != 201 and not each.shed for each in reports[0].sent)
    system.expect(not failed, f"{failed} of the 200 failed")


@scenario(Limits(shed=None, ready=None, recovered=2.0), load={"rate": 10})
def overload(system: System) -> Iterator[None]:
    """Ten times the load that can be borne."""
    with system.crowd(rate=0, connections=16) as reports:
        time.sleep(CAPACITY_SECONDS)
    capacity = len(reports[0].sent) / CAPACITY_SECONDS
    start = time.monotonic()
    crowd = system.crowd(rate=10 * capacity, connections=200, patience=2)
    # Who sends so much measures its own delays: others tell how soon they were turned away.
    with system.crowd(rate=50) as others, crowd as reports:
        yield
        took = time.monotonic() - start
    good = sum(each.status == 201 for each in reports[0].sent) / took
    shed = sorted(each.seconds for each in others[0].sent if each.shed)
    system.expect(good > 0.8 * capacity, f"goodput {good:.0f}/s of {capacity:.0f}/s")
    system.expect(bool(shed), "nothing was shed")
    late = shed[int(len(shed) * 0.95)] if shed else 0.0
    system.expect(late < 0.1, f"p95 of what was shed: {late * 1000:.0f} ms")
