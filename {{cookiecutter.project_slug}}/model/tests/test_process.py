"""The server as real processes on a real socket, with the settings that it is run with."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import INFER, REQUEST
from support import BODY, Server, ask, connected, eventually, serving

from model.artifacts.store import Store
from model.errors import ModelError
from model.serving import check
from model.serving.server import KEEPALIVE_SECONDS
from model.serving.unix import private_socket

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server at a socket, where the socket of another was left."""
    folder = tmp_path_factory.mktemp("p")
    path = folder / "run/deep/model.sock"
    path.parent.mkdir(mode=0o700, parents=True)
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
    with serving(store, folder, "http+unix://run/deep/model.sock") as server:
        yield server
    assert not path.exists()
    warnings = [line["event"] for line in server.lines("level", "warning")]
    assert ["SYNTHETIC" in warning for warning in warnings] == [True]


def test_a_connection_to_the_private_socket_serves_requests_that_are_logged(
    server: Server, store: Store
) -> None:
    assert stat.S_IMODE(Path(str(server.at)).stat().st_mode) == 0o600
    for pid in (server.process.pid, *server.workers()):
        assert "/sklearn/" not in Path(f"/proc/{pid}/maps").read_text()
    with connected(server.at) as connection:
        for number in range(3):
            status, body = connection.ask(**{"X-Request-ID": f"kept-{number}"})
            assert (status, body["model_version"]) == (200, store.current())
        assert connection.ask(Authorization="Bearer wrong")[0] == 401
    assert eventually(lambda: len(server.lines("request_id", "kept-")) == 3)
    for line in server.lines("request_id", "kept-"):
        assert (line["status"], line["rows"]) == (200, 2)
        assert line["duration_ms"] > 0


def test_a_rejection_waits_until_the_body_is_sent(server: Server) -> None:
    with connected(server.at) as connection:
        connection.begin(BODY[:10], Authorization="Bearer wrong")
        time.sleep(0.05)
        connection.send(BODY[10:])
        assert connection.answer()[0] == 401


def test_a_connection_without_a_request_is_closed_in_time_and_not_before(server: Server) -> None:
    with ExitStack() as stack:
        began = time.monotonic()
        idle, silent, partial = (stack.enter_context(connected(server.at)) for _ in range(3))
        partial.send(f"POST {INFER} HTTP/1.1\r\n".encode())
        assert idle.ask()[0] == 200
        for connection in (idle, silent, partial):
            assert connection.ends()
            assert time.monotonic() - began > KEEPALIVE_SECONDS - 0.1


def test_two_workers_at_a_port_limit_bodies_in_chunks(store: Store, tmp_path: Path) -> None:
    limits = {"MODEL_WORKERS": "2", "MODEL_MAX_BODY": "100kB"}
    with serving(store, tmp_path, "http://127.0.0.1:0", settings=limits) as server:
        assert eventually(lambda: len(server.workers()) == 2)
        assert ask(server.at, iter([BODY, b" " * 30_000])) == 200
        assert ask(server.at, iter([BODY, *[b" " * 30_000] * 6])) == 413


def test_a_stop_answers_what_is_under_way_and_waits_for_nothing_else(
    store: Store, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        # Idle connections that the stop did not close would last until the server is killed.
        server = stack.enter_context(serving(store, tmp_path, KEEPALIVE_SECONDS=1000))
        begun, idle, silent = (stack.enter_context(connected(server.at)) for _ in range(3))
        begun.begin(b"", Expect="100-continue")
        assert begun.sock.recv(65536).startswith(b"HTTP/1.1 100 ")  # it is under way
        assert idle.ask()[0] == 200
        server.process.terminate()
        assert idle.ends()
        assert silent.ends()
        with pytest.raises(OSError, match=r"refused|No such file"):
            ask(server.at)
        begun.send(BODY)
        assert begun.answer()[0] == 200


def test_nothing_is_predicted_for_a_caller_who_left(
    uncompiled_store: Store, tmp_path: Path
) -> None:
    with serving(uncompiled_store, tmp_path) as server:
        (worker,) = server.workers()
        os.kill(worker, signal.SIGSTOP)  # so that all have asked and left before it looks
        for number in range(20):
            with connected(server.at) as connection:
                connection.begin(BODY, **{"X-Request-ID": f"left-{number}"})
        os.kill(worker, signal.SIGCONT)
        assert ask(server.at) == 200
    assert {line["status"] for line in server.lines("request_id", "left-")} == {499}


def test_a_worker_that_dies_is_replaced(store: Store, tmp_path: Path) -> None:
    with serving(store, tmp_path, tolerated=("Worker (pid",)) as server:
        (before,) = server.workers()
        os.kill(before, signal.SIGKILL)
        assert ask(server.at) == 200  # it waits in the queue until the next worker takes it
        assert before not in server.workers()


@pytest.mark.parametrize("url", ["http+unix://run/model.sock", "http://127.0.0.1:0"])
def test_the_check_tells_a_server_that_hangs_from_one_that_answers(
    url: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(store, tmp_path, url) as server:
        at = url.replace(":0", f":{server.at}").replace("run/model.sock", str(server.at))
        monkeypatch.setenv("MODEL_URL", at)
        check.main()
        (worker,) = server.workers()
        os.kill(worker, signal.SIGSTOP)
        with monkeypatch.context() as patch:
            patch.setattr(check, "SECONDS", 0.1)
            with pytest.raises(SystemExit, match="timed out"):
                check.main()
        os.kill(worker, signal.SIGCONT)
        check.main()
    with pytest.raises(SystemExit, match=r"refused|No such file"):
        check.main()


@pytest.mark.parametrize("url", ["", "library:artifacts", "http://", "http://127.0.0.1:nothing"])
def test_the_check_needs_the_url_of_a_server(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_URL", url)
    with pytest.raises(SystemExit, match="model-check"):
        check.main()


def test_a_socket_that_must_not_be_taken_is_rejected(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    path = tmp_path / "run/model.sock"
    with pytest.raises(ModelError, match="open to other users") as caught:
        private_socket(str(tmp_path / "model.sock"))
    assert "chmod" not in str(caught.value)  # of a folder like /tmp that would lock others out
    with pytest.raises(ModelError, match="107 bytes"):
        private_socket(str(tmp_path / ("x" * 120) / "model.sock"))
    private_socket(str(path))
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(ModelError, match=r"listening at .* already"):
            private_socket(str(path))
        assert path.is_socket()
    path.unlink()
    path.touch()
    with pytest.raises(ModelError, match="not a socket"):
        private_socket(str(path))
    assert path.is_file()


@pytest.mark.parametrize("compiled", [True, False])
def test_a_compiled_version_is_served_without_scikit_learn_and_without_telemetry(
    compiled: bool, store: Store, uncompiled_store: Store, tmp_path: Path
) -> None:
    code = (
        "import json, sys, model.serving.library as library\n"
        "library.open_model(sys.argv[1]).infer(json.loads(sys.argv[2]))\n"
        "print(*{name.partition('.')[0] for name in sys.modules})\n"
    )
    path = (store if compiled else uncompiled_store).path
    command = [sys.executable, "-c", code, str(path), json.dumps(REQUEST)]
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    for name in ("CI", "ORT_DISABLE_TELEMETRY"):  # either of which would keep telemetry quiet
        environment.pop(name, None)
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert loaded & {"sklearn", "onnxruntime"} == {"onnxruntime" if compiled else "sklearn"}
    assert not loaded & {"gunicorn", "starlette", "onnx", *(["pandas", "pyarrow"] * compiled)}
    assert not list(tmp_path.iterdir())
