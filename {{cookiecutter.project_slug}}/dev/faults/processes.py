"""The pair under test: real processes, with a database, a store and sockets of their own."""

import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sqlalchemy import column, create_engine, select, table

from contract import MODEL_NAME, TARGET, examples
from demo import PLURAL, reserved_port
from faults.load import Plan, Report, load
from faults.operating_system import children, is_alive, wait_until
from faults.postgres import Postgres
from pair import ROOT
from service.settings import Settings

FOLDER = Path("var/chaos")
ENTITY = "{{ cookiecutter.entity }}"
SOCKET = Path("run/chaos/model.sock")
TRAINED = FOLDER / "trained"
FAKE = ROOT / "dev/faults/fake_model.py"
GOLDEN = ROOT / "contract/src/contract/golden"
ROW = json.dumps({name: value for name, value in examples()[0].items() if name != TARGET.name})
HAND_OVER = """
import os, sys
for number, fd in enumerate([os.dup(int(each)) for each in sys.argv[1:3]], 3):
    os.dup2(fd, number)
    os.set_inheritable(number, True)
os.environ.update(LISTEN_FDS="2", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[3], sys.argv[3:])
"""


def run(*command: str | Path, **environment: str) -> None:
    """Run a command of the project; raises CalledProcessError when it fails."""
    subprocess.run(command, env={**os.environ, **environment}, check=True, capture_output=True)


