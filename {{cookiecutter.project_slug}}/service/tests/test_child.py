"""A model server that is a child of the service: killed, hanging, gone, stopped."""

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pytest
from support import EXPECTED, FakeServer, serving, wait_until
from test_predictors import Way, ask, fault_of, faults_of

from service.predictors import Predictor, PredictorError, child

pytestmark = pytest.mark.slow


@pytest.fixture
def way(tmp_path: Path) -> Iterator[Way]:
    with serving(str(tmp_path / "model.sock"), is_child=True) as (server, url):
        yield Way(server.model, server, url)
        gc.collect()  # stops the children of what errors have kept


def answers(predictor: Predictor) -> bool:
    with suppress(PredictorError):
        return ask(predictor, seconds=5).prediction == EXPECTED
    return False


def is_there(pid: int) -> bool:
    """Whether there is such a process, be it one that has ended and is not waited for."""
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def child_of(server: FakeServer) -> int:
    """The process that handed over the last connection."""
    return server.children[-1]


def test_open_returns_when_the_child_answers(way: Way) -> None:
    assert answers(way.predictor())


def test_a_child_that_is_killed_is_followed_by_another(way: Way) -> None:
    predictor = way.predictor()
    before = child_of(way.server)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: not is_there(before))
    wait_until(lambda: child_of(way.server) != before and answers(predictor))


def test_a_child_that_hangs_is_killed(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "PERIOD_SECONDS", 0.01)
    monkeypatch.setattr(child, "HANG_SECONDS", 1)
    predictor = way.predictor()
    hanging = child_of(way.server)
    os.kill(hanging, signal.SIGSTOP)
    wait_until(lambda: not is_there(hanging))
    wait_until(lambda: answers(predictor))


def test_a_call_waits_no_longer_for_a_child_that_hangs(way: Way) -> None:
    predictor = way.predictor()
    os.kill(child_of(way.server), signal.SIGSTOP)
    found = {fault_of(lambda: ask(predictor, seconds=0.001)).reason for _ in range(1000)}
    assert found <= {"timeout", "unreachable"}  # the latter of more connections than can wait


def test_a_child_that_hangs_before_its_first_answer_is_no_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "OPEN_SECONDS", 0.01)
    new, whole = tmp_path / "new", tmp_path / "whole"
    command = f"sh -c 'echo $$ > {new}; mv {new} {whole}; exec sleep 1000'"
    predictor = Way(FakeServer().model, FakeServer(), f"subprocess:{command}").predictor()
    wait_until(whole.exists)
    assert faults_of(predictor) == {"unreachable"}  # at once, and not by the deadline
    pid = int(whole.read_text())
    assert is_there(pid)
    del predictor
    gc.collect()  # of what pytest knows about the errors
    assert not is_there(pid)


def test_the_pauses_grow_to_a_limit() -> None:
    first, *others = islice(child.pauses(), 20)
    assert first <= 0.1
    assert others[0] == 2 * first
    assert others[-1] == child.LONGEST_PAUSE_SECONDS


@pytest.mark.parametrize("number", [None, signal.SIGSTOP])
def test_the_child_ends_with_the_predictor(
    number: int | None, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "STOP_SECONDS", 0.01 if number else 30)
    predictor = way.predictor()
    pid = child_of(way.server)
    if number:
        os.kill(pid, number)
    del predictor
    assert not is_there(pid)


def test_a_command_that_goes_away_is_tried_again(way: Way, tmp_path: Path) -> None:
    command = tmp_path / "model"
    command.write_text(f"#!/bin/sh\nexec {way.url.removeprefix('subprocess:')}\n")
    command.chmod(0o700)
    predictor = way.predictor(f"subprocess:{command}")
    command.rename(tmp_path / "elsewhere")
    os.kill(child_of(way.server), signal.SIGKILL)
    assert faults_of(predictor) == {"unreachable"}
    (tmp_path / "elsewhere").rename(command)
    wait_until(lambda: answers(predictor))


def test_the_child_has_none_of_the_settings_of_the_services_own_server(
    way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "elsewhere")
    monkeypatch.setenv("GUNICORN_PID", "1")
    monkeypatch.setenv("MODEL_STORE", "somewhere")
    new, whole = tmp_path / "new", tmp_path / "whole"
    command = f"sh -c 'env > {new}; mv {new} {whole}; exec sleep 1000'"
    monkeypatch.setattr(child, "OPEN_SECONDS", 0.01)
    predictor = way.predictor(f"subprocess:{command}")
    wait_until(whole.exists)
    names = {line.partition("=")[0] for line in whole.read_text().splitlines()}
    assert {"MODEL_STORE", "MODEL_URL"} <= names
    assert not {"GUNICORN_PID", "PROMETHEUS_MULTIPROC_DIR"} & names
    del predictor
