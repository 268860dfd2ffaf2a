"""Runs the service and its model server side by side, and stops both."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from service.settings import load

os.umask(0o077)  # what these programs write is for nobody else on this machine

ROOT = Path(__file__).resolve().parent.parent
HISTORY = Path("data/history.csv")
READY_WITHIN_SECONDS = 60.0
STOP_WITHIN_SECONDS = 20.0
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Opens URLs of this machine, without any proxy."""


class Pair:
    """Both processes as one: ready when the service is, stopped together.

    Args:
        environment: what to set on top of this process's own environment, for both.
        log: where the lines of both processes go, each behind the name of its process.
        synthetic: whether the first model may learn from rows that are made up.

    A model server is started only where MODEL_URL points to this machine; for `library:` the model
    runs in the service's own process, for `subprocess:` the service starts its server, and a remote
    one runs elsewhere.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
        *,
        synthetic: bool = False,
    ) -> None:
        os.chdir(ROOT)  # sockets, stores and databases are named relative to the project
        os.environ.update(environment or {})
        if log is None and sys.stdout.isatty():
            os.environ.setdefault("LOG_FORMAT", "console")  # a person is reading
        self.settings = load()
        self.url = f"http://{self.settings.address}"
        self.ops_url = f"http://{self.settings.ops_address}"
        self._log = log.open("w") if log else sys.stdout
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._synthetic = synthetic

    def __enter__(self) -> Self:
        self._check_port("PORT", self.settings.address)
        self._check_port("OPS_PORT", self.settings.ops_address)
        url = urlsplit(self.settings.model_url)
        in_process = url.scheme == "library"
        here = url.scheme == "http+unix" or (
            url.scheme == "http" and url.hostname in LOOPBACK and url.path in ("", "/")
        )
        venv = "dev/.venv" if in_process else "service/.venv"
        if in_process:
            os.environ["MODEL_STORE"] = url.path
            self._do("make", "--silent", f"{venv}/ready")
        with_model = True
        if here or in_process or url.scheme == "subprocess":
            with_model = self._train_the_first()
        else:
            print(f"starting no model server: {self.settings.model_url} runs elsewhere")
        self._do(f"{venv}/bin/service", "migrate")
        try:
            if here:
                self._start("model", "model/.venv/bin/model", "serve")
            self._start("service", f"{venv}/bin/service", "serve")
            wait_until_ready(self.url, self._check, with_model=with_model)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def wait(self) -> None:
        """Return when asked to stop; exit with a message as soon as one process has ended."""
        while True:
            self._check()
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop both, the service first, so that no request loses its model on the way."""
        for number in ENDINGS:  # a second Ctrl-C must not leave a process behind
            signal.signal(number, signal.SIG_IGN)
        for name in ("service", "model"):
            process = self._processes.pop(name, None)
            if process is None:
                continue
            process.terminate()
            try:
                process.wait(STOP_WITHIN_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _check_port(self, setting: str, address: str) -> None:
        host, _, port = address.rpartition(":")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host.strip("[]"), int(port)))
            except OSError as error:
                fault = f"{setting}: http://{address}: {error.strerror}"
                sys.exit(f"{fault}; take another: {setting}={int(port) + 1} make up")

    def _train_the_first(self) -> bool:
        """Train unless that was done; whether there is a model now."""
        if (Path(os.environ.get("MODEL_STORE", "")) / "manifest.json").exists():
            return True  # a single version, not a store of versions
        known = subprocess.run(["model/.venv/bin/model", "versions"], check=False, stdout=PIPE)
        if known.returncode or b"\n*" in b"\n" + known.stdout:
            return True
        if not HISTORY.exists() or (is_made_up() and not self._synthetic):
            print("no model yet, since no real history: `make retrain PROMOTE=1` makes the first")
            return False
        # Where there are versions, but none is current, `show` ends this, and says what to do.
        self._do("model/.venv/bin/model", "show" if known.stdout.strip() else "train")
        return True

    def _do(self, *command: str) -> None:
        done = subprocess.run(command, check=False)
        if done.returncode:
            sys.exit(done.returncode)

    def _start(self, name: str, *command: str) -> None:
        # A session of its own: Ctrl-C reaches this process alone, which stops both in order.
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._processes[name] = process
        threading.Thread(target=self._copy_log, args=(name, process), daemon=True).start()

    def _copy_log(self, name: str, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            with suppress(OSError):  # whoever read it is gone; the process must not wait for that
                self._log.write(f"{name:7} | {line}")
                self._log.flush()

    def _check(self) -> None:
        for name, process in self._processes.items():
            if process.poll() is not None:
                sys.exit(f"the {name} process has ended with status {process.returncode}")


def is_made_up() -> bool:
    """Whether the history is synthetic."""
    provenance = HISTORY.with_name("provenance.json")
    return provenance.exists() and bool(json.loads(provenance.read_text()).get("synthetic"))


def wait_until_ready(
    url: str, check: Callable[[], None] = lambda: None, *, with_model: bool = True
) -> None:
    """Return once the product there answers; exit with what is wrong if it does not.

    Args:
        url: of the service.
        check: called again and again meanwhile; may exit.
        with_model: whether only an answer by the model counts.
    """
    reason = "no answer"
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while time.monotonic() < deadline:
        check()
        try:
            with DIRECT.open(f"{url}/readyz", timeout=5) as answer:
                if json.load(answer)["model"] == "ok" or not with_model:
                    return
                reason = "the model does not answer"
        except urllib.error.HTTPError as error:
            reason = error.read().decode(errors="replace")
        except OSError as error:
            reason = str(error)
        time.sleep(0.1)
    sys.exit(f"not ready after {READY_WITHIN_SECONDS:.0f} s: {reason}")


def stop_on_signals() -> None:
    """Let SIGTERM and SIGHUP stop the program as Ctrl-C does."""

    def stop(number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    for number in ENDINGS:
        signal.signal(number, stop)
