"""The front as a real process before real model servers, Redis and PostgreSQL."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

DISH = Path(__file__).resolve().parent.parent
PROJECT = DISH.parent.parent
MODEL = PROJECT / "model/.venv/bin/model"
TOKEN = secrets.token_urlsafe(32)
"""What the callers of the front show."""


def not_run(reason: str) -> None:
    """Skip the test, or fail where nobody would see that it is skipped."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def wait_until(holds: Callable[[], Any], what: str, within: float = 30) -> Any:
    """The first true result; a failure if there is none for so many seconds."""
    deadline = time.monotonic() + within
    while not (found := holds()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port for one server; while it is bound here, no other process gets it."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def listens(address: Path | tuple[str, int]) -> bool:
    """Whether a server takes connections; httpx2 leaks a socket where none does."""
    family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
    with socket.socket(family) as probe:
        return probe.connect_ex(address if isinstance(address, tuple) else str(address)) == 0


class Process:
    """A process of the test's own, which can be stopped, killed and started again."""

    def __init__(self, command: Sequence[object], cwd: Path = PROJECT, **environment: Any) -> None:
        self._command = [str(each) for each in command]
        self._options: dict[str, Any] = {"cwd": cwd, "env": {**os.environ, **environment}}
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, **self._options)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        """A signal to it and to its children, as gunicorn has some."""
        children = f"/proc/{self.pid}/task/{self.pid}/children"
        for each in [self.pid, *map(int, Path(children).read_text().split())]:
            os.kill(each, number)

    def kill(self) -> None:
        if self._process.poll() is None:
            self.send(signal.SIGKILL)
        self._process.wait(30)

    def stop(self) -> None:
        if self._process.poll() is None:
            self.send(signal.SIGCONT)
            self._process.terminate()
            self._process.wait(30)


class Server:
    """A model server at a socket, the project's own or a fake one."""

    def __init__(self, folder: Path, name: str, command: Sequence[object], **settings: Any) -> None:
        self.name, self.socket = name, folder / f"{name}.sock"
        self.token = secrets.token_urlsafe(32)
        self.tokens_file = folder / f"{name}.tokens"
        self.tokens_file.write_text(self.token)
        transport = httpx2.HTTPTransport(uds=str(self.socket))
        headers = {"Authorization": f"Bearer {self.token}"}
        self.client = httpx2.Client(
            transport=transport, base_url="http://x", headers=headers, timeout=60
        )
        own: Any = {"MODEL_URL": f"http+unix://{self.socket}", "MODEL_TOKENS": self.token}
        self.process = Process([*command], **own, **settings)

    def stop(self) -> None:
        self.client.close()
        self.process.stop()

    def wait(self, path: str) -> None:
        """Wait until it answers."""
        wait_until(lambda: listens(self.socket), f"{self.name} does not listen")
        wait_until(lambda: self.client.get(path).status_code == 200, f"{self.name} is not ready")

    def section(self, upstream: str = "", **settings: Any) -> dict[str, Any]:
        """What stands of it in the front's configuration."""
        url = f"http+unix://{self.socket}" + (f"/v2/models/{upstream}" if upstream else "")
        known = {"name": self.name, "url": url, "tokens_file": str(self.tokens_file)}
        return {**known, "timeout_ms": 20_000, **settings}


