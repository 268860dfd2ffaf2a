"""Requests that wait are predicted together, and one bad row harms no other request."""

import asyncio
import threading
from typing import Any, cast

import numpy as np
import pytest

from contract import FEATURES
from model.columns import Columns
from model.engines.loading import Model
from model.engines.predictions import Predictions
from model.serving.batching import THREAD_ROWS, Batcher

pytestmark = pytest.mark.anyio
BAD = -1.0


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
    return Batcher(cast(Model, model), 0)


@pytest.fixture
def quick(model: FakeModel) -> Batcher:
    """A batcher that takes two rows for quick."""
    return Batcher(cast(Model, model), 2)


def rows(*values: float) -> Columns:
    """Rows whose features all have these values."""
    return {each.name: list(values) for each in FEATURES}


async def predict(batcher: Batcher, *requests: Columns) -> list[Any]:
    """What each of these requests gets that come at once: its values, or the error."""
    found = await asyncio.gather(*map(batcher.predict, requests), return_exceptions=True)
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


async def test_nothing_is_predicted_for_a_caller_who_left(model: FakeModel, slow: Batcher) -> None:
    first = asyncio.create_task(slow.predict(rows(1)))
    await model.called(1)
    left, stayed = (asyncio.create_task(slow.predict(rows(each))) for each in (2, 3))
    await asyncio.sleep(0)
    left.cancel()
    model.go.release(2)
    assert (await stayed).values.tolist() == [3]
    assert (await first).values.tolist() == [1]
    assert model.calls == [1, 1]


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
