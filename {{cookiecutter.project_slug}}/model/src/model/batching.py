"""Where questions are answered: on the event loop when that is quick, else in the thread beside it.

In either place those that wait are answered together in one call, since ten rows take hardly longer
than one. There is no timer: a question that finds the model idle is answered at once, and waiting
for others adds nothing to what it has to wait anyway.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, chain, pairwise
from typing import Any, TypeVar

from model.answer import Answer, Columns, rows_of
from model.engine import Engine

MOST_ROWS = 1024
"""Rows that the thread predicts together, so that no question waits for long behind others."""

T = TypeVar("T")


class Worker:
    """Answers the questions of one event loop."""

    def __init__(self, engine: Engine) -> None:
        self._thread = ThreadPoolExecutor(1, "model")
        self._quick = Queue(engine, engine.quick_rows, call_here)
        self._slow = Queue(engine, MOST_ROWS, self.run)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """What the function returns, called in the thread when that is free."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    async def predict(self, columns: Columns) -> Answer:
        """The answer to these rows, which may be predicted together with those of others.

        Raises:
            Exception: what the engine raises for these rows; other questions are not harmed.
        """
        queue = self._quick if rows_of(columns) <= self._quick.most_rows else self._slow
        return await queue.predict(columns)


async def call_here(function: Callable[..., T], *arguments: Any) -> T:
    """What the function returns, called on the event loop once all had their turn who are ready."""
    await asyncio.sleep(0)
    return function(*arguments)


class Queue:
    """Questions that wait for the same place.

    Args:
        engine: what answers them.
        most_rows: how many rows it is given together; a longer question is answered alone.
        call: calls a function with its arguments in that place.
    """

    def __init__(
        self, engine: Engine, most_rows: int, call: Callable[..., Awaitable[list[Any]]]
    ) -> None:
        self._engine = engine
        self.most_rows = most_rows
        self._call = call
        self._waiting: deque[tuple[Columns, asyncio.Future[Answer]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def predict(self, columns: Columns) -> Answer:
        """The answer to these rows; raises what the engine does."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((columns, future))
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        """Answer until nothing waits."""
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

    def _take(self) -> list[tuple[Columns, asyncio.Future[Answer]]]:
        """The questions that have waited longest, as many as may be answered together."""
        batch = [self._waiting.popleft()]
        rows = rows_of(batch[0][0])
        while self._waiting and (rows := rows + rows_of(self._waiting[0][0])) <= self.most_rows:
            batch.append(self._waiting.popleft())
        return [each for each in batch if not each[1].cancelled()]

    def _predict(self, questions: list[Columns]) -> list[Answer | Exception]:
        """The answer to each question, or why there is none."""
        if len(questions) > 1:
            joined = {
                name: list(chain.from_iterable(columns[name] for columns in questions))
                for name in questions[0]
            }
            try:
                answer = self._engine.predict(joined)
            except Exception:  # noqa: S110  # some row is bad: each question finds out for itself
                pass
            else:
                ends = [*accumulate(map(rows_of, questions))]
                return [answer.part(slice(*part)) for part in pairwise([0, *ends])]
        return [self._attempt(each) for each in questions]

    def _attempt(self, columns: Columns) -> Answer | Exception:
        try:
            return self._engine.predict(columns)
        except Exception as error:  # it belongs to one question, and is raised there
            return error
