"""A process of the service under gunicorn, which starts, watches and stops it."""

import asyncio
import os
import resource
import signal
import sys
from contextlib import suppress
from functools import lru_cache
from threading import Thread
from typing import Any

from gunicorn.workers import base

from service.server.front import Front

OPS_THREADS = 2


class Worker(base.Worker):  # type: ignore[misc]
    """Serves the product at the first listener, and at the second what its operators need.

    The latter has an event loop and threads of its own, so that no request occupies it.
    """

    def init_process(self) -> None:
        """Make the event loop, then everything else."""
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self.loop = asyncio.new_event_loop()
        self.stopping = asyncio.Event()
        super().init_process()

    def init_signals(self) -> None:
        """SIGTERM drains, SIGINT and SIGQUIT end at once."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGWINCH, signal.SIG_IGN)
        signal.signal(signal.SIGABRT, self.handle_abort)
        self.loop.add_signal_handler(signal.SIGTERM, self.stopping.set)
        for number in (signal.SIGINT, signal.SIGQUIT):
            self.loop.add_signal_handler(number, sys.exit, 0)
        self.loop.add_signal_handler(signal.SIGUSR1, self.log.reopen_files)

    def run(self) -> None:
        """Serve until a signal comes or the master is gone."""
        self.loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        settings = self.wsgi.extensions["settings"]
        public, operations = self.sockets
        ops = self._front(operations, self.wsgi.extensions["ops"], OPS_THREADS)
        Thread(target=asyncio.run, args=[_run(ops)], daemon=True).start()
        front = self._front(public, self.wsgi, settings.threads)
        front.start()
        while not self.stopping.is_set() and self.ppid == os.getppid():
            self.notify()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), 0.5)
        # The master kills who is left at the end of its timeout: be gone a little earlier.
        await front.drain(settings.graceful_timeout - 0.5)

    def _front(self, listener: Any, application: Any, threads: int) -> Front:
        settings = self.wsgi.extensions["settings"]
        labels = lru_cache(self.wsgi.extensions["metrics"].shed.labels)
        return Front(application, listener, settings, threads, lambda why: labels(why).inc())


async def _run(front: Front) -> None:
    front.start()
    await asyncio.Event().wait()
