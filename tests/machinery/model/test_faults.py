"""The model server under faults: of its callers, of its processes, of its files."""

import contextlib
import json
import os
import shutil
import signal
import socket
from pathlib import Path

import pytest
from conftest import INFER, REQUEST, TOKENS
from support import BODY, PATIENCE, At, Connection, ask, connected, eventually, serving

from model.artifacts.store import Store

SOCKET = "http+unix://run/model.sock"


def opened(stack: contextlib.ExitStack, at: At, number: int) -> list[Connection]:
    """So many connections."""
    return [stack.enter_context(connected(at)) for _ in range(number)]


# Callers


def test_a_body_that_does_not_come_is_not_waited_for(store: Store, tmp_path: Path) -> None:
    with serving(store, tmp_path, TRANSFER_SECONDS=1) as server, connected(server.at) as slow:
        slow.begin(BODY[:5])
        slow.sock.settimeout(0.1)
        answer = b""
        for byte in BODY[5:]:  # which would take for longer than a test waits
            assert ask(server.at) == 200
            slow.sock.sendall(bytes([byte]))
            with contextlib.suppress(TimeoutError):
                answer = slow.sock.recv(65536)
                break
        assert answer.startswith(b"HTTP/1.1 408 ")
        slow.sock.settimeout(PATIENCE)
        while slow.sock.recv(65536):
            pass


def test_who_never_takes_the_answer_is_closed(store: Store, tmp_path: Path) -> None:
    body = json.dumps({**REQUEST, "id": "x" * 10_000}).encode()
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKENS[0]}\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    with serving(store, tmp_path, TRANSFER_SECONDS=1) as server, connected(server.at) as deaf:
        deaf.sock.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while True:  # until every buffer on the way is full
                deaf.sock.sendall(request)
        deaf.sock.settimeout(PATIENCE)
        with pytest.raises(ConnectionError):
            deaf.sock.sendall(request * 10_000)
        assert ask(server.at) == 200


def test_a_crowd_is_refused_cheaply_and_those_within_are_served(
    store: Store, tmp_path: Path
) -> None:
    with serving(store, tmp_path, MAX_CONNECTIONS=20) as server, contextlib.ExitStack() as stack:
        within = opened(stack, server.at, 20)
        for each in within:
            assert each.ask()[0] == 200
        for each in opened(stack, server.at, 20):
            answer = each.sock.recv(65536)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: 1\r\n" in answer
            assert each.ends()
        for each in within:
            assert each.ask()[0] == 200
            each.close()
        assert eventually(lambda: ask_quietly(server.at) == 200)


def ask_quietly(at: At) -> int:
    """The status, or 0 when the server does not answer."""
    try:
        return ask(at)
    except OSError:
        return 0


def test_a_slow_model_sheds_what_it_cannot_answer_in_time(
    uncompiled_store: Store, tmp_path: Path
) -> None:
    rows = 20_000
    inputs = [
        {**each, "shape": [rows], "data": each["data"][:1] * rows} for each in REQUEST["inputs"]
    ]
    long = json.dumps({"inputs": inputs}).encode()
    with serving(uncompiled_store, tmp_path) as server, contextlib.ExitStack() as stack:
        many = opened(stack, server.at, 60)
        for each in many:
            each.begin(long, **{"Content-Length": str(len(long)), "X-Request-Timeout-Ms": "30000"})
        statuses = [each.answer()[0] for each in many]
        assert set(statuses) == {200, 503}
        assert ask(server.at) == 200


# Processes


@pytest.mark.parametrize("url", [SOCKET, "http://127.0.0.1:0"])
def test_a_stop_answers_who_waits_in_the_queue(url: str, store: Store, tmp_path: Path) -> None:
    with serving(store, tmp_path, url) as server, contextlib.ExitStack() as stack:
        (worker,) = server.workers()
        (kept,) = opened(stack, server.at, 1)
        assert kept.ask()[0] == 200
        os.kill(worker, signal.SIGSTOP)
        waiting = opened(stack, server.at, 100)
        for each in waiting:
            each.begin(BODY)
        kept.begin(BODY)
        server.process.terminate()
        assert eventually(lambda: server.lines("event", "Handling signal: term"))
        os.kill(worker, signal.SIGCONT)
        assert [each.answer()[0] for each in (*waiting, kept)] == [200] * 101
        assert server.process.wait(PATIENCE) == 0


