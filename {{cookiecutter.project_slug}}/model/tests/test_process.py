"""The server as real processes on a real socket."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from conftest import INFER, REQUEST, TOKENS

from model.serving import private_socket
from model.store import Store

MODEL = str(Path(sys.executable).with_name("model"))
AUTHORIZATION = {"Authorization": f"Bearer {TOKENS[1]}"}


class Connection(HTTPConnection):
    """An HTTP connection to a port of this machine, or to a socket by its path."""

    def __init__(self, at: int | Path) -> None:
        super().__init__("127.0.0.1", at if isinstance(at, int) else 80, timeout=10)
        self._path = None if isinstance(at, int) else str(at)

    def connect(self) -> None:
        if self._path is None:
            return super().connect()
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self._path)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        """One request; the status and the body of its response."""
        self.request(method, path, body, {**AUTHORIZATION, **headers})
        response = self.getresponse()
        return response.status, response.read()


def ask(at: int | Path, method: str, path: str, body: Any = None, **headers: str) -> int:
    """One request on a connection of its own; the status."""
    with closing(Connection(at)) as connection:
        return connection.ask(method, path, body, **headers)[0]


def start(url: str, store: Path, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    """A server that may not listen yet."""
    given = {
        "MODEL_URL": url,
        "MODEL_STORE": str(store),
        "MODEL_TOKENS": ",".join(TOKENS),
        "LOG_FORMAT": "json",
        **environment,
    }
    return subprocess.Popen(
        [MODEL, "serve"],
        cwd=cwd,
        env={**os.environ, **given},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait(at: int | Path, process: subprocess.Popen[str]) -> None:
    """Until it is ready."""
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if ask(at, "GET", "/v2/health/ready") == 200:
                return
        except OSError:
            time.sleep(0.05)
    process.kill()
    raise AssertionError(process.communicate()[0])


def stop(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Ask it to stop; its log lines."""
    process.terminate()
    try:
        out, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0, out
    return [json.loads(line) for line in out.splitlines()]


def refusal(url: str, store: Path, cwd: Path) -> str:
    """The one line in which it refuses to start."""
    process = start(url, store, cwd)
    try:
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 1, out
    (line,) = out.splitlines()
    return str(line)


