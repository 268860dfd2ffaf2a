"""Programs that are measured: started in a clean environment, and ended with all their children."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from places import HOME, LOGS

STOP_WITHIN = 10.0  # seconds
KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ")


class Failed(Exception):
    """A command that prepares something ended with an error; the message holds all it said."""


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """These variables and the few that any program needs: byte code is kept, no library tuned."""
    HOME.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "HOME": str(HOME), **environment}


def free_port() -> int:
    """A port that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def do(command: Sequence[str | Path], environment: Mapping[str, str], cwd: Path) -> str:
    """What a command prints that prepares something, in the environment of whoever runs this.

    Raises:
        Failed: with all that it said.
    """
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
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


class Server:
    """A program in a process group of its own.

    Attributes:
        log: the file that it writes to.
        started: when, by the monotonic clock.
    """

    def __init__(
        self, name: str, command: Sequence[str | Path], environment: Mapping[str, str], cwd: Path
    ) -> None:
        LOGS.mkdir(parents=True, exist_ok=True)
        self.log = LOGS / f"{name}.log"
        with self.log.open("wb") as log:
            self.started = time.monotonic()
            self._process = subprocess.Popen(
                command,
                env=clean(environment),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ended(self) -> int | None:
        """Its exit status, once it has ended."""
        return self._process.poll()

    def tree(self) -> list[int]:
        """Itself and every process below it."""
        return descendants(self._process.pid)

    def stop(self) -> None:
        """End every process of it: asked first, the rest by force."""
        family = {pid: _birth(pid) for pid in self.tree()}
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_WITHIN)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        while left := [pid for pid, birth in family.items() if birth and _birth(pid) == birth]:
            for pid in left:  # those that left the group, or take their time to die
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)


@contextmanager
def running(
    name: str, command: Sequence[str | Path], environment: Mapping[str, str], cwd: Path
) -> Iterator[Server]:
    """A server for as long as it is needed."""
    server = Server(name, command, environment, cwd)
    try:
        yield server
    finally:
        server.stop()


def descendants(pid: int) -> list[int]:
    """A process and every one below it."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int(_stat(int(folder.name))[1])
            children.setdefault(parent, []).append(int(folder.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; the name before may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _birth(pid: int) -> str | None:
    """When a process was born, which tells it from a later one of the same number.

    None if there is none, or only what its parent has to be told of its end.
    """
    try:
        fields = _stat(pid)
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]
