"""The configuration of gunicorn; `service serve` starts it with this file."""

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

DEFER_ACCEPT_SECONDS = 60
"""How long a new connection may stay silent before a thread begins to wait for it."""

settings = load()
predictor_of(settings)  # an invalid MODEL_URL ends the start here

bind = f"{settings.host}:{settings.port}"
workers = settings.workers
worker_class = "gthread"
threads = settings.threads
# Seconds; longer than load balancers keep idle connections, so that they close them first.
keepalive = 75
# Seconds after which a silent worker is replaced; requests have shorter limits.
timeout = 30
graceful_timeout = settings.graceful_timeout
# The heartbeat's file must not wait for a disk.
shared_memory = "/dev/shm"  # noqa: S108
worker_tmp_dir = shared_memory if os.path.isdir(shared_memory) else None
control_socket_disable = True
logconfig_dict = logging_config(settings)


class NoAccessLog(Logger):  # type: ignore[misc]
    """Gunicorn's log without a line for each request, since the service writes its own."""

    def access(self, *_: Any) -> None:
        """Write nothing; gunicorn would format each line even if it were not logged."""


logger_class = NoAccessLog


def when_ready(server: Any) -> None:
    """Leave connections to the kernel until they send something.

    Each of them would hold a thread for up to five seconds: eight that a load balancer or a browser
    opens ahead of time would block all others.
    """
    if hasattr(socket, "TCP_DEFER_ACCEPT"):  # on Linux
        for listener in server.LISTENERS:
            listener.sock.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, DEFER_ACCEPT_SECONDS
            )


def post_worker_init(worker: Any) -> None:
    """Check what readiness tells, in the process that serves."""
    worker.wsgi.extensions["readiness"].start()


def child_exit(server: Any, worker: Any) -> None:
    """Drop the metrics that only a live worker can report."""
    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    """Remove the files in which the workers shared their metrics."""
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
