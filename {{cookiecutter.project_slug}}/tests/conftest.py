"""The pair from outside: real processes, real sockets, a real database.

Nothing here imports from service/, model/ or contract/; what the pair is about is read from the
golden messages and from the examples, as data.
"""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

ROOT = Path(__file__).resolve().parent.parent
PLURAL = "{{ cookiecutter.__plural }}"
CONTRACT = ROOT / "contract/src/contract"
GOLDEN = json.loads(
    max((CONTRACT / "golden").glob("*.json"), key=lambda path: int(path.stem)).read_text("utf-8")
)
COLUMNS: list[dict[str, Any]] = GOLDEN["columns"]
TARGET: str = COLUMNS[-1]["name"]
EXAMPLES: list[dict[str, Any]] = json.loads((CONTRACT / "examples.json").read_text("utf-8"))
TOKEN = secrets.token_urlsafe()


def row(number: int = 0) -> dict[str, Any]:
    """One of the examples, as a client sends it."""
    example = EXAMPLES[number % len(EXAMPLES)]
    return {name: value for name, value in example.items() if name != TARGET}


def outcome(number: int = 0) -> dict[str, Any]:
    """How that example turned out."""
    return {TARGET: EXAMPLES[number % len(EXAMPLES)][TARGET]}


def run(unit: str, *arguments: object, **environment: str) -> str:
    """Run a unit's command; what it prints."""
    command = [str(each) for each in (ROOT / unit / ".venv/bin" / unit, *arguments)]
    variables = {**os.environ, **environment}
    done = subprocess.run(command, cwd=ROOT, env=variables, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode()


def current(store: Path) -> str:
    """The version of a store that is current, by its log."""
    version: str = json.loads((store / "log.jsonl").read_text("utf-8").splitlines()[-1])["to"]
    return version


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port for one server; while it is bound here, no other process gets it."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        if sys.platform != "linux":  # where the server could not have it either
            holder.close()
        yield port


def wait_until(holds: Callable[[], Any], message: Callable[[], object], within: float) -> Any:
    """The first true result; after so many seconds without one, a failure with this message."""
    deadline = time.monotonic() + within
    while not (found := holds()):
        assert time.monotonic() < deadline, message()
        time.sleep(0.05)
    return found


def pytest_sessionstart() -> None:
    """Run from the project's root: a socket's path may have 107 bytes, so it stays relative.

    With the umask that most shells have, so that whatever is private made itself so.
    """
    os.chdir(ROOT)
    os.umask(0o022)


class Process:
    """One side of the pair as its own process, its log in a file."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.command = command
        self.environment = {**os.environ, **environment}
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, without waiting for anything."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, cwd=ROOT, env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )

    @property
    def pid(self) -> int:
        """Of the process that was started."""
        assert self._process
        return self._process.pid

    def stop(self) -> int:
        """Ask it to stop; its exit status."""
        if self._process is None:
            return 0
        self._process.terminate()
        status = self._process.wait(30)
        self._process = None
        return status

    def has_logged(self, field: str, value: str) -> None:
        """Wait for a line in JSON with this field, since a line may follow its answer."""

        def lines() -> list[str]:
            text = self.log.read_text("utf-8", errors="replace")
            return text[: text.rfind("\n") + 1].splitlines()

        wait_until(
            lambda: any(
                json.loads(line).get(field) == value for line in lines() if line.startswith("{")
            ),
            lambda: f"no line has {field}={value}:\n{lines()}",
            30,
        )


class Pair:
    """A service and its model server, each of which can be stopped and started again.

    Args:
        model_url: by default a socket; PORT in it becomes a port that is free.
    """

    def __init__(self, folder: Path, store: Path, database: str, model_url: str = "") -> None:
        self.socket = Path(f"run/test-{secrets.token_hex(4)}/model.sock")
        self._stack = ExitStack()
        port, ops_port, model_port = (self._stack.enter_context(reserved_port()) for _ in range(3))
        self.model_url = model_url.replace("PORT", str(model_port)) or f"http+unix://{self.socket}"
        self.url = f"http://127.0.0.1:{port}"
        self.has_server = not self.model_url.startswith(("library:", "subprocess:"))
        environment = {
            "DATABASE_URL": database,
            "LOG_FORMAT": "json",
            "MODEL_STORE": str(store),
            "MODEL_DEADLINE": "10",
            "MODEL_TOKENS": TOKEN,
            "MODEL_URL": self.model_url,
            "PORT": str(port),
            "OPS_PORT": str(ops_port),
        }
        venv = "dev/.venv" if self.model_url.startswith("library:") else "service/.venv"
        service = str(ROOT / venv / "bin/service")
        model = str(ROOT / "model/.venv/bin/model")
        subprocess.run(
            [service, "migrate"], cwd=ROOT, env={**os.environ, **environment}, check=True
        )
        self.service = Process([service, "serve"], environment, folder / "service.log")
        self.model = Process([model, "serve"], environment, folder / "model.log")
        self.client = httpx.Client(base_url=self.url, timeout=30)
        self.operators = httpx.Client(base_url=f"http://127.0.0.1:{ops_port}", timeout=30)
        self.private = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(self.socket)),
            base_url="http://model",
            headers={"Authorization": f"Bearer {TOKEN}"},
        )

    @contextmanager
    def running(self) -> Iterator["Pair"]:
        """Start both, which are ready then; stopped at the end."""
        if self.has_server:
            self.model.start()
        self.service.start()
        try:
            self.wait("ok")
            yield self
        finally:
            self.stop()

    def wait(self, model: str, within: float = 60) -> None:
        """Wait until the service is ready, with its model `ok` or `degraded`."""

        def ready() -> Any:
            with suppress(httpx.TransportError):
                answer = self.client.get("/readyz")
                return answer.status_code == 200 and answer.json()["model"] == model

        def logs() -> str:
            files = (side.log for side in (self.service, self.model) if side.log.exists())
            texts = (file.read_text() for file in files)
            return "\n".join([f"/readyz does not say {model}:", *texts])

        wait_until(ready, logs, within)

    def place(self, number: int = 0) -> dict[str, Any]:
        """Place one of the examples; the answer."""
        answer = self.client.post(f"/{PLURAL}", json=row(number))
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def stop(self) -> None:
        """Stop both, the service first."""
        self.service.stop()
        self.model.stop()
        for each in (self.client, self.operators, self.private):
            each.close()
        self._stack.close()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model store with one version, trained on the history."""
    folder = tmp_path_factory.mktemp("store")
    run("model", "train", "--force", MODEL_STORE=str(folder))
    return folder


@pytest.fixture(scope="session")
def manifest(store: Path) -> dict[str, Any]:
    """The manifest of the version in the store."""
    shown: dict[str, Any] = json.loads(run("model", "show", "--json", MODEL_STORE=str(store)))
    return shown


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of an empty database of each kind; PostgreSQL's server is TEST_POSTGRES_URL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('database') / 'test.db'}"
        return
    server = os.environ.get("TEST_POSTGRES_URL")
    if not server:
        reason = "TEST_POSTGRES_URL is not set: nothing was tested on PostgreSQL"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield f"{server.rpartition('/')[0]}/{name}"
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def pair(store: Path, database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """The pair, ready, on each kind of database. A test that stops a side starts it again."""
    with Pair(tmp_path_factory.mktemp("pair"), store, database).running() as pair:
        yield pair
