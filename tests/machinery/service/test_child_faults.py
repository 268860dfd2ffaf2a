"""A child that ends again and again, while eight threads ask it."""

import gc
import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event

import pytest
from support import EXPECTED, serving, wait_until
from test_child import answers, child_of, is_there
from test_predictors import Way, ask

from service.predictors import PredictorError, child

THREADS, KILLED = 8, 5


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted in /proc")
def test_calls_fail_in_known_ways_while_it_is_killed_and_nothing_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "LONGEST_PAUSE_SECONDS", 0.1)
    gc.collect()  # what other tests have left
    open_before = descriptors()
    with serving(str(tmp_path / "model.sock"), is_child=True) as (server, url):
        results = ask_while_it_is_killed(Way(server.model, server, url))
    assert {*results} <= {"answered", "unreachable"}
    assert results["answered"]
    gc.collect()
    # The fake server's threads close what it was handed.
    wait_until(lambda: descriptors() <= open_before)


def ask_while_it_is_killed(way: Way) -> Counter[str]:
    """How the calls ended."""
    predictor = way.predictor()
    wait_until(lambda: answers(predictor))
    done, results = Event(), Counter[str]()

    def call() -> None:
        while not done.is_set():
            try:
                assert ask(predictor).prediction == EXPECTED
                results["answered"] += 1
            except PredictorError as error:
                results[error.reason] += 1

    def is_followed(pid: int) -> bool:
        return child_of(way.server) != pid and not is_there(pid)

    with ThreadPoolExecutor(THREADS) as threads:
        calls = [threads.submit(call) for _ in range(THREADS)]
        for _ in range(KILLED):
            before = child_of(way.server)
            os.kill(before, signal.SIGKILL)
            wait_until(partial(is_followed, before))
        done.set()
    assert [each.result() for each in calls] == [None] * THREADS
    return results


def descriptors() -> int:
    """How many this process has."""
    return len(os.listdir("/proc/self/fd"))
