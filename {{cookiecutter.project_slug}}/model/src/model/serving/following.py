"""Which version to serve, and when that is another one.

A bucket is asked by processes of their own: its library's threads would not survive the fork of a
worker. They bring what is current into the bucket's cache, the log with it, and so make that a
folder to be followed like any other store.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from model import logs
from model.artifacts.log import LOG_FILE, Entry, current_of
from model.artifacts.opening import folder_of, open_store
from model.artifacts.store import Store
from model.errors import ModelError, explained
from model.serving.watching import Watched
from model.settings import Settings, load_settings

PERIOD_SECONDS = 0.3
"""Seconds between two questions to a bucket."""
BRING = [sys.executable, "-c", "from model.serving.following import main; main()"]


class Following:
    """What is to be served, by the store's log or MODEL_VERSION.

    Where none is current yet, it waits: a product may begin before its model has learnt.

    Args:
        settings: of the server.

    Raises:
        ModelError: the log is damaged, or the bucket has not what is to be served.
    """

    def __init__(self, settings: Settings) -> None:
        self._version = settings.model_version or None
        self._is_bucket = "://" in settings.model_store
        self._store = Store(folder_of(settings))
        self._process: subprocess.Popen[bytes] | None = None
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        if self._is_bucket:
            done = subprocess.run(BRING, check=False, stderr=subprocess.PIPE, text=True)  # noqa: S603
            if done.returncode:
                raise ModelError(done.stderr.strip().rpartition("\n")[2])
        elif not self._version:
            _first(self._store)
        path = self._store.path / LOG_FILE
        self._log = None if self._version else Watched(self._store.history, path)
        self._seen = self._log and self._log.latest()

    def folder(self) -> Path:
        """The folder of the version to serve; raises ModelError if it is not there."""
        return self._store.folder(self._version)

    def promoted(self) -> str | None:
        """The version that has become current since the last time, be it the same once more."""
        if self._log is None:
            return None
        if self._is_bucket and (self._process is None or self._process.poll() is not None):
            self._process = subprocess.Popen([*BRING, str(os.getpid())])  # noqa: S603
        before, self._seen = self._seen, self._log.latest()
        return current_of(self._seen) if self._seen is not before else None

    def stop(self) -> None:
        """Follow no bucket any more."""
        if self._process:
            self._process.terminate()


def main() -> None:
    """Bring what is to be served into a bucket's cache: now, or for as long as a master lives."""
    settings = load_settings()
    logs.configure(settings)
    try:
        bucket = open_store(settings)
        if sys.argv[1:]:
            _follow(bucket, int(sys.argv[1]))
        elif settings.model_version:
            bucket.folder(settings.model_version)
        else:
            log = _first(bucket)
            bucket.folder(current_of(log))
            _keep(bucket, log)
    except ModelError as error:
        sys.exit(str(error))


def _first(store: Store) -> list[Entry]:
    """The log once it has a first entry, or whoever has started this process is gone."""
    master = os.getppid()
    if not store.history():
        words = "no version is current yet: waiting for the first one"
        structlog.get_logger().warning(words, store=store.name)
    while not (log := store.history()) and os.getppid() == master:
        time.sleep(PERIOD_SECONDS)
    return log


def _follow(bucket: Store, master: int) -> None:
    """Bring what has become current, or can be had at last."""
    seen: tuple[list[Entry], str] | None = None
    while os.getppid() == master:
        log, fault = [], ""
        try:
            log = bucket.history()
            bucket.folder(current_of(log))
        except ModelError as error:
            fault = str(error)
        if seen != (log, fault):
            seen = log, fault
            if fault:
                structlog.get_logger().error(f"what is served may be out of date: {fault}")
            if log:  # also of what could not be had: the master finds that out, and says so
                _keep(bucket, log)
        time.sleep(PERIOD_SECONDS)


def _keep(bucket: Store, log: Sequence[Entry]) -> None:
    """Put the log into the cache, at once."""
    path, new = bucket.path / LOG_FILE, bucket.path / f".log-{os.getpid()}"
    with explained(path):
        new.write_bytes(b"".join(each.line() for each in log))
        new.replace(path)
