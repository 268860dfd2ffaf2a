"""Which version to serve, and when that is another one.

A bucket is asked by processes of their own: its library's threads would not survive the fork of a
worker. One of them stays, and has the master look again when something has changed.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import structlog

from model import logs
from model.artifacts.log import LOG_FILE
from model.artifacts.opening import open_store
from model.artifacts.store import Store
from model.errors import ModelError
from model.serving.watching import Watched
from model.settings import Settings, load_settings

PERIOD_SECONDS = 0.3
"""Seconds between two questions to a bucket."""
FIND = "from model.serving.following import main; main()"


def wait_for_first(settings: Settings) -> None:
    """Return once there is a version to serve: a product may begin before its model has learnt."""
    if settings.model_version:
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    if "://" in settings.model_store:
        # Whoever asks for the version next says what is wrong with the bucket.
        command = [sys.executable, "-c", FIND, "wait"]
        subprocess.run(command, check=False, stderr=subprocess.DEVNULL)  # noqa: S603
    else:
        _wait(Store(Path(settings.model_store)))


def _wait(store: Store) -> None:
    master = os.getppid()
    if not store.history():
        words = "no version is current yet: waiting for the first one"
        structlog.get_logger().warning(words, store=store.name)
    while not store.history() and os.getppid() == master:
        time.sleep(PERIOD_SECONDS)


class Following:
    """What is to be served, by the store's log or MODEL_VERSION.

    Args:
        settings: of the server.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._is_bucket = "://" in settings.model_store
        self._process: subprocess.Popen[bytes] | None = None
        store = Store(Path(settings.model_store))
        is_followed = not (self._is_bucket or settings.model_version)
        self._log = Watched(store.history, store.path / LOG_FILE) if is_followed else None
        self._seen = self._log and self._log.latest()

    def folder(self) -> Path:
        """The folder of the version to serve, fetched if need be; raises ModelError."""
        if not self._is_bucket:
            return open_store(self._settings).folder(self._settings.model_version or None)
        done = subprocess.run(  # noqa: S603 - this very program
            [sys.executable, "-c", FIND], check=False, capture_output=True, text=True
        )
        if done.returncode:
            raise ModelError(done.stderr.strip().rpartition("\n")[2])
        return Path(done.stdout.strip())

    def promoted(self) -> str | None:
        """The version that has become current since the last time, be it the same once more."""
        if self._log is None:
            return None
        before, self._seen = self._seen, self._log.latest()
        return self._seen[-1].to if self._seen and self._seen != before else None

    def follow_bucket(self, served: str) -> None:
        """See that a process looks at the bucket, if there is one, from this version on."""
        if not self._is_bucket or self._settings.model_version:
            return
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-c", FIND, str(os.getpid()), served]
            self._process = subprocess.Popen(command)  # noqa: S603 - this very program

    def stop(self) -> None:
        """Follow no bucket any more."""
        if self._process:
            self._process.terminate()


def main() -> None:
    """Print the folder of the version to serve, wait for the first, or follow for a master."""
    settings = load_settings()
    try:
        store = open_store(settings)
        if sys.argv[1:]:
            logs.configure(settings)
        match sys.argv[1:]:
            case [master, served]:
                _follow(store, int(master), served)
            case ["wait"]:
                _wait(store)
            case _:
                print(store.folder(settings.model_version or None))
    except ModelError as error:
        sys.exit(str(error))


def _follow(store: Store, master: int, served: str) -> None:
    """Have the master look again whenever another version is current, or can be had at last."""
    log, told, fault = structlog.get_logger(), (served, True), ""
    while os.getppid() == master:
        try:
            found = store.current(), True
            try:
                store.folder()
            except ModelError:  # which the master will find too, and say
                found = found[0], False
            if told != found:
                told = found
                os.kill(master, signal.SIGHUP)
            fault = ""
        except ModelError as error:
            if str(error) != fault:
                log.error(f"what is served may be out of date: {error}")
            fault = str(error)
        time.sleep(PERIOD_SECONDS)
