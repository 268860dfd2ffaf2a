"""Whether the model is asked, and believed."""

{% if cookiecutter.__task == 'regression' -%}
from dataclasses import replace
{% endif -%}
from threading import Event, Thread
from time import monotonic

import pytest
from conftest import Service
from structlog.testing import capture_logs
from support import GONE, VERSION, FakePredictor, wait_until
from test_predictors import ask, check, fault_of

from service.metrics import Metrics
from service.predictors import PredictorError
from service.predictors.breaker import MINIMUM, PAUSE_SECONDS, Breaker, State
from service.predictors.guarded import Guarded
from service.predictors.port import Reason


class Guard(Guarded):
    """A guarded fake, with a clock that is set by hand."""

    def __init__(self, deadline: float = 1, range_factor: float = 1) -> None:
        self.model, self.states, self.now = FakePredictor(), list[State](), 0.0
        breaker = Breaker(self.states.append, lambda: self.now)
        super().__init__(self.model, breaker, limit=1, deadline=deadline, range_factor=range_factor)


def test_a_model_that_fails_is_not_asked_until_one_call_has_found_it_well() -> None:
    guard = Guard()
    guard.model.error = GONE
    for _ in range(MINIMUM):
        assert fault_of(lambda: ask(guard)) is not None
    for _ in range(3):
        assert fault_of(lambda: ask(guard)).reason == "breaker_open"
    assert len(guard.model.asked) == MINIMUM
    guard.now += PAUSE_SECONDS
    assert fault_of(lambda: ask(guard)).reason == "unreachable"
    assert fault_of(lambda: ask(guard)).reason == "breaker_open"
    guard.model.error = None
    assert fault_of(lambda: check(guard)).reason == "breaker_open"
    assert guard.breaker.state is State.OPEN  # a check is no prediction
    guard.now += PAUSE_SECONDS
    check(guard)  # the next request will be asked
    assert guard.self_test(monotonic() + 10).version == VERSION
    assert ask(guard)
    assert ask(guard)
    assert guard.states == [
        State.CLOSED,
        *(State.OPEN, State.HALF_OPEN) * 2,
        State.CLOSED,
    ]


def test_a_model_that_answers_at_once_is_asked_whatever_it_says() -> None:
    guard = Guard()
    reasons: list[Reason] = ["overloaded", "unauthorized", "signature"]
    for reason in reasons:
        guard.model.error = PredictorError(reason, "")
        for _ in range(2 * MINIMUM):
            assert fault_of(lambda: ask(guard)).reason == reason


def test_slow_answers_open_the_breaker_but_not_requests_with_little_time() -> None:
    guard = Guard(deadline=60)
    guard.model.error = PredictorError("timeout", "it had a millisecond left")
    for _ in range(2 * MINIMUM):
        assert fault_of(lambda: ask(guard)).reason == "timeout"
    always_slow = Guard(deadline=0)
    for _ in range(MINIMUM):
        assert ask(always_slow)
    assert fault_of(lambda: ask(always_slow)).reason == "breaker_open"


def test_a_request_that_comes_too_late_does_not_ask() -> None:
    guard = Guard()
    assert fault_of(lambda: ask(guard, seconds=0)).reason == "timeout"
    assert not guard.model.asked


def test_one_call_more_than_the_limit_falls_back_soon() -> None:
    guard, release = Guard(), Event()
    guard.model.while_predicting = release.wait
    first = Thread(target=ask, args=(guard,))
    first.start()
    wait_until(lambda: guard.model.asked)
    start = monotonic()
    assert fault_of(lambda: ask(guard, seconds=60)).reason == "busy"
    assert monotonic() - start < 30
    release.set()
    first.join()
    assert ask(guard)
{%- if cookiecutter.__task == 'regression' %}


def test_a_prediction_far_outside_the_range_of_the_training_is_none() -> None:
    guard = Guard(range_factor=2)
    answer = guard.model.answer
    value = answer.prediction.{{ cookiecutter.__target }}
    for near in ((value - 30, value - 20), (value + 20, value + 30), (value, value)):
        guard.model.answer = replace(answer, range=near)
        assert ask(guard)
    for far in ((value - 31, value - 21), (value + 21, value + 31)) * MINIMUM:
        guard.model.answer = replace(answer, range=far)
        error = fault_of(lambda: ask(guard))
        assert error.reason == "invalid_response"
        assert "MODEL_RANGE_FACTOR" in str(error)
    assert guard.breaker.state is State.CLOSED
{%- endif %}


def test_the_breaker_is_seen_in_metrics_and_log() -> None:
    metrics, now = Metrics(), [0.0]
    breaker = Breaker(metrics.breaker_state.set, lambda: now[0])
    assert b"model_breaker_state 0.0" in metrics.exposition()[0]
    with capture_logs() as logs:
        for fault in [""] + ["slow"] * (MINIMUM - 1):
            breaker.leave(breaker.enter() or 0, fault)
        assert b"model_breaker_state 2.0" in metrics.exposition()[0]
        now[0] += PAUSE_SECONDS
        breaker.leave(breaker.enter() or 0, "")
    opened, closed = logs
    assert (opened["log_level"], opened["faults"]) == ("warning", {"slow": MINIMUM - 1})
    assert closed["log_level"] == "info"
    assert b"model_breaker_state 0.0" in metrics.exposition()[0]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_the_product_has_its_model_guarded(service: Service) -> None:
    service.predictor.error = GONE
    for _ in range(MINIMUM + 1):
        service.place()
    assert len(service.predictor.asked) == MINIMUM
