"""The one thread beside the event loop, and what waits for it.

Questions that come while the model is busy wait, and are then answered together in one call, since
ten rows take scikit-learn hardly longer than one. There is no timer: a question that finds the
model idle is answered at once, and waiting for others adds nothing to what it has to wait anyway.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from model.answer import Answer, Columns, arrays_of, rows_of
from model.engine import Engine

MOST_ROWS = 1024
"""Rows that are predicted together, so that no question waits for long behind others."""

T = TypeVar("T")


class Worker:
    """Answers questions in one thread, the waiting ones together; used by one event loop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(1, "model")
        self._waiting: deque[tuple[Columns, asyncio.Future[Answer]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """What the function returns, called in the thread when that is free."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    async def predict(self, columns: Columns) -> Answer:
        """The answer to these rows, which may be predicted together with those of others.

        Raises:
            Exception: what the engine raises for these rows; other questions are not harmed.
        """
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
                results = await self.run(self._predict, [columns for columns, _ in batch])
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
        while self._waiting and (rows := rows + rows_of(self._waiting[0][0])) <= MOST_ROWS:
            batch.append(self._waiting.popleft())
        return [each for each in batch if not each[1].cancelled()]

    def _predict(self, questions: list[Columns]) -> list[Answer | Exception]:
        """The answer to each question, or why there is none."""
        if len(questions) > 1:
            parts = [arrays_of(each) for each in questions]
            joined = {name: np.concatenate([each[name] for each in parts]) for name in parts[0]}
            try:
                answer = self._engine.predict(joined)
            except Exception:  # noqa: S110  # some row is bad: each question finds out for itself
                pass
            else:
                ends = np.cumsum([rows_of(each) for each in questions]).tolist()
                starts = [0, *ends[:-1]]
                return [answer.part(slice(*each)) for each in zip(starts, ends, strict=True)]
        return [self._attempt(each) for each in questions]

    def _attempt(self, columns: Columns) -> Answer | Exception:
        try:
            return self._engine.predict(columns)
        except Exception as error:  # it belongs to one question, and is raised there
            return error