class Fake(Server):
    """One that does what the test says."""

    def __init__(self, folder: Path, name: str, **told: Any) -> None:
        fake = Path(__file__).with_name("fake.py")
        super().__init__(folder, name, [sys.executable, fake, folder / f"{name}.sock", name])
        self.wait("/seen")
        self.tell(token=self.token, **told)

    def stop(self) -> None:
        self.client.close()
        self.process.kill()

    def tell(self, **told: Any) -> None:
        self.client.post("/told", json=told).raise_for_status()

    def seen(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get("/seen").json()
        return found


class Front:
    """The front; requests go to it through a socket, or through `port` too if there is one."""

    def __init__(
        self, folder: Path, models: list[dict[str, Any]], port: int = 0, **more: Any
    ) -> None:
        self.folder = folder
        self.address = ("127.0.0.1", port) if port else folder / "front.sock"
        (folder / "callers").write_text(TOKEN)
        callers = {"orders": {"tokens_file": str(folder / "callers")}} | more.pop("callers", {})
        config = folder / "front.toml"
        config.write_text(toml({"callers": callers, "models": models, **more}))
        where = ["--port", str(port)] if port else ["--uds", folder / "front.sock"]
        uvicorn = [sys.executable, "-m", "uvicorn", "--factory", "front.app:create_app"]
        command = [*uvicorn, "--no-access-log", *where]
        self.process = Process(command, DISH, FRONT_CONFIG=str(config))
        transport = None if port else httpx2.HTTPTransport(uds=str(self.address))
        self.client = httpx2.Client(
            transport=transport,
            base_url=f"http://127.0.0.1:{port}" if port else "http://front",
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=60,
        )

    def stop(self) -> None:
        self.client.close()
        self.process.stop()

    def wait(self, *names: str) -> None:
        """Wait until it has seen these models."""
        wait_until(lambda: listens(self.address), "the front does not listen")
        for name in names:
            unseen = f"the front does not see {name}"
            wait_until(partial(self._is_ready, f"/v2/models/{name}"), unseen)

    def _is_ready(self, path: str) -> bool:
        return self.client.get(f"{path}/ready").status_code == 200

    def infer(self, name: str, *data: Any, **more: Any) -> httpx2.Response:
        """Ask a fake of the one feature `size`."""
        return self.client.post(f"/v2/models/{name}/infer", json=asking(*data), **more)

    def kept(self, name: str, request: dict[str, Any]) -> httpx2.Response:
        """The answer from the cache: at once, if Redis on a busy machine is within its time."""

        def ask() -> httpx2.Response | None:
            answer = self.client.post(f"/v2/models/{name}/infer", json=request)
            assert answer.status_code == 200, answer.text
            return answer if answer.headers["X-Cache"] == "hit" else None

        found: httpx2.Response = wait_until(ask, "not kept")
        return found


def asking(*data: Any, **more: Any) -> dict[str, Any]:
    """A request with these values of `size`, one a row."""
    tensor = {"name": "size", "datatype": "FP64", "shape": [len(data)], "data": list(data)}
    return {"inputs": [tensor], **more}


def toml(content: dict[str, Any]) -> str:
    """TOML in which every value stands in line, which JSON's are but for objects."""

    def value(each: Any) -> str:
        if isinstance(each, dict):
            return (
                f"{{{', '.join(f'{json.dumps(key)} = {value(it)}' for key, it in each.items())}}}"
            )
        if isinstance(each, list):
            return f"[{', '.join(map(value, each))}]"
        return json.dumps(each)

    return "\n".join(f"{key} = {value(each)}" for key, each in content.items())


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is to be undone at the end of a test."""
    with ExitStack() as stack:
        yield stack


def private_folder(stack: ExitStack) -> Path:
    """A folder of this user alone with a short path, since a socket's has at most 107 bytes."""
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="front-", dir="/tmp")))


@pytest.fixture
def folder(stack: ExitStack) -> Path:
    return private_folder(stack)


@pytest.fixture
def fake(stack: ExitStack, folder: Path) -> Callable[..., Fake]:
    """`fake(name, **told)` starts a fake model server."""

    def start(name: str, **told: Any) -> Fake:
        server = Fake(folder, name, **told)
        stack.callback(server.stop)
        return server

    return start


@pytest.fixture
def front(stack: ExitStack, folder: Path) -> Callable[..., Front]:
    """`front([section, …], **more)` starts the front; it waits for models that are to be seen."""

    def start(models: list[dict[str, Any]], seen: bool = True, **more: Any) -> Front:
        front = Front(folder, models, **more)
        stack.callback(front.stop)
        front.wait(*({each["name"] for each in models} if seen else ()))
        return front

    return start


@pytest.fixture
def redis(stack: ExitStack, folder: Path) -> Process:
    """A Redis of its own, at `redis.sock` in the folder."""
    program = shutil.which("redis-server")
    if program is None:
        not_run("redis-server is not installed: nothing was tested of the cache")
        raise AssertionError
    where = ["--port", "0", "--unixsocket", folder / "redis.sock", "--dir", folder]
    quiet = ["--save", "", "--logfile", folder / "redis.log"]
    process = Process([program, *where, *quiet], folder)
    stack.callback(process.stop)
    wait_until(lambda: listens(folder / "redis.sock"), "Redis does not start")
    return process


@pytest.fixture
def database(stack: ExitStack) -> str:
    """The URL of an empty database; PostgreSQL's server is TEST_POSTGRES_URL."""
    server = os.environ.get("TEST_POSTGRES_URL")
    if not server:
        not_run("TEST_POSTGRES_URL is not set: nothing was tested of the enrichment")
        raise AssertionError
    name = f"front_{secrets.token_hex(6)}"
    connection = stack.enter_context(psycopg.connect(server, autocommit=True))
    connection.execute(f"CREATE DATABASE {name}")
    stack.callback(connection.execute, f"DROP DATABASE {name} WITH (FORCE)")
    return f"{server.rpartition('/')[0]}/{name}"


@pytest.fixture(scope="session")
def model() -> Iterator[Server]:
    """The project's own model server, with the current version."""
    with ExitStack() as stack:
        server = Server(private_folder(stack), "own", [MODEL, "serve"], LOG_LEVEL="warning")
        stack.callback(server.stop)
        server.wait("/v2/health/ready")
        yield server


@pytest.fixture(scope="session")
def manifest() -> dict[str, Any]:
    """What the current version is."""
    shown = subprocess.run([MODEL, "show", "--json"], cwd=PROJECT, check=True, capture_output=True)
    found: dict[str, Any] = json.loads(shown.stdout)
    return found


@pytest.fixture(scope="session")
def rows() -> list[dict[str, Any]]:
    """The rows by which the current version is compared with scikit-learn."""
    with ExitStack() as stack:
        file = private_folder(stack) / "rows"
        subprocess.run([MODEL, "parity", file], cwd=PROJECT, check=True)
        return [json.loads(line) for line in file.read_text("utf-8").splitlines()]
