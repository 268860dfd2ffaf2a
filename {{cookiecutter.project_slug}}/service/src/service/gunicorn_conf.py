"""How gunicorn serves the service: `service serve` starts it with this file."""

import os
import shutil
import socket
from typing import Any

from gunicorn.glogging import Logger
from prometheus_client.multiprocess import mark_process_dead

# Imported before the workers are forked, so that they start at once and share its memory.
from service.app import predictor_of
from service.settings import load
from service.telemetry import logging_config

PATIENCE = 60
"""Seconds that a new connection may say nothing before a thread begins to wait for it."""

settings = load()
predictor_of(settings)  # a MODEL_URL that is wrong ends the start here

bind = f"{settings.host}:{settings.port}"
workers = settings.workers
worker_class = "gthread"
threads = settings.threads
# Longer than the load balancers in front keep idle connections, so that they close them first.
keepalive = 75
# A worker that gives no sign of life for so long is replaced; requests have shorter limits.
timeout = 30
graceful_timeout = settings.graceful_timeout
# The heartbeat's file must not wait for a disk.
shared_memory = "/dev/shm"  # noqa: S108
worker_tmp_dir = shared_memory if os.path.isdir(shared_memory) else None
control_socket_disable = True
logconfig_dict = logging_config(settings)


class OwnLines(Logger):  # type: ignore[misc]
    """Gunicorn's log without its line for each request: the service writes one itself."""

    def access(self, *_: Any) -> None:
        """Nothing, at no cost; gunicorn would put a line together for whoever might want it."""


logger_class = OwnLines


def when_ready(server: Any) -> None:
    """Leave connections to the kernel until they say something.

    Each of them would hold a thread for up to five seconds: eight that a load balancer or a browser
    opens ahead of its needs, and nobody is served.
    """
    if hasattr(socket, "TCP_DEFER_ACCEPT"):  # on Linux
        for listener in server.LISTENERS:
            listener.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, PATIENCE)


def child_exit(server: Any, worker: Any) -> None:
    """Forget what only a live worker can report."""
    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    """Remove the files through which the workers shared their metrics."""
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
