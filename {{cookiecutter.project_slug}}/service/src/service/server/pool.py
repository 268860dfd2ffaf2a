"""The threads in which the application runs, and the queue before them."""

from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from time import monotonic

from service.server.request import Request

MAX_WAIT_SECONDS = 0.05
"""How long a request waits for a thread before it is turned away."""

WARY_SECONDS = 1.0
"""For how long after the last request that waited in vain the queue is kept short."""


class Pool:
    """Threads that take requests in the order of their arrival.

    Args:
        handle: answers one request, in a thread.
        threads: how many.

    Whoever takes a request out of the queue answers it: a thread, or the event loop that turns it
    away. Hence a token for each request in a queue of its own: what threads wait for.
    """

    def __init__(self, handle: Callable[[Request], None], threads: int) -> None:
        self._handle = handle
        self._threads = threads
        self._waiting: deque[Request] = deque()
        self._tokens: SimpleQueue[None] = SimpleQueue()
        self._busy = [False] * threads
        self._answered = 0  # roughly: threads may miss each other's counts
        self._counted = 0
        self._counted_at = monotonic()
        self._limit = threads
        self._wary_until = 0.0
        for number in range(threads):
            Thread(target=self._work, args=[number], name=f"request-{number}", daemon=True).start()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, request: Request) -> None:
        """Let a thread have it."""
        self._waiting.append(request)
        self._tokens.put(None)

    def is_full(self) -> bool:
        """Whether what comes now would wait in vain, as what came before did."""
        if len(self._waiting) < self._limit:
            return False
        now = monotonic()
        if now > self._wary_until:
            return False
        self._wary_until = now + WARY_SECONDS
        return True

    def overdue(self) -> list[Request]:
        """Take those out that have waited too long; the queue is as long as it empties in time.

        While a thread is free it was the processor that had no time, and the thread comes next.
        """
        now = monotonic()
        late: list[Request] = []
        while (
            self._waiting and now - self._waiting[0].arrival > MAX_WAIT_SECONDS and all(self._busy)
        ):
            try:
                late.append(self._waiting.popleft())
            except IndexError:  # a thread was quicker
                break
        if late:
            self._wary_until = now + WARY_SECONDS
        elapsed = now - self._counted_at
        if elapsed > MAX_WAIT_SECONDS:
            rate = (self._answered - self._counted) / elapsed
            self._limit = max(self._threads, int(rate * MAX_WAIT_SECONDS))
            self._counted, self._counted_at = self._answered, now
        return late

    def _work(self, number: int) -> None:
        while True:
            self._busy[number] = False
            self._tokens.get()
            self._busy[number] = True
            try:
                request = self._waiting.popleft()
            except IndexError:  # it was turned away
                continue
            self._handle(request)
            self._answered += 1