@pytest.fixture(scope="module")
def folder(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working directory in which a server listens, where the socket of another was left."""
    folder = tmp_path_factory.mktemp("p")
    path = folder / "run/deep/model.sock"
    path.parent.mkdir(mode=0o700, parents=True)
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
    process = start(f"http+unix://{path.relative_to(folder)}", store.path, folder)
    wait(path, process)
    yield folder
    lines = stop(process)
    assert not path.exists()
    assert ["SYNTHETIC" in line["event"] for line in lines if line["level"] == "warning"] == [True]
    assert not [line for line in lines if line["level"] in ("error", "critical")]
    asked = [line for line in lines if line.get("request_id") == "from-the-service"]
    assert [(line["status"], line["rows"]) for line in asked] == [(200, 2)] * 3
    assert all(line["duration_ms"] > 0 for line in asked)


@pytest.fixture
def path(folder: Path) -> Path:
    """The socket of that server."""
    return folder / "run/deep/model.sock"


def test_the_socket_is_private(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_connection_serves_one_request_after_another(path: Path, store: Store) -> None:
    with closing(Connection(path)) as connection:
        for _ in range(3):
            status, body = connection.ask(
                "POST", INFER, json.dumps(REQUEST), **{"X-Request-ID": "from-the-service"}
            )
            assert (status, json.loads(body)["model_version"]) == (200, store.current())
        assert connection.ask("POST", INFER, "{}", Authorization="Bearer wrong")[0] == 401


def test_pipelined_requests_are_answered_in_order(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as pipe:
        pipe.settimeout(10)
        pipe.connect(str(path))
        head = f"Host: model\r\nAuthorization: {AUTHORIZATION['Authorization']}\r\n"
        body = json.dumps({**REQUEST, "id": "first"})
        pipe.sendall(
            f"POST {INFER} HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}"
            f"GET /v2/health/live HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode()
        )
        answers = b"".join(iter(lambda: pipe.recv(65536), b""))
    assert 0 < answers.index(b'"id":"first"') < answers.index(b'"live":true')


def test_a_refusal_waits_until_the_body_is_sent(path: Path) -> None:
    body = json.dumps(REQUEST).encode()
    with closing(begin(path, body[:10], len(body), Authorization="Bearer wrong")) as connection:
        time.sleep(0.05)
        connection.send(body[10:])
        assert connection.getresponse().status == 401


def test_who_leaves_in_the_middle_harms_nobody(path: Path) -> None:
    with closing(begin(path, b"{", 1000)):
        pass
    assert ask(path, "POST", INFER, json.dumps(REQUEST)) == 200


def begin(at: int | Path, body: bytes, length: int, **headers: str) -> Connection:
    """A request of which only a part was sent."""
    connection = Connection(at)
    connection.putrequest("POST", INFER)
    for name, value in {**AUTHORIZATION, "Content-Length": str(length), **headers}.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    return connection


def test_a_second_server_does_not_take_the_socket_away(
    folder: Path, path: Path, store: Store
) -> None:
    assert "listening" in refusal(f"http+unix://{path}", store.path, folder)
    assert ask(path, "GET", "/v2/health/live") == 200


def test_on_a_port(store: Store, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = start(
        f"http://127.0.0.1:{port}",
        store.path,
        tmp_path,
        MODEL_WORKERS="2",
        MODEL_MAX_BODY="100kB",
    )
    wait(port, process)
    body = json.dumps(REQUEST).encode()
    chunks = [b" " * 30_000] * 3
    assert ask(port, "POST", INFER, iter([body, *chunks[:1]])) == 200
    assert ask(port, "POST", INFER, iter([body, *chunks, *chunks])) == 413
    assert ask(port, "POST", INFER, b" " * 100_001) == 413
    with closing(begin(port, b"", len(body), Expect="100-continue")) as connection:
        assert connection.sock.recv(65536).startswith(b"HTTP/1.1 100 ")  # it is under way
        process.terminate()
        time.sleep(0.3)
        connection.send(body)
        assert connection.getresponse().status == 200  # what is under way is answered to the end
    lines = stop(process)
    assert not [line for line in lines if line["level"] in ("error", "critical")]


def test_folders_that_are_made_for_a_socket_are_private(tmp_path: Path) -> None:
    private_socket(str(tmp_path / "made/for it/model.sock"))
    for folder in ("made", "made/for it"):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700


def test_what_must_not_be_served_is_refused(store: Store, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    said = refusal(f"http+unix://{tmp_path}/s", store.path, tmp_path)
    assert "open to other users" in said
    assert "chmod" not in said  # of a folder like /tmp that would lock others out
    long = f"http+unix://{tmp_path}/{'x' * 120}/model.sock"
    assert "107 bytes" in refusal(long, store.path, tmp_path)
    precious = tmp_path / "run/model.sock"
    precious.parent.mkdir(mode=0o700)
    precious.write_text("precious")
    assert "not a socket" in refusal(f"http+unix://{precious}", store.path, tmp_path)
    assert precious.read_text() == "precious"
    spoilt = tmp_path / "store"
    shutil.copytree(store.path, spoilt)
    (spoilt / store.current() / "model.joblib").write_bytes(b"spoilt")
    said = refusal(f"http+unix://{tmp_path}/private/model.sock", spoilt, tmp_path)
    assert "not the file that was stored" in said


def test_importing_the_server_imports_no_training_code() -> None:
    code = (
        "import sys, model.cli, model.library, model.server, model.serving\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "assert not loaded & {'sklearn', 'pandas', 'joblib', 'scipy', 'onnx', 'pyarrow'}, loaded\n"
        "assert 'model.training' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_compiled_version_is_served_without_scikit_learn(
    compiled: bool, store: Store, uncompiled_store: Store
) -> None:
    code = (
        "import json, sys, model.library\n"
        "engine = model.library.open_engine(sys.argv[1])\n"
        "engine.infer(json.loads(sys.argv[2]))\n"
        "print(json.dumps(sorted({'sklearn', 'pandas', 'onnxruntime'} & set(sys.modules))))\n"
    )
    path = (store if compiled else uncompiled_store).path
    command = [sys.executable, "-c", code, str(path), json.dumps(REQUEST)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    loaded = json.loads(said.splitlines()[-1])
    assert loaded == (["onnxruntime"] if compiled else ["pandas", "sklearn"])


def test_importing_the_library_imports_no_server() -> None:
    code = "import sys, model.library; assert not {'gunicorn', 'starlette'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
