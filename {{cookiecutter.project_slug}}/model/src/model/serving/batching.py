"""Where requests are predicted: on the event loop when that is quick, else in the thread.

In either place those that wait are predicted together, since ten rows take hardly longer than one.
There is no timer: a request that finds the model idle is predicted at once.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, chain, compress, pairwise
from time import monotonic
from timeit import repeat
from typing import Any, NamedTuple, TypeVar

from prometheus_client import Gauge

from model.columns import Columns, row_count
from model.engines.loading import Model, self_test_rows
from model.engines.predictions import Predictions
from model.serving.admission import Backlog, Overloaded, check_time
from model.serving.metrics import Predict

LOOP_SECONDS = 0.002
"""Seconds for which one prediction may hold the event loop."""
THREAD_ROWS = 1024
"""Rows that the thread predicts together, so that no request waits for long behind others."""
SAMPLE_ROWS = 64
"""Rows that tell how long a further row takes."""
BYTE_SECONDS = 1e-7
"""Seconds that a byte of a long request takes, until one was measured."""

T = TypeVar("T")


@dataclass(frozen=True)
class Speed:
    """How many seconds a prediction takes: its first row, and each further one."""

    first: float
    further: float

    @property
    def quick_rows(self) -> int:
        """How many rows take at most `LOOP_SECONDS`; 0 when one takes longer."""
        left = LOOP_SECONDS - self.first
        return 0 if left < 0 else 1 + int(left / self.further)

    def backlog(self, rows: int) -> Backlog:
        """An empty one of rows that are predicted so many together."""
        return Backlog(self.further, max(self.first / self.further - 1, 0), rows)


@dataclass(slots=True)
class Batch:
    """What became of a request whose caller records it: times are by `time.monotonic`.

    Attributes:
        arrival: when the request came.
        rows: of all requests that were predicted together.
        start, end: of their prediction.
    """

    arrival: float
    rows: int = 0
    start: float = 0.0
    end: float = 0.0

    def parameters(self) -> dict[str, float]:
        """What the response says of it."""
        return {
            "batch_rows": self.rows,
            "batch_queue_ms": 1000 * (self.start - self.arrival),
            "batch_compute_ms": 1000 * (self.end - self.start),
        }


class Batcher:
    """Predicts for the requests of one event loop.

    Deadlines are by `time.monotonic`. A request whose caller has left is passed over.

    Args:
        waiting: shows how many requests wait, by the place.
    """

    def __init__(self, predict: Predict, speed: Speed, waiting: Gauge) -> None:
        self._thread = ThreadPoolExecutor(1, "model")
        self._bytes = Backlog(BYTE_SECONDS)
        loop, thread = map(waiting.labels, ("loop", "thread"))
        self._on_loop = Queue(predict, speed, speed.quick_rows, call_on_loop, loop.set)
        self._in_thread = Queue(predict, speed, THREAD_ROWS, self._run, thread.set)

    async def predict(
        self, columns: Columns, deadline: float, batch: Batch | None = None
    ) -> Predictions:
        """The predictions for these rows.

        Args:
            batch: is filled in, if there is one.

        Raises:
            Overloaded: they would come too late.
            Exception: what the model raises for these rows, and them alone.
        """
        if row_count(columns) <= self._on_loop.max_rows:
            return await self._on_loop.predict(columns, deadline, batch)
        return await self._in_thread.predict(columns, deadline, batch, self._bytes.seconds)

    async def call(self, function: Callable[[bytes], T], body: bytes, deadline: float) -> T:
        """What the function makes of a long body, in the thread; raises Overloaded."""
        backlog, size = self._bytes, len(body)
        ahead = backlog.seconds + self._in_thread.backlog.seconds
        check_time(deadline, ahead, backlog.seconds_each * size)

        def timed() -> T:
            check_time(deadline)
            start = monotonic()
            result = function(body)
            backlog.measured(size, monotonic() - start)
            return result

        backlog.waiting += size
        try:
            return await self._run(timed)
        finally:
            backlog.waiting -= size

    async def _run(self, function: Callable[..., T], *arguments: Any) -> T:
        """What the function returns, called in the thread when that is free."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)


