"""Workers stop, are replaced and die, and no caller is lost."""

import contextlib
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from conftest import INFER, TOKENS
from gunicorn.config import Config
from gunicorn.workers.workertmp import WorkerTmp
from raw_http import Connection, Requests
from support import BODY, PATIENCE, ask, eventually, serving

from model.artifacts.store import Store
from model.serving.master import Master, is_starting

request = Requests(INFER, BODY, f"Authorization: Bearer {TOKENS[0]}\r\n").whole


@pytest.mark.parametrize("url", ["http+unix://run/model.sock", "http://127.0.0.1:0"])
def test_a_stop_answers_what_is_under_way_and_waits_for_nothing_else(
    url: str, store: Store, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as stack:
        # Idle connections that the stop did not close would last until the server is killed.
        server = stack.enter_context(serving(store, tmp_path, url, KEEPALIVE_SECONDS=1000))
        begun, idle, silent, partial = (
            stack.enter_context(contextlib.closing(Connection(server.at))) for _ in range(4)
        )
        begun.send(request()[:-5])
        partial.send(request()[:20])
        assert idle.ask(request()).status == 200
        server.process.terminate()
        for each in (idle, silent, partial):
            assert each.is_closed()
        with pytest.raises(OSError, match=r"refused|No such file"):
            ask(server.at)
        assert server.process.poll() is None
        answer = begun.ask(request()[-5:])
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert begun.is_closed()
        assert server.process.wait(PATIENCE) == 0
        assert not (isinstance(server.at, Path) and server.at.exists())


def test_a_worker_may_be_told_to_stop_until_it_is_gone(store: Store, tmp_path: Path) -> None:
    with serving(store, tmp_path) as server:  # which looks at each line of the log
        for _ in range(5):
            (worker,) = server.workers()
            with contextlib.suppress(ProcessLookupError):
                while True:
                    os.kill(worker, signal.SIGTERM)
                    time.sleep(0.0005)  # which asyncio needs to take it
            assert ask(server.at) == 200


def test_a_worker_that_stops_loses_nobody_who_has_just_come(store: Store, tmp_path: Path) -> None:
    """Fifty times: one in ten lost somebody who was accepted in the turn before it stopped."""
    lost, ended = list[str](), threading.Event()

    def come(at: Path | int) -> None:
        while not ended.is_set():
            try:
                assert ask(at) == 200
            except OSError as error:
                lost.append(repr(error))
            time.sleep(0.001)

    with serving(store, tmp_path) as server, ThreadPoolExecutor(4) as callers:
        coming = [callers.submit(come, server.at) for _ in range(4)]
        try:
            for _ in range(50):
                before = server.workers()
                os.kill(before[0], signal.SIGTERM)
                assert eventually(lambda old=before: server.workers() not in ([], old))
        finally:
            ended.set()
        assert [each.result() for each in coming] == [None] * 4
    assert lost == []


def test_a_stop_is_heeded_by_workers_that_are_starting(store: Store, tmp_path: Path) -> None:
    """Five times four: half of them missed the signal, and were killed at the end of the time."""
    for _ in range(5):
        with serving(store, tmp_path, settings={"MODEL_WORKERS": "4"}, STOP_SECONDS=1000) as server:
            assert eventually(lambda at=server: len(at.workers()) == 4)
            server.process.send_signal(signal.SIGHUP)
            assert eventually(lambda at=server: len(at.workers()) > 4)


def test_a_reload_answers_everybody(store: Store, tmp_path: Path) -> None:
    with serving(store, tmp_path) as server:
        (before,) = server.workers()
        with contextlib.closing(Connection(server.at)) as begun:
            begun.send(request()[:-5])
            assert ask(server.at) == 200  # whoever queued before has been read
            server.process.send_signal(signal.SIGHUP)
            assert eventually(lambda: len(server.workers()) == 2)
            for _ in range(20):
                assert ask(server.at) == 200
            assert before in server.workers()
            assert begun.ask(request()[-5:]).status == 200
        assert eventually(lambda: before not in server.workers())
        assert ask(server.at) == 200


def test_workers_are_replaced_a_quarter_at_a_time_and_answer_until_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config, ended = Config(), list[int]()
    workers: dict[int, Any] = {}
    master: Any = Master.__new__(Master)
    app = SimpleNamespace(handed=None, refresh=lambda: None, follow=lambda: False)
    vars(master).update(app=app, cfg=config, _num_workers=8, _socket=None, log=Mock())
    vars(master).update(WORKERS=workers, _last_logged_active_worker_count=8, _to_replace=0)

    def spawn() -> None:
        age = len(ended) + len(workers) + 1
        workers[age] = SimpleNamespace(age=age, tmp=WorkerTmp(config))

    def kill(pid: int, _: int) -> None:
        ended.append(pid)
        workers.pop(pid).tmp.close()

    monkeypatch.setattr(master, "spawn_worker", spawn)
    monkeypatch.setattr(master, "kill_worker", kill)
    for _ in range(8):
        spawn()
    master._replace_workers()
    for ready in range(0, 9, 2):  # of the new ones
        for each in workers.values():
            each.tmp.notify()
        for _ in range(3):  # those that start are waited for
            master.manage_workers()
            assert ended == [*range(1, ready + 1)]
            assert sum(map(is_starting, workers.values())) == (2 if ready < 8 else 0)
    assert [*workers] == [*range(9, 17)]
    for each in workers.values():
        each.tmp.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_dies_is_replaced(how: signal.Signals, store: Store, tmp_path: Path) -> None:
    with serving(store, tmp_path, tolerated=("Worker (pid",)) as server:
        (before,) = server.workers()
        os.kill(before, how)
        # This one waits in the queue until the next worker takes it.
        with contextlib.closing(Connection(server.at)) as connection:
            assert connection.ask(request()).status == 200
        assert before not in server.workers()


def test_a_worker_that_hangs_is_replaced(store: Store, tmp_path: Path) -> None:
    tolerated = ("WORKER TIMEOUT", "Worker (pid")
    with serving(store, tmp_path, tolerated=tolerated, WORKER_TIMEOUT_SECONDS=5) as server:
        (before,) = server.workers()
        os.kill(before, signal.SIGSTOP)
        with contextlib.closing(Connection(server.at)) as connection:
            connection.send(request())
            assert eventually(lambda: before not in server.workers())
        assert ask(server.at) == 200
