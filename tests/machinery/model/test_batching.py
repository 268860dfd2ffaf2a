"""Requests that wait are predicted together, and one bad row harms no other request."""

import asyncio
import threading
from math import inf
from time import monotonic
from typing import Any

import numpy as np
import pytest
from prometheus_client import Gauge

from contract import FEATURES
from model.columns import Columns
from model.engines.predictions import Predictions
from model.serving.admission import Overloaded
from model.serving.batching import LOOP_SECONDS, THREAD_ROWS, Batch, Batcher, Speed

pytestmark = pytest.mark.anyio
BAD = -1.0
WAITING = Gauge("waiting", "Requests that wait", ["place"], registry=None)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class FakeModel:
    """Predicts the first feature; `BAD` makes it fail. In a thread it waits until it may go on."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.go = threading.Semaphore(0)

    def predict(self, columns: Columns) -> Predictions:
        values = columns[FEATURES[0].name]
        self.calls.append(len(values))
        if threading.current_thread() is not threading.main_thread():
            assert self.go.acquire(timeout=30)
        if BAD in values:
            raise ArithmeticError(f"{len(values)} rows with a bad one")
        return Predictions(np.array(values))

    async def called(self, times: int) -> None:
        """Wait until it was called so many times."""
        while len(self.calls) < times:
            await asyncio.sleep(0.001)


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
def slow(model: FakeModel) -> Batcher:
    """A batcher that takes the model for slow."""
    return Batcher(model.predict, Speed(2 * LOOP_SECONDS, 1e-6), WAITING)


@pytest.fixture
def quick(model: FakeModel) -> Batcher:
    """A batcher that takes two rows for quick."""
    return Batcher(model.predict, Speed(LOOP_SECONDS / 2, LOOP_SECONDS / 3), WAITING)


def rows(*values: float) -> Columns:
    """Rows whose features all have these values."""
    return {each.name: list(values) for each in FEATURES}


async def predict(batcher: Batcher, *requests: Columns) -> list[Any]:
    """What each of these requests gets that come at once: its values, or the error."""
    asked = (batcher.predict(each, inf) for each in requests)
    found = await asyncio.gather(*asked, return_exceptions=True)
    return [each.values.tolist() if isinstance(each, Predictions) else str(each) for each in found]


async def test_requests_that_wait_are_predicted_together(model: FakeModel, slow: Batcher) -> None:
    first = asyncio.create_task(predict(slow, rows(1)))
    await model.called(1)  # it found the model idle, and waits for nobody
    others = asyncio.create_task(predict(slow, rows(2), rows(3, 4), rows(5)))
    await asyncio.sleep(0)
    model.go.release(2)
    assert await first == [[1]]
    assert await others == [[2], [3, 4], [5]]
    assert model.calls == [1, 4]


async def test_a_request_learns_of_its_batch(model: FakeModel, slow: Batcher) -> None:
    first = asyncio.create_task(predict(slow, rows(1)))
    await model.called(1)
    batch = Batch(monotonic())
    traced = asyncio.create_task(slow.predict(rows(2, 3), inf, batch))
    other = asyncio.create_task(predict(slow, rows(4)))
    await asyncio.sleep(0)
    model.go.release(2)
    await asyncio.gather(first, traced, other)
    told = batch.parameters()
    assert told.pop("batch_rows") == 3
    assert set(told) == {"batch_queue_ms", "batch_compute_ms"}
    assert min(told.values()) >= 0


async def test_nothing_is_predicted_for_a_caller_who_left(model: FakeModel, slow: Batcher) -> None:
    first = asyncio.create_task(slow.predict(rows(1), inf))
    await model.called(1)
    left, stayed = (asyncio.create_task(slow.predict(rows(each), inf)) for each in (2, 3))
    await asyncio.sleep(0)
    left.cancel()
    model.go.release(2)
    assert (await stayed).values.tolist() == [3]
    assert (await first).values.tolist() == [1]
    assert model.calls == [1, 1]


async def test_requests_are_answered_when_there_is_no_thread_for_them(
    model: FakeModel, slow: Batcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(slow._thread, "submit", fail)
        assert await predict(slow, rows(1), rows(2)) == ["can't start new thread"] * 2
    assert slow._in_thread.backlog.waiting == 0
    model.go.release(1)
    assert await predict(slow, rows(3)) == [[3]]


async def test_a_bad_row_harms_its_own_request_alone(
    model: FakeModel, slow: Batcher, quick: Batcher
) -> None:
    model.go.release(99)
    for batcher in (slow, quick):
        found = await predict(batcher, rows(1), rows(2), rows(3, 4), rows(5), rows(BAD))
        assert found == [[1], [2], [3, 4], [5], "1 rows with a bad one"]
    # On the loop the last pair holds a bad row, so each of it is predicted again by itself.
    assert model.calls[-5:] == [2, 2, 2, 1, 1]


async def test_no_request_waits_behind_more_rows_than_a_batch(
    model: FakeModel, slow: Batcher
) -> None:
    model.go.release(99)
    half, long = rows(*range(THREAD_ROWS // 2)), rows(*range(2 * THREAD_ROWS))
    await predict(slow, rows(0), half, half, rows(1), long, rows(2))
    assert [each for each in model.calls if each > THREAD_ROWS] == [2 * THREAD_ROWS]
    assert len(model.calls) < 6


async def test_a_quick_request_does_not_wait_for_a_slow_one(
    model: FakeModel, quick: Batcher
) -> None:
    long = asyncio.create_task(predict(quick, rows(1, 2, 3)))
    await model.called(1)
    assert await predict(quick, rows(4)) == [[4]]
    assert not long.done()
    model.go.release()
    assert await long == [[1, 2, 3]]


async def test_other_tasks_have_their_turn_between_predictions_on_the_loop(quick: Batcher) -> None:
    requests = asyncio.create_task(predict(quick, *[rows(1, 2)] * 50))
    turns = 0
    while not requests.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 50


async def test_what_waits_too_long_is_not_predicted(model: FakeModel, slow: Batcher) -> None:
    deadline = monotonic() + 0.2
    first = asyncio.create_task(slow.predict(rows(1), inf))
    await model.called(1)
    late = asyncio.create_task(slow.predict(rows(2), deadline))
    called = asyncio.create_task(slow.call(len, b"a long body", deadline))
    await asyncio.sleep(0)
    assert not late.done()
    while monotonic() < deadline:
        await asyncio.sleep(0.01)
    model.go.release(9)
    for each in (late, called):
        with pytest.raises(Overloaded):
            await each
    await first
    assert model.calls == [1]
    with pytest.raises(Overloaded):
        await slow.predict(rows(3), monotonic())


async def test_what_would_come_too_late_is_refused_at_once(model: FakeModel) -> None:
    batcher = Batcher(model.predict, Speed(0.01, 0.01), WAITING)  # a row takes 10 ms
    first = asyncio.create_task(batcher.predict(rows(*[1] * 30), monotonic() + 0.2))
    await model.called(1)  # the model was idle, so it was tried
    with pytest.raises(Overloaded):
        await batcher.predict(rows(2), monotonic() + 0.2)  # behind 300 ms of work
    with pytest.raises(Overloaded):
        await batcher.call(len, b"", monotonic() + 0.2)
    others = [asyncio.create_task(batcher.predict(rows(*[3] * 40), inf)) for _ in range(10)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    refused = [each for each in others if each.done()]
    assert len(refused) == 8  # whoever comes when more than a second of work waits
    assert len(model.calls) == 1
    model.go.release(99)
    await first
    for each in others:
        if each in refused:
            with pytest.raises(Overloaded):
                await each
        else:
            assert len((await each).values) == 40
    assert batcher._in_thread.backlog.waiting == 0


async def test_what_a_row_takes_is_learnt(model: FakeModel, quick: Batcher) -> None:
    before = quick._on_loop.backlog.seconds_each
    for _ in range(50):
        await quick.predict(rows(1), inf)
    assert quick._on_loop.backlog.seconds_each < before / 2
