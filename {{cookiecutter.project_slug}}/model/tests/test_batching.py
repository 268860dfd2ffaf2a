"""What waits for the model is answered together, and one bad row harms no other."""

import asyncio
import threading
from typing import Any, cast

import numpy as np
import pytest

from contract import FEATURES
from model.answer import Answer
from model.batching import MOST_ROWS, Worker
from model.engine import Engine

BAD = -1.0
Columns = dict[str, Any]


class Slow:
    """An engine that answers with its first feature once it is let go; `BAD` makes it fail."""

    quick_rows = 0

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.threads: set[int] = set()
        self.go = threading.Semaphore(0)

    def predict(self, columns: Columns) -> Answer:
        """The first feature of each row."""
        values = columns[FEATURES[0].name]
        self.calls.append(len(values))
        self.threads.add(threading.get_ident())
        assert len(values) <= self.quick_rows or self.go.acquire(timeout=10)
        if BAD in values:
            raise ArithmeticError(f"{len(values)} rows with a bad one")
        return Answer(np.array(values))


class Quick(Slow):
    """An engine that answers two rows at once, and more once it is let go."""

    quick_rows = 2


def rows(*values: float) -> Columns:
    """Rows whose features all have these values."""
    return {each.name: list(values) for each in FEATURES}


def worker_of(engine: Slow) -> Worker:
    """A worker that asks this engine."""
    return Worker(cast(Engine, engine))


async def started(engine: Slow, calls: int) -> None:
    """Wait until the engine is at its so many-th call."""
    while len(engine.calls) < calls:
        await asyncio.sleep(0.001)


def test_what_waits_is_answered_in_one_call() -> None:
    async def run() -> None:
        engine = Slow()
        worker = worker_of(engine)
        first = asyncio.create_task(worker.predict(rows(1)))
        await started(engine, 1)  # it found the model idle, and waits for nobody
        others = [asyncio.create_task(worker.predict(rows(*each))) for each in ((2,), (3, 4), (5,))]
        await asyncio.sleep(0.01)
        assert engine.calls == [1]
        engine.go.release(2)
        assert (await first).values.tolist() == [1]
        assert [(await each).values.tolist() for each in others] == [[2], [3, 4], [5]]
        assert engine.calls == [1, 4]

    asyncio.run(run())


def test_a_bad_row_harms_only_its_own_question() -> None:
    async def run() -> None:
        engine = Slow()
        worker = worker_of(engine)
        engine.go.release(9)
        questions = [rows(1), rows(2), rows(BAD, 7), rows(3)]
        answers: list[Any] = await asyncio.gather(
            *map(worker.predict, questions), return_exceptions=True
        )
        assert [each.values.tolist() for each in answers[:2] + answers[3:]] == [[1], [2], [3]]
        assert isinstance(answers[2], ArithmeticError)
        assert str(answers[2]) == "2 rows with a bad one"
        assert (await worker.predict(rows(4))).values.tolist() == [4]

    asyncio.run(run())


def test_so_many_rows_and_no_more_are_answered_together() -> None:
    async def run() -> None:
        engine = Slow()
        worker = worker_of(engine)
        engine.go.release(9)
        half = rows(*range(MOST_ROWS // 2))
        long = rows(*range(2 * MOST_ROWS))
        questions = [rows(0), half, half, rows(1), long, rows(2)]
        answers = await asyncio.gather(*map(worker.predict, questions))
        assert [len(each.values) for each in answers] == [
            1,
            *[MOST_ROWS // 2] * 2,
            1,
            len(long[FEATURES[0].name]),
            1,
        ]
        assert max(engine.calls) == 2 * MOST_ROWS
        assert [each for each in engine.calls if each > MOST_ROWS] == [2 * MOST_ROWS]

    asyncio.run(run())


def test_nothing_is_predicted_for_who_has_left() -> None:
    async def run() -> None:
        engine = Slow()
        worker = worker_of(engine)
        first = asyncio.create_task(worker.predict(rows(1)))
        await started(engine, 1)
        left, stayed = (asyncio.create_task(worker.predict(rows(each))) for each in (2, 3))
        await asyncio.sleep(0.01)
        left.cancel()
        await asyncio.sleep(0)
        engine.go.release(9)
        assert (await stayed).values.tolist() == [3]
        assert (await first).values.tolist() == [1]
        assert engine.calls == [1, 1]
        with pytest.raises(asyncio.CancelledError):
            await left

    asyncio.run(run())


def test_what_is_quick_is_answered_together_on_the_event_loop() -> None:
    async def run() -> None:
        engine = Quick()
        worker = worker_of(engine)
        questions = [rows(1), rows(2), rows(3, 4), rows(5), rows(BAD)]
        answers: list[Any] = await asyncio.gather(
            *map(worker.predict, questions), return_exceptions=True
        )
        assert [each.values.tolist() for each in answers[:4]] == [[1], [2], [3, 4], [5]]
        assert isinstance(answers[4], ArithmeticError)
        # The last pair holds a bad row, so each of its questions is asked again by itself.
        assert engine.calls == [2, 2, 2, 1, 1]
        assert engine.threads == {threading.get_ident()}

    asyncio.run(run())


def test_what_is_quick_does_not_wait_for_what_is_slow() -> None:
    async def run() -> None:
        engine = Quick()
        worker = worker_of(engine)
        slow = asyncio.create_task(worker.predict(rows(1, 2, 3)))
        await started(engine, 1)
        assert (await worker.predict(rows(4))).values.tolist() == [4]
        assert not slow.done()
        engine.go.release()
        assert (await slow).values.tolist() == [1, 2, 3]
        assert len(engine.threads) == 2

    asyncio.run(run())


def test_others_have_their_turn_between_quick_calls() -> None:
    async def run() -> None:
        engine = Quick()
        worker = worker_of(engine)
        questions = [asyncio.create_task(worker.predict(rows(1, 2))) for _ in range(50)]
        turns = 0
        while not questions[-1].done():
            await asyncio.sleep(0)
            turns += 1
        assert turns >= 50

    asyncio.run(run())
