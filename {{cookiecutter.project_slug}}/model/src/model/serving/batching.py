"""Where requests are predicted: on the event loop when that is quick, else in the thread.

In either place those that wait are predicted together, since ten rows take hardly longer than one.
There is no timer: a request that finds the model idle is predicted at once.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import accumulate, chain, pairwise
from timeit import repeat
from typing import Any, TypeVar

from model.columns import Columns, row_count
from model.engines.loading import Model, self_test_rows
from model.engines.predictions import Predictions

LOOP_SECONDS = 0.002
"""Seconds for which one prediction may hold the event loop."""
THREAD_ROWS = 1024
"""Rows that the thread predicts together, so that no request waits for long behind others."""
SAMPLE_ROWS = 64
"""Rows that tell how long a further row takes."""

T = TypeVar("T")


class Batcher:
    """Predicts for the requests of one event loop, of which it predicts `loop_rows` together."""

    def __init__(self, model: Model, loop_rows: int) -> None:
        self._thread = ThreadPoolExecutor(1, "model")
        self._on_loop = Queue(model, loop_rows, call_on_loop)
        self._in_thread = Queue(model, THREAD_ROWS, self.run)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """What the function returns, called in the thread when that is free."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    async def predict(self, columns: Columns) -> Predictions:
        """The predictions for these rows; raises what the model does for them, and them alone."""
        quick = row_count(columns) <= self._on_loop.max_rows
        return await (self._on_loop if quick else self._in_thread).predict(columns)


def quick_rows(model: Model) -> int:
    """How many rows the model predicts within `LOOP_SECONDS`; 0 when one row takes longer."""

    def seconds(rows: int) -> float:
        test = self_test_rows(model.manifest)
        sample = {name: [values[0]] * rows for name, values in test.items()}
        # The shortest of three times is the one that nothing disturbed.
        return min(repeat(partial(model.predict, sample), number=1, repeat=3))

    alone, together = seconds(1), seconds(SAMPLE_ROWS)
    each = max((together - alone) / (SAMPLE_ROWS - 1), 1e-7)
    return 0 if alone > LOOP_SECONDS else 1 + int((LOOP_SECONDS - alone) / each)


async def call_on_loop(function: Callable[..., T], *arguments: Any) -> T:
    """What the function returns, called on the event loop after all tasks that are ready."""
    await asyncio.sleep(0)
    return function(*arguments)


class Queue:
    """Requests that wait for the same place.

    Args:
        max_rows: how many rows it is given together; a longer request is predicted alone.
        call: calls a function with its arguments in that place.
    """

    def __init__(
        self, model: Model, max_rows: int, call: Callable[..., Awaitable[list[Any]]]
    ) -> None:
        self._model = model
        self.max_rows = max_rows
        self._call = call
        self._waiting: deque[tuple[Columns, asyncio.Future[Predictions]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def predict(self, columns: Columns) -> Predictions:
        """The predictions for these rows; raises what the model does."""
        future: asyncio.Future[Predictions] = asyncio.get_running_loop().create_future()
        self._waiting.append((columns, future))
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        """Predict until nothing waits."""
        try:
            while self._waiting:
                batch = self._take()
                results = await self._call(self._predict, [columns for columns, _ in batch])
                for (_, future), result in zip(batch, results, strict=True):
                    if future.cancelled():  # nobody waits for it any more
                        continue
                    if isinstance(result, Exception):
                        future.set_exception(result)
                    else:
                        future.set_result(result)
        finally:
            self._task = None

    def _take(self) -> list[tuple[Columns, asyncio.Future[Predictions]]]:
        """The requests that have waited longest, as many as may be predicted together."""
        batch = [self._waiting.popleft()]
        rows = row_count(batch[0][0])
        while self._waiting and (rows := rows + row_count(self._waiting[0][0])) <= self.max_rows:
            batch.append(self._waiting.popleft())
        return [each for each in batch if not each[1].cancelled()]

    def _predict(self, requests: list[Columns]) -> list[Predictions | Exception]:
        """The predictions for each request, or why there are none."""
        if len(requests) <= 1:
            return [self._attempt(each) for each in requests]
        joined = {
            name: list(chain.from_iterable(columns[name] for columns in requests))
            for name in requests[0]
        }
        together = self._attempt(joined)
        if isinstance(together, Exception):  # some row is bad: each request finds out for itself
            return [self._attempt(each) for each in requests]
        ends = [*accumulate(map(row_count, requests))]
        return [together.part(slice(*part)) for part in pairwise([0, *ends])]

    def _attempt(self, columns: Columns) -> Predictions | Exception:
        try:
            return self._model.predict(columns)
        except Exception as error:
            return error