class Local(HTTPConnection):
    """A connection to the model server's socket."""

    def connect(self) -> None:
        """Connect to the socket in place of a port."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(SOCKET))


def ask(
    connection: HTTPConnection,
    method: str,
    path: str,
    body: str | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> tuple[int, Any]:
    """The status and the JSON of an answer; 0 without one."""
    with closing(connection), suppress(OSError, HTTPException):
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    return 0, {}


def question() -> str:
    """An inference request of one row, as the contract pins it."""
    golden = max(GOLDEN.glob("*.json"), key=lambda path: int(path.stem))
    inputs = json.loads(golden.read_text("utf-8"))["request"]["inputs"]
    rows = [{**each, "shape": [1], "data": each["data"][:1]} for each in inputs]
    return json.dumps({"id": "chaos", "inputs": rows})


class Process:
    """One side of the pair: a process and its workers, which can be killed and started again."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.command, self.environment, self.log = command, environment, log
        self.pid = 0
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, listeners: Sequence[socket.socket] = ()) -> None:
        """Start it, where wanted with sockets that are handed over as systemd does it."""
        command, fds = self.command, [each.fileno() for each in listeners]
        if fds:
            command = [sys.executable, "-c", HAND_OVER, *map(str, fds), *command]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=fds,
            )
        self._started.append(process)
        self.pid = process.pid

    def send(self, number: int) -> None:
        """Send the master a signal."""
        os.kill(self.pid, number)

    def send_all(self, number: int) -> None:
        """Send the master and its workers a signal."""
        for pid in (self.pid, *self.workers()):
            os.kill(pid, number)

    def workers(self) -> list[int]:
        """The processes that the master has started."""
        return children(self.pid)

    def kill_worker(self) -> None:
        """Kill the first worker, as the kernel does when memory is short."""
        os.kill(self.workers()[0], signal.SIGKILL)

    def stop(self, number: int = signal.SIGTERM, pid: int = 0) -> int:
        """End one process, by default the last one started; its exit status."""
        (process,) = (each for each in self._started if each.pid == (pid or self.pid))
        process.send_signal(number)
        return process.wait(30)

    def end(self) -> None:
        """Leave nothing behind, in whatever state it is."""
        for process in self._started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class System:
    """The pair of one scenario.

    Args:
        name: of its folder in var/chaos/.
        settings: what to set beyond a socket, a token and a database of its own; PORT stands for
            the model server's port, FOLDER for the folder.
        stack: ends what was begun here.
        handed_over: whether the service gets its listening sockets from here.
        server: of its database; without one it is SQLite.

    Attributes:
        complaints: what did not go as it should.
        reports: of loads beside the constant one.
    """

    def __init__(
        self,
        name: str,
        settings: Mapping[str, str],
        stack: ExitStack,
        handed_over: bool = False,
        server: Postgres | None = None,
    ) -> None:
        self.folder = FOLDER / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.store = self.folder / "store"
        shutil.copytree(TRAINED, self.store)
        self.token = secrets.token_urlsafe(32)
        self.tokens = self.folder / "tokens"
        self.tokens.touch(0o600)
        self.tokens.write_text(self.token)
        self.port, self.ops_port, self.model_port, self.spare_port = (
            stack.enter_context(reserved_port()) for _ in range(4)
        )
        self.environment = {
            "DATABASE_URL": server.url if server else f"sqlite:///{self.folder}/service.db",
            "HOST": "127.0.0.1",
            "LOG_FORMAT": "json",
            "MODEL_DEADLINE": "0.25",
            "MODEL_STORE": str(self.store),
            "MODEL_TOKENS": self.token,
            "MODEL_URL": f"http+unix://{SOCKET}",
            "OPS_PORT": str(self.ops_port),
            "PORT": str(self.port),
            "WORKERS": "2",
        }
        for key, value in settings.items():
            value = value.replace("PORT", str(self.model_port)).replace("FOLDER", str(self.folder))
            self.environment[key] = value
        self.listeners = [
            stack.enter_context(socket.create_server(("127.0.0.1", port), backlog=2048))
            for port in ((self.port, self.ops_port) if handed_over else ())
        ]
        self.complaints: list[str] = []
        self.reports: list[Report] = []
        self._stack = stack
        if server:
            self.server = server
        self.service = self.process("service", "service/.venv/bin/service", "serve")
        self.model = self.process("model", "model/.venv/bin/model", "serve")

    def process(self, name: str, *command: str, **settings: str) -> Process:
        """A process with these settings, not yet started; nothing of it outlives this."""
        environment = {**self.environment, **settings}
        process = Process(command, environment, self.folder / f"{name}.log")
        self._stack.callback(process.end)
        return process

    def start(self, fault: str = "") -> None:
        """Start both and wait until they answer.

        Args:
            fault: that of a fake model server, which takes the place of the true one.
        """
        SOCKET.unlink(missing_ok=True)
        run("service/.venv/bin/service", "migrate", **self.environment)
        self.model.start()
        self.service.start(self.listeners)
        self._wait_for_service()
        if fault:
            answers = {method: self.ask_model(method)[1] for method in ("GET", "POST")}
            self.model.stop()
            told = self.folder / "answers.json"
            told.write_text(json.dumps(answers))
            command = (sys.executable, str(FAKE), str(SOCKET), fault, str(told))
            self.model = self.process("fake", *command)
            self.model.start()
            self._wait_for_service()

    def _wait_for_service(self) -> None:
        wait_until(lambda: self.place()[1] == "model", f"the model answers; see {self.folder}")

    def wait_for_model(self) -> None:
        """Return once the model server answers."""
        wait_until(lambda: self.ask_model("GET")[0] == 200, f"it answers; see {self.folder}")

    def load(self, **plan: Any) -> AbstractContextManager[Callable[[], Report]]:
        """Load on the product's first route; see `Plan`."""
        return load(Plan(self.port, f"/{PLURAL}", ROW, secrets.token_hex(5), **plan))

    @contextmanager
    def crowd(self, **plan: Any) -> Iterator[list[Report]]:
        """Further load, whose rows are counted at the end; its report once it is over."""
        found: list[Report] = []
        with self.load(**plan) as report:
            yield found
            found.append(report())
        self.reports += found

    def expect(self, holds: bool, complaint: str) -> None:
        """Note what did not go as it should, for the verdict."""
        if not holds:
            self.complaints.append(complaint)

    def does(self, *command: str, **settings: str) -> bool:
        """Whether a command of the project succeeds."""
        try:
            run(*command, **{**self.environment, **settings})
        except subprocess.CalledProcessError:
            return False
        return True

    def versions(self) -> list[Path]:
        """The folders of the model's versions, the current one first."""
        log = (self.store / "log.jsonl").read_text("utf-8")
        current = json.loads(log.splitlines()[-1])["to"]
        folders = (each.parent for each in self.store.glob("*/manifest.json"))
        return sorted(folders, key=lambda folder: folder.name != current)

    def serve_version(self, version: str) -> None:
        """Promote a version, and return once the model server has changed over to it."""
        force = ("--force", "--reason", "chaos")
        run("model/.venv/bin/model", "promote", version, *force, **self.environment)

        def is_served() -> bool:
            return bool(self.ask_model("GET")[1].get("versions") == [version])

        wait_until(is_served, f"version {version} is served; see {self.folder}")

    def kill_master(self, side: Process) -> None:
        """Kill a master; its orphaned workers have to end by themselves."""
        workers = side.workers()
        side.stop(signal.SIGKILL)
        try:
            wait_until(lambda: not any(map(is_alive, workers)), "orphans end", 3)
        except TimeoutError:
            self.complaints.append("an orphaned worker goes on")
            for pid in filter(is_alive, workers):
                os.kill(pid, signal.SIGKILL)

    def place(self, port: int = 0, **headers: str) -> tuple[int, str]:
        """The status of the answer to one request (0: none), and who served it."""
        headers = {"Content-Type": "application/json", **headers}
        status, body = ask(
            HTTPConnection("127.0.0.1", port or self.port, timeout=5),
            "POST",
            f"/{PLURAL}",
            ROW,
            headers,
        )
        return status, body.get("metadata", {}).get("served_by", "")

    def ready(self) -> int:
        """The status of `/readyz`; 0 without an answer."""
        return ask(HTTPConnection("127.0.0.1", self.port, timeout=5), "GET", "/readyz")[0]

    def ask_model(
        self, method: str = "POST", token: str | None = None, context: ssl.SSLContext | None = None
    ) -> tuple[int, Any]:
        """The status and JSON of the model server's own answer, over its socket or port."""
        connection: HTTPConnection = Local("localhost", timeout=5)
        if context:
            connection = HTTPSConnection("127.0.0.1", self.model_port, timeout=5, context=context)
        elif self.environment["MODEL_URL"].startswith("http:"):
            connection = HTTPConnection("127.0.0.1", self.model_port, timeout=5)
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        path = f"/v2/models/{MODEL_NAME}"
        if method == "GET":
            return ask(connection, method, path, None, headers)
        return ask(connection, method, f"{path}/infer", question(), headers)

    def rows(self) -> tuple[set[int], list[tuple[int, str]]]:
        """The ids of the product's rows, and of each prediction its row and its request's id."""
        engine = create_engine(Settings(database_url=self.environment["DATABASE_URL"]).database_url)
        with engine.connect() as connection:
            ids = {*connection.scalars(select(column("id")).select_from(table(PLURAL)))}
            columns: tuple[Any, ...] = (column(f"{ENTITY}_id"), column("request_id"))
            made = connection.execute(select(*columns).select_from(table("predictions")))
            return ids, [(row, request_id) for row, request_id in made]
