"""What stands before a service's instances in production, for tests of rolling updates."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Balancer:
    """Forwards each new connection to the instance that is to get it now, as kube-proxy does.

    Connections that are open stay with their instance.

    Attributes:
        port: on 127.0.0.1.
        target: the host and port of the instance that gets new connections.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.port = 0

    async def serve(self) -> None:
        """Forward until cancelled."""
        server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            await server.serve_forever()

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
    """A balancer, in a thread of its own."""
    balancer, loop = Balancer(target), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    task = asyncio.run_coroutine_threadsafe(balancer.serve(), loop)
    while not balancer.port and not task.done():
        threading.Event().wait(0.01)
    try:
        yield balancer
    finally:
        task.cancel()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