def measure(model: Model) -> Speed:
    """How long the model takes, tried out."""

    def seconds(rows: int) -> float:
        test = self_test_rows(model.manifest)
        sample = {name: [values[0]] * rows for name, values in test.items()}
        # The shortest of three times is the one that nothing disturbed.
        return min(repeat(partial(model.predict, sample), number=1, repeat=3))

    alone, together = seconds(1), seconds(SAMPLE_ROWS)
    return Speed(alone, max((together - alone) / (SAMPLE_ROWS - 1), 1e-7))


async def call_on_loop(function: Callable[..., T], *arguments: Any) -> T:
    """What the function returns, called on the event loop after all tasks that are ready."""
    await asyncio.sleep(0)
    return function(*arguments)


class Waiting(NamedTuple):
    """A request that waits to be predicted."""

    columns: Columns
    rows: int
    deadline: float
    batch: Batch | None
    future: "asyncio.Future[Predictions]"


class Queue:
    """Requests that wait for the same place.

    Args:
        max_rows: how many rows it is given together; a longer request is predicted alone.
        call: calls a function with its arguments in that place.
        on_waiting: is told how many requests wait behind those that are predicted.
    """

    def __init__(
        self,
        predict: Predict,
        speed: Speed,
        max_rows: int,
        call: Callable[..., Awaitable[list[Any]]],
        on_waiting: Callable[[int], object],
    ) -> None:
        self._predict_rows = predict
        self.max_rows = max_rows
        self.backlog = speed.backlog(max(max_rows, 1))
        self._call = call
        self._on_waiting, self._told = on_waiting, 0
        self._waiting: deque[Waiting] = deque()
        self._task: asyncio.Task[None] | None = None

    async def predict(
        self, columns: Columns, deadline: float, batch: Batch | None, ahead: float = 0.0
    ) -> Predictions:
        """The predictions for these rows; raises what the model does, and Overloaded.

        Args:
            ahead: seconds of other work in this place.
        """
        rows, backlog = row_count(columns), self.backlog
        check_time(deadline, ahead + backlog.seconds, backlog.seconds_each * rows)
        future: asyncio.Future[Predictions] = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(columns, rows, deadline, batch, future))
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        backlog.waiting += rows
        try:
            return await future
        finally:
            backlog.waiting -= rows

    async def _work(self) -> None:
        """Predict until nothing waits."""
        try:
            while self._waiting:
                batch = self._take()
                if (waiting := len(self._waiting)) != self._told:
                    self._told = waiting
                    self._on_waiting(waiting)
                try:
                    results = await self._call(self._predict, batch)
                except Exception as error:  # there is no thread, or no memory, for it
                    results = [error] * len(batch)
                for each, result in zip(batch, results, strict=True):
                    if each.future.cancelled():  # nobody waits for it any more
                        continue
                    if isinstance(result, Exception):
                        each.future.set_exception(result)
                    else:
                        each.future.set_result(result)
        finally:
            self._task = None

    def _take(self) -> list[Waiting]:
        """The requests that have waited longest, as many as may be predicted together."""
        batch = [self._waiting.popleft()]
        rows = batch[0].rows
        while self._waiting and (rows := rows + self._waiting[0].rows) <= self.max_rows:
            batch.append(self._waiting.popleft())
        return batch

    def _predict(self, batch: list[Waiting]) -> list[Predictions | Exception]:
        """The predictions for each request, or why there are none."""
        start = monotonic()
        # It is their turn only now: some may have left, and some be late.
        wanted = [each.deadline > start and not each.future.cancelled() for each in batch]
        chosen = batch if all(wanted) else [*compress(batch, wanted)]
        results = self._predict_all([each.columns for each in chosen])
        if rows := sum([each.rows for each in chosen]):
            end = monotonic()
            self.backlog.measured(rows, end - start)
            for each in chosen:
                if each.batch:
                    each.batch.rows, each.batch.start, each.batch.end = rows, start, end
        if chosen is batch:
            return results
        found = iter(results)
        return [next(found) if each else Overloaded("deadline") for each in wanted]

    def _predict_all(self, requests: list[Columns]) -> list[Predictions | Exception]:
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
            return self._predict_rows(columns)
        except Exception as error:
            return error
