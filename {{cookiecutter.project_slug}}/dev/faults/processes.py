"""The pair under test: real processes, with a database, a store and sockets of their own."""

import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import create_engine, text

from contract import MODEL_NAME, TARGET, examples
from demo import PLURAL, reserved_port
from faults.load import Load, Plan, Report
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
ROW = {name: value for name, value in examples()[0].items() if name != TARGET.name}
HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


def run(*command: str | Path, **environment: str) -> None:
    """Run a command of the project; raises CalledProcessError with what it said."""
    subprocess.run(
        command,
        env={**os.environ, **environment},
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


class Process:
    """One side of the pair: a process and its workers, which can be killed and started again."""

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.command, self.environment, self.log = command, dict(environment), log
        self.pid = 0
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, listener: socket.socket | None = None) -> None:
        """Start it, where wanted with a socket that is handed over as systemd does it."""
        command, fds = self.command, []
        if listener:
            fds = [listener.fileno()]
            command = [sys.executable, "-c", HAND_OVER, str(fds[0]), *command]
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
    """The pair of one scenario, which is ready on entering.

    Args:
        name: of its folder in var/chaos/.
        settings: what to set beyond a socket, a token and a database of its own; PORT stands for
            the model server's port, FOLDER for the folder.
        postgres: the server of its database; without one it is SQLite.
        fake: the fault of a model server that takes the true one's place.
        handed_over: whether the service gets its listening socket from here.

    Attributes:
        complaints: what did not go as it should.
        reports: of loads beside the constant one.
    """

    def __init__(
        self,
        name: str,
        settings: Mapping[str, str],
        postgres: Postgres | None = None,
        fake: str = "",
        handed_over: bool = False,
    ) -> None:
        self.folder = FOLDER / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.store = self.folder / "store"
        shutil.copytree(TRAINED, self.store)
        self.token = secrets.token_urlsafe(32)
        self.stack = ExitStack()
        self.port, self.ops_port, self.model_port, self.spare_port = (
            self.stack.enter_context(reserved_port()) for _ in range(4)
        )
        SOCKET.unlink(missing_ok=True)
        self.environment = {
            "DATABASE_URL": postgres.url if postgres else f"sqlite:///{self.folder}/service.db",
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
        self.listener = None
        if handed_over:
            self.listener = self.stack.enter_context(socket.socket())
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind(("127.0.0.1", self.port))
            self.listener.listen(2048)
        self.service = self.process("service", "service/.venv/bin/service", "serve")
        self.model = self.process("model", "model/.venv/bin/model", "serve")
        self._postgres = postgres
        self.complaints: list[str] = []
        self.reports: list[Report] = []
        self._fault = fake
        self._loads = 0

    def process(self, name: str, *command: str, **settings: str) -> Process:
        """A process with these settings, not yet started; nothing of it outlives this."""
        environment = {**self.environment, **settings}
        process = Process([*command], environment, self.folder / f"{name}.log")
        self.stack.callback(process.end)
        return process

    def __enter__(self) -> Self:
        try:
            run("service/.venv/bin/service", "migrate", **self.environment)
            self.model.start()
            self.service.start(self.listener)
            self.wait_for_service()
            if self._fault:
                self._fake(self._fault)
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stack.close()

    def load(self, **plan: Any) -> Load:
        """Constant load; see `Plan`."""
        self._loads += 1
        name = f"{secrets.token_hex(4)}{self._loads}"
        return Load(Plan(self.port, f"/{PLURAL}", json.dumps(ROW), name, **plan))

    @property
    def postgres(self) -> Postgres:
        """The server of its database."""
        assert self._postgres
        return self._postgres

    @contextmanager
    def crowd(self, **plan: Any) -> Iterator[list[Report]]:
        """Further load, whose rows are counted at the end; its report once it is over."""
        found: list[Report] = []
        with self.load(**plan) as load:
            yield found
            found.append(load.report())
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
        current = (self.store / "current").read_text().strip()
        folders = (each for each in self.store.iterdir() if (each / "manifest.json").exists())
        return sorted(folders, key=lambda folder: folder.name != current)

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

    def rows(self) -> tuple[set[int], list[tuple[int, str]]]:
        """The ids of the product's rows, and of each prediction its row and its request's id."""
        engine = create_engine(Settings(database_url=self.environment["DATABASE_URL"]).database_url)
        with engine.connect() as connection:
            ids = {*connection.scalars(text(f"SELECT id FROM {PLURAL}"))}
            made = connection.execute(text(f"SELECT {ENTITY}_id, request_id FROM predictions"))
            return ids, [(row, request_id) for row, request_id in made]

    def wait_for_service(self) -> None:
        """Return once the service answers by the model."""
        wait_until(lambda: self.place()[1] == "model", f"the model answers; see {self.folder}")

    def wait_for_model(self) -> None:
        """Return once the model server answers."""

        def answers() -> bool:
            with suppress(OSError, http.client.HTTPException):
                return self.ask_model("GET")[0] == 200
            return False

        wait_until(answers, f"the model server answers; see {self.folder}")

    def place(self, port: int = 0, **headers: str) -> tuple[int, str]:
        """The status of the answer to one request (0: none), and who served it."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=5)
        headers = {"Content-Type": "application/json", **headers}
        try:
            connection.request("POST", f"/{PLURAL}", json.dumps(ROW), headers)
            answer = connection.getresponse()
            body = json.loads(answer.read() or b"{}")
            return answer.status, body.get("metadata", {}).get("served_by", "")
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def ready(self) -> int:
        """The status of `/readyz`; 0 without an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def ask_model(
        self, method: str = "POST", token: str | None = None, context: ssl.SSLContext | None = None
    ) -> tuple[int, Any]:
        """The status and the JSON of the model server's own answer over its socket or port."""
        connection = http.client.HTTPConnection("127.0.0.1", self.model_port, timeout=5)
        if context:
            connection = http.client.HTTPSConnection(
                "127.0.0.1", self.model_port, timeout=5, context=context
            )
        elif self.environment["MODEL_URL"].startswith("http+unix:"):
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(str(SOCKET))
        token = self.token if token is None else token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        path = f"/v2/models/{MODEL_NAME}" + ("/infer" if method == "POST" else "")
        try:
            connection.request(method, path, question() if method == "POST" else None, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def toggle_fault(self) -> None:
        """Begin the fault of the fake model server, or end it."""
        self.model.send(signal.SIGUSR1)

    def _fake(self, fault: str) -> None:
        answers = {method: self.ask_model(method)[1] for method in ("GET", "POST")}
        self.model.stop()
        told = self.folder / "answers.json"
        told.write_text(json.dumps(answers))
        command = ["/bin/sh", "-c", f'exec "$@" <{told}', "sh", sys.executable, str(FAKE)]
        self.model = self.process("fake", *command, str(SOCKET), fault)
        self.model.start()
        self.wait_for_service()


def question() -> str:
    """An inference request of one row, as the contract pins it."""
    golden = max(GOLDEN.glob("*.json"), key=lambda path: int(path.stem))
    inputs = json.loads(golden.read_text("utf-8"))["request"]["inputs"]
    rows = [{**each, "shape": [1], "data": each["data"][:1]} for each in inputs]
    return json.dumps({"id": "chaos", "inputs": rows})
