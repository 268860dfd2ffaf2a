"""A canary: who is sent to it, and when it is asked no more."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Service
from structlog.testing import capture_logs
from support import GONE, PATH, TOKEN, VERSION, FakePredictor, context_of, serving
from test_metrics import scrape
from test_predictors import ROW, fault_of

from contract.tracing import Trace
from service.context import RequestContext
from service.predictors import Answer
from service.predictors.canary import MINIMUM, Canary, Excess, is_chosen


class Pair(Canary):
    """A model and a canary, both fakes."""

    def __init__(self, share: float = 0.5) -> None:
        self.model, self.canary, self.told = FakePredictor(), FakePredictor(), list[int]()
        self.canary.answer = replace(self.canary.answer, version="canary")
        super().__init__(self.model, self.canary, share, self.told.append)
        self.open()

    def ask(self, key: str, seconds: float = 60) -> Answer:
        return self.predict(ROW, replace(context_of(seconds=seconds), key=key))


KEYS = [f"{number:x}" for number in range(20_000)]
CHOSEN, OTHER = (
    next(key for key in KEYS if is_chosen(key, 0.5) is chosen) for chosen in (True, False)
)


def test_a_share_of_the_keys_is_chosen_and_always_the_same() -> None:
    for share in (0.05, 0.5):
        assert sum(is_chosen(key, share) for key in KEYS) == pytest.approx(20_000 * share, rel=0.1)
    assert all(is_chosen(key, 0.5) for key in KEYS if is_chosen(key, 0.05))
    # In every process, today and after an upgrade.
    assert [key for key in KEYS[:40] if is_chosen(key, 0.1)] == ["9", "d"]
    assert [any(is_chosen(key, share) for key in KEYS) for share in (0, 1)] == [False, True]
    assert all(is_chosen(key, 1) for key in KEYS)


@pytest.mark.parametrize(
    ("headers", "key"), [({}, "r1"), ({"HTTP_IDEMPOTENCY_KEY": '"a b"'}, "a b")]
)
def test_a_request_goes_by_its_idempotency_key_or_else_by_its_id(
    headers: dict[str, str], key: str
) -> None:
    assert RequestContext.of(headers, "r1", 1, Trace.of("")).key == key


def test_each_answers_those_that_are_its_own() -> None:
    pair = Pair()
    assert pair.model.opened
    assert pair.canary.opened
    for _ in range(2):
        assert pair.ask(CHOSEN) == replace(pair.canary.answer, is_canary=True)
        assert pair.ask(OTHER) == pair.model.answer
    assert (len(pair.canary.asked), len(pair.model.asked)) == (2, 2)


def test_where_the_canary_fails_the_model_answers_by_the_same_deadline() -> None:
    pair = Pair()
    pair.canary.error = GONE
    assert pair.ask(CHOSEN) == pair.model.answer
    ((_, sooner),), ((_, context),) = pair.canary.asked, pair.model.asked
    assert 20 < context.deadline - sooner.deadline < 30  # of a minute
    pair.check(context.deadline)  # the canary's faults make nothing degraded
    pair.model.error = GONE
    assert fault_of(lambda: pair.ask(CHOSEN)) is GONE


def test_one_that_fails_is_dropped_for_good() -> None:
    pair = Pair()
    pair.canary.error = GONE
    with capture_logs() as logs:
        for _ in range(3 * MINIMUM):
            pair.ask(CHOSEN)
            pair.ask(OTHER)
    assert len(pair.canary.asked) == MINIMUM
    assert pair.told == [1, 0]
    (dropped,) = (each for each in logs if each["log_level"] == "error")
    assert dropped["calls"] == MINIMUM
    pair.canary.error = None
    assert pair.ask(CHOSEN) == pair.model.answer


def test_what_hits_both_drops_nothing() -> None:
    pair = Pair()
    pair.canary.error = pair.model.error = GONE
    for key in KEYS[:2000]:
        fault_of(lambda key=key: pair.ask(key))  # type: ignore[misc]
    assert pair.told == [1]


def life(dice: random.Random, share: float, rate: float, times: float, calls: int) -> bool:
    """Whether a canary is dropped within so many calls that fails so many times as often."""
    excess = Excess(share)
    for _ in range(calls):
        is_canary = dice.random() < share
        failed = dice.random() < rate * (times if is_canary else 1)
        excess.note(is_canary=is_canary, failed=failed)
        if excess.is_certain():
            return True
    return False


@pytest.mark.parametrize(("share", "rate"), [(0.05, 0.3), (0.5, 0.3)])
def test_noise_drops_next_to_none_and_four_times_the_faults_nearly_all(
    share: float, rate: float
) -> None:
    dice = random.Random(7)
    assert sum(life(dice, share, rate, 1, 600) for _ in range(1000)) <= 20
    assert sum(life(dice, share, 0.02, 4, 20_000) for _ in range(20)) >= 19


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_the_product_has_a_canary_whose_fallback_is_not_its_own(
    service: Service, tmp_path: Path
) -> None:
    assert not any(line.startswith("model_canary_state") for line in scrape(service))
    with serving(str(tmp_path / "canary.sock")) as (server, url):
        server.model.changes = {"model_version": "canary"}
        service.restart(model_canary_url=url, model_canary_share=1, model_tokens=TOKEN)
        assert service.place()["metadata"]["model_version"] == "canary"
        server.model.fault = RuntimeError("broken")
        assert service.place()["metadata"]["model_version"] == VERSION
    assert "model_canary_state 1.0" in scrape(service)
    assert [row["version"] for row in service.rows("model_versions")] == [VERSION]
    assert service.client.get(f"{PATH}/1").status_code == 200
