"""The configuration of gunicorn; `service serve` starts it with this file."""

import gc
import os
import shutil
from typing import Any

from prometheus_client.multiprocess import mark_process_dead

# Imported before the workers are forked, so that they start at once and share its memory.
from service import reports
from service.access import keys_from
from service.app import predictor_of
from service.settings import load
from service.telemetry import logging_config

settings = load()
for each in settings.models:
    predictor_of(settings, each)  # an invalid MODEL_URL ends the start here,
keys_from(settings)  # and so does a door that nobody closed,
reports.check(settings)  # and an invalid SENTRY_DSN
gc.freeze()  # a search for garbage in a worker would write to what it shares

bind = [settings.address, settings.ops_address]
workers = settings.workers
worker_class = "service.server.worker.Worker"
# Connections that wait to be accepted.
backlog = 2048
# Seconds after which a silent worker is replaced; requests have shorter limits.
timeout = 30
graceful_timeout = settings.graceful_timeout
umask = 0o077
# The heartbeat's file must not wait for a disk.
shared_memory = "/dev/shm"  # noqa: S108
worker_tmp_dir = shared_memory if os.path.isdir(shared_memory) else None
control_socket_disable = True
logconfig_dict = logging_config(settings)


def post_worker_init(worker: Any) -> None:
    """Watch what readiness and metrics tell, where it is served, and keep what is complete now."""
    worker.wsgi.extensions["readiness"].start()
    worker.wsgi.extensions["report"].start()
    gc.freeze()  # or all that stays for good is searched for garbage while callers wait


def worker_exit(server: Any, worker: Any) -> None:
    """Export the last spans."""
    if application := getattr(worker, "wsgi", None):  # it may have failed to load
        application.extensions["tracing"].close()


def child_exit(server: Any, worker: Any) -> None:
    """Drop the metrics that only a live worker can report."""
    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    """Remove the files in which the workers shared their metrics, unless another master has them.

    That is the successor, or the predecessor that goes on since its successor could not.
    """
    if not (server.reexec_pid or server.master_pid):
        shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