def kill_a_master(store: Store, folder: Path, url: str) -> list[int]:
    """Start a server and kill its master; its workers."""
    workers: list[int] = []
    with (
        contextlib.suppress(AssertionError),  # of the exit status
        serving(store, folder, url, settings={"MODEL_WORKERS": "2"}) as server,
    ):
        assert eventually(lambda: len(server.workers()) == 2)
        workers += server.workers()
        server.process.kill()
    assert len(workers) == 2
    return workers


@pytest.mark.parametrize("kind", ["socket", "port"])
def test_workers_end_with_a_master_that_was_killed(kind: str, store: Store, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = SOCKET if kind == "socket" else f"http://127.0.0.1:{probe.getsockname()[1]}"
    for _ in range(3):  # a start right after finds the place free
        workers = kill_a_master(store, tmp_path, url)
    assert eventually(lambda: not any(Path(f"/proc/{each}").exists() for each in workers), 5)


@pytest.fixture
def changeable(store: Store, tmp_path: Path) -> Store:
    """A store that a test may damage."""
    shutil.copytree(store.path, tmp_path / "store")
    return Store(tmp_path / "store")


def damage(store: Store) -> None:
    """Damage the current version."""
    for path in store.folder().glob("model.*"):
        path.chmod(0o600)
        path.write_bytes(b"damaged")


def test_a_reload_that_cannot_load_keeps_what_is_served(changeable: Store, tmp_path: Path) -> None:
    tolerated = ("no reload", "not read again", "Worker (pid")
    with serving(changeable, tmp_path, tolerated=tolerated) as server:

        def refused(times: int) -> bool:
            return eventually(lambda: len(server.lines("event", "no reload")) == times)

        (before,) = server.workers()
        damage(changeable)
        assert ask(server.at) == 200
        server.process.send_signal(signal.SIGHUP)
        assert refused(1)
        assert server.workers() == [before]
        os.kill(before, signal.SIGKILL)  # the next one cannot load what lies there either
        assert ask(server.at) == 200
        assert before not in server.workers()
        for number, nonsense in enumerate((b"nonsense", b"\xff"), start=2):
            (changeable.path / "log.jsonl").write_bytes(nonsense + b"\n")
            server.process.send_signal(signal.SIGHUP)
            assert refused(number)
            assert ask(server.at) == 200


@pytest.mark.parametrize("how", ["removed", "replaced", "with its folder"])
def test_a_socket_that_is_gone_is_made_again(how: str, store: Store, tmp_path: Path) -> None:
    with serving(store, tmp_path, settings={"MODEL_WORKERS": "2"}) as server:
        path = Path(str(server.at))
        with connected(server.at) as begun:
            begun.begin(BODY[:-5])
            assert ask(server.at) == 200  # by then one of both has it
            if how == "with its folder":
                shutil.rmtree(path.parent)
            else:
                path.unlink()
            if how == "replaced":
                with socket.socket(socket.AF_UNIX) as other:
                    other.bind(str(path))
            assert eventually(lambda: ask_quietly(server.at) == 200, 20)
            assert path.stat().st_mode & 0o777 == 0o600
            begun.send(BODY[-5:])
            assert begun.answer()[0] == 200
    assert not path.exists()


def test_a_server_whose_socket_is_anothers_stops_and_leaves_that_alone(
    store: Store, tmp_path: Path
) -> None:
    tolerated = ("the socket is gone",)
    with serving(store, tmp_path, tolerated=tolerated) as server:
        path = Path(str(server.at))
        path.unlink()
        path.write_text("mine")
        assert eventually(lambda: server.lines("event", "the socket is gone"))
    assert path.read_text() == "mine"
