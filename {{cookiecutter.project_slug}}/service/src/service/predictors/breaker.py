"""A circuit breaker: nobody waits for what has just failed for others.

The pattern: Michael Nygard, Release It!, and https://martinfowler.com/bliki/CircuitBreaker.html.
"""

from collections import Counter, deque
from collections.abc import Callable
from enum import IntEnum
from threading import Lock
from time import monotonic

import structlog

log = structlog.get_logger(__name__)

CALLS = 30
"""How many of the last calls count,"""

SECONDS = 10
"""and of those only the ones that ended within so many seconds."""

MINIMUM = 5
"""With fewer calls than that, there is no telling."""

SHARE = 0.5
"""It opens when at least this share of the calls had a fault."""

PAUSE_SECONDS = 0.5
"""How long it stays open before a call may probe."""


class State(IntEnum):
    """Which calls are made: all; one, to see whether it works again; none."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Breaker:
    """Decides for the threads of a process whether a call is worth making.

    Args:
        listener: is told each state, the first one included.
        clock: gives seconds.
        name: of whom it guards, in the log.

    Attributes:
        state: as it is now.
    """

    def __init__(
        self,
        listener: Callable[[State], object] = lambda _: None,
        clock: Callable[[], float] = monotonic,
        name: str = "model",
    ) -> None:
        self._listener, self._clock, self._name = listener, clock, name
        self._lock = Lock()
        self._period = 0
        self._calls: deque[tuple[float, str]] = deque(maxlen=CALLS)
        self._probe_at = 0.0
        self._set(State.CLOSED)

    def is_open(self) -> bool:
        """Whether a call that comes now is not made."""
        return self.state is not State.CLOSED and self._clock() < self._probe_at

    def enter(self) -> int | None:
        """A ticket for one call, to be handed back to `leave`; None when it must not be made."""
        with self._lock:
            if self.state is State.OPEN and self._clock() >= self._probe_at:
                self._set(State.HALF_OPEN)
            elif self.state is not State.CLOSED:
                return None
            return self._period

    def leave(self, ticket: int, fault: str | None) -> None:
        """How the call with this ticket went.

        Args:
            ticket: from `enter`.
            fault: empty for none; None when the call does not tell.
        """
        with self._lock:
            if ticket != self._period:
                return  # it began before the state changed
            if self.state is State.HALF_OPEN:
                self._probed(fault)
            elif fault is not None:
                self._calls.append((self._clock(), fault))
                if fault:
                    self._judge()

    def _probed(self, fault: str | None) -> None:
        if fault == "":
            log.info(f"breaker closed: the {self._name} answers again")
            self._set(State.CLOSED)
        else:
            log.debug("breaker open again", fault=fault)
            self._open(0 if fault is None else PAUSE_SECONDS)

    def _judge(self) -> None:
        since = self._clock() - SECONDS
        recent = [fault for when, fault in self._calls if when >= since]
        faults = Counter(filter(None, recent))
        if len(recent) >= MINIMUM and faults.total() >= SHARE * len(recent):
            event = f"breaker open: the {self._name} is not asked"
            log.warning(event, calls=len(recent), faults=faults)
            self._open(PAUSE_SECONDS)

    def _open(self, pause: float) -> None:
        self._probe_at = self._clock() + pause
        self._set(State.OPEN)

    def _set(self, state: State) -> None:
        self.state = state
        self._period += 1
        self._calls.clear()
        self._listener(state)
