"""What scenarios need of the operating system."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


class NotRun(Exception):
    """Why a scenario cannot be run here."""


def wait_until(holds: Callable[[], object], what: str, within: float = 30.0) -> None:
    """Wait until it holds; raises TimeoutError."""
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within:.0f} s: {what}")
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    with suppress(OSError):
        return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    return []


def is_alive(pid: int) -> bool:
    """Whether a process runs, and is not just waiting for its parent to notice its end."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False
