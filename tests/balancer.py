"""What stands before a service's instances in production, for tests of rolling updates."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread


class Balancer:
    """Forwards each new connection to the instance that is to get it now, as kube-proxy does.

    Connections that are open stay with their instance.

    Attributes:
        port: on 127.0.0.1, once it is `ready`.
        target: the host and port of the instance that gets new connections.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.port = 0
        self.ready = Event()
        self._stop = asyncio.Event()
        self._loop = asyncio.new_event_loop()

    def run(self) -> None:
        """Forward until stopped."""
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    def stop(self) -> None:
        """Forward no more; from another thread."""
        self._loop.call_soon_threadsafe(self._stop.set)

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self._stop.wait()
        server.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, forth = await asyncio.open_connection(*self.target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, forth), _copy(back, writer))


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    with suppress(OSError):
        target.close()


@contextmanager
def balanced(target: tuple[str, int]) -> Iterator[Balancer]:
    """A balancer that runs, in a thread of its own."""
    balancer = Balancer(target)
    thread = Thread(target=balancer.run, name="balancer")
    thread.start()
    balancer.ready.wait(10)
    try:
        yield balancer
    finally:
        balancer.stop()
        thread.join()
