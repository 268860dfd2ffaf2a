"""What is refused at once, since its answer would come too late."""

from dataclasses import dataclass
from time import monotonic
from typing import Literal

QUEUE_SECONDS = 1.0
"""Seconds of work that may wait, whatever the deadline."""
LATEST = 0.1
"""How much the latest measurement weighs."""

Reason = Literal["deadline", "queue"]
"""The deadline has passed; or too much waits, which is worked on before."""


class Overloaded(Exception):
    """Nothing was begun, since the answer would come too late."""

    def __init__(self, reason: Reason) -> None:
        super().__init__("the answer would come too late; try again")
        self.reason = reason


@dataclass
class Backlog:
    """Rows, or bytes, that wait for one place.

    Attributes:
        seconds_each: those that a row takes, as measured of late.
        overhead: how many rows a call costs besides.
        together: how many rows a call takes.
        waiting: how many wait, or are worked on.
    """

    seconds_each: float
    overhead: float = 0.0
    together: int = 1
    waiting: int = 0

    @property
    def seconds(self) -> float:
        """How long it will take until nothing waits."""
        if not self.waiting:
            return 0.0
        calls = -(-self.waiting // self.together)
        return self.seconds_each * (self.waiting + calls * self.overhead)

    def measured(self, size: int, seconds: float) -> None:
        """Learn from a call how long a row takes."""
        latest = seconds / (size + self.overhead)
        self.seconds_each += LATEST * (latest - self.seconds_each)


def check_time(deadline: float, ahead: float = 0.0, own: float = 0.0) -> None:
    """Raise Overloaded if the work cannot be done by the deadline.

    Args:
        deadline: by `time.monotonic`.
        ahead: seconds that other work takes before; when there is none, the work may be begun as
            long as the deadline has not passed, or an estimate that is wrong would stay wrong.
        own: seconds that the work itself takes.
    """
    left = deadline - monotonic()
    if left <= 0:
        raise Overloaded("deadline")
    if ahead and ahead > min(QUEUE_SECONDS, left - own):
        raise Overloaded("queue")
