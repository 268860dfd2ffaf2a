"""The model server as a child of this process, over pairs of sockets that nobody else can reach.

It is started, watched, started again with growing pauses, and stopped with this process. It ends by
itself as soon as the pair over which it is handed connections has lost its other end, which happens
even if this process is killed. There is no port, no path and no token.
"""

import logging
import os
import shlex
import shutil
import signal
import socket
import weakref
from collections.abc import Iterator
from contextlib import suppress
from select import poll
from subprocess import DEVNULL, Popen, TimeoutExpired
from threading import Event, Lock, Thread
from time import monotonic

import structlog

from service.predictors.access import Access
from service.predictors.open_inference import OpenInference

COMMAND = "model/.venv/bin/model"
START_SECONDS = 60.0
"""Seconds within which a child has to answer for the first time; a store may be empty till then."""
PERIOD_SECONDS = 1.0
"""Seconds between two questions whether it lives,"""
HANG_SECONDS = 5.0
"""and those without an answer after which it is killed."""
STOP_SECONDS = 2.0
"""Seconds that it has to stop, when nothing is asked any more."""
OPEN_SECONDS = 5.0
"""Seconds for which this process waits for the first answer before it serves without."""
LONGEST_PAUSE_SECONDS = 30.0
"""Before it is started again; one that has lived for longer than that is started again at once."""
STDERR = 2
ALIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
log = structlog.get_logger(__name__)


class Subprocess(OpenInference):
    """A client whose server is started with it, in a process group of its own.

    Args:
        url: `subprocess:`, or `subprocess:command` with the words before `serve`.
        access: not used, since nobody else can connect.
        connections: how many to keep open.

    Raises:
        ValueError: there is no such command.
    """

    def __init__(self, url: str, *, access: Access, connections: int) -> None:
        super().__init__("http://localhost", access=Access(), connections=connections)
        command = shlex.split(url.partition(":")[2]) or [COMMAND]
        if not shutil.which(command[0]):
            raise ValueError(f"there is no command {command[0]!r}: subprocess:path/to/model")
        self._child = Child([*command, "serve"])
        self._connect = self._child.connect
        weakref.finalize(self, self._child.stop)  # at the latest when this process ends

    def open(self) -> None:
        """See `Predictor.open`; if the model answers in time, no request goes without it."""
        self._child.start()


class Child:
    """A process that is there again when it has ended, or when it hangs.

    Args:
        command: runs a server that takes connections as the model's `serving/handed.py` does.
    """

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._lock = Lock()
        self._process: Popen[bytes] | None = None
        self._control: socket.socket | None = None  # while the child answers
        self._tried, self._stopped = Event(), Event()

    def start(self) -> None:
        """Start it; returns when it has answered or has failed, or after OPEN_SECONDS."""
        Thread(target=self._run, name="model server", daemon=True).start()
        self._tried.wait(OPEN_SECONDS)

    def connect(self, deadline: float) -> socket.socket:
        """A connection to the child; raises OSError while there is none that answers."""
        with self._lock:
            if self._control is None:
                raise ConnectionRefusedError("the model server is not there yet")
            return _connected(self._control)

    def stop(self) -> None:
        """Stop it for good; returns when it has ended."""
        self._stopped.set()
        with self._lock:
            process = self._process
        if process:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except TimeoutExpired:
                _kill(process)

    def _run(self) -> None:
        ahead = pauses()
        while not self._stopped.is_set():
            began = monotonic()
            fault = self._live()
            self._tried.set()
            if monotonic() - began > LONGEST_PAUSE_SECONDS:
                ahead = pauses()
            pause = next(ahead)
            if not self._stopped.is_set():
                log.error("the model server is started again", fault=fault, pause_seconds=pause)
            self._stopped.wait(pause)

    def _live(self) -> str:
        """Start the child, and return when it answers no more; why it does not."""
        control, its_end = socket.socketpair()
        with control:
            control.setblocking(False)
            with its_end, self._lock:
                if self._stopped.is_set():
                    return "stopped"
                try:
                    self._process = process = self._start(its_end.fileno())
                except OSError as error:
                    return str(error)
            within = START_SECONDS
            ended = poll()
            ended.register(control, 0)  # which tells that the other end is gone
            while not ended.poll(0) and _answers(control, within):
                self._control, within = control, HANG_SECONDS
                self._tried.set()
                ended.poll(1000 * PERIOD_SECONDS)
            fault = "it has ended" if ended.poll(100) else f"no answer in {within:.0f} s"
            with self._lock:
                self._control = None
        if not self._stopped.is_set():
            _kill(process)
        return f"{fault}, status {process.returncode}"

    def _start(self, descriptor: int) -> "Popen[bytes]":
        # Not what is for this server alone, such as where its processes share their metrics.
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("GUNICORN_", "NOTIFY_", "PROMETHEUS_"))
        }
        level = logging.getLevelName(logging.getLogger().getEffectiveLevel()).lower()
        return Popen(  # noqa: S603
            self._command,
            env={**environment, "MODEL_URL": f"fd://{descriptor}", "LOG_LEVEL": level},
            pass_fds=[descriptor],
            stdin=DEVNULL,
            stdout=STDERR,  # where this process logs
            # Ctrl-C reaches this process alone, which stops the child after the last request.
            process_group=0,
        )


def pauses() -> Iterator[float]:
    """Seconds to wait before each new start, one after the other."""
    pause = 0.1
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _connected(control: socket.socket) -> socket.socket:
    """One end of a pair, whose other end the child gets."""
    own, its_end = socket.socketpair()
    with its_end:
        try:
            socket.send_fds(control, [b"\0"], [its_end.fileno()])
        except OSError:
            own.close()
            raise
    return own


def _answers(control: socket.socket, within: float) -> bool:
    """Whether the child says by then that it lives."""
    with suppress(OSError), _connected(control) as connection:
        connection.settimeout(within)
        connection.sendall(ALIVE)
        return bool(connection.recv(4096))
    return False


def _kill(process: "Popen[bytes]") -> None:
    """Kill it with all that it has started; its number is its group's until it is waited for."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
