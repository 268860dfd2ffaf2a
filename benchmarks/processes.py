"""Processes: commands that prepare something, and servers that end with all their children."""

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from paths import HOME, LOGS

STOP_WITHIN_SECONDS = 10.0
INHERITED_VARIABLES = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ")


class Failed(Exception):
    """A command or a server did not do what it should; the message says what it did instead."""


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """These variables and the few that any program needs, for a process that is measured."""
    HOME.mkdir(parents=True, exist_ok=True)
    inherited = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
    return {**inherited, "HOME": str(HOME), **environment}


def free_port() -> int:
    """A port that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_command(
    *command: str | Path, environment: Mapping[str, str] = os.environ, cwd: Path | None = None
) -> str:
    """Run a command to its end; returns its standard output.

    Raises:
        Failed: with all of its output.
    """
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        out, err = process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)  # its children as well
        process.wait()
        raise
    if process.returncode:
        line = " ".join(map(str, command))
        raise Failed(f"{line}: ended with {process.returncode}\n{out}{err}")
    return out


class Process:
    """A server's processes, the first of which leads a session of its own.

    Attributes:
        log: the file that they write to.
        started: when, by the monotonic clock.
    """

    def __init__(
        self, name: str, command: Sequence[str | Path], environment: Mapping[str, str], cwd: Path
    ) -> None:
        LOGS.mkdir(parents=True, exist_ok=True)
        self.log = LOGS / f"{name}.log"
        with self.log.open("wb") as log:
            self.started = time.monotonic()
            self._first = subprocess.Popen(
                command,
                env=clean(environment),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def exit_status(self) -> int | None:
        """The exit status of the first process, once it has ended."""
        return self._first.poll()

    def pids(self) -> list[int]:
        """The first process and every descendant."""
        children: dict[int, list[int]] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                parent = int(stat.read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(stat.parent.name))
        found = [self._first.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def stop(self) -> None:
        """Ask them to end, then kill the rest, also those that left the process group."""
        pidfds = []
        for pid in self.pids():
            with suppress(ProcessLookupError):
                pidfds.append(os.pidfd_open(pid))
        with suppress(ProcessLookupError):
            os.killpg(self._first.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._first.wait(STOP_WITHIN_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self._first.pid, signal.SIGKILL)
        self._first.wait()
        for pidfd in pidfds:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            select.select([pidfd], [], [])  # readable once it has ended
            os.close(pidfd)


@contextmanager
def running(
    name: str, command: Sequence[str | Path], environment: Mapping[str, str], cwd: Path
) -> Iterator[Process]:
    """A server that runs for as long as the block does."""
    process = Process(name, command, environment, cwd)
    try:
        yield process
    finally:
        process.stop()
