"""What files hold, read again when they change."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from model.errors import ModelError

T = TypeVar("T")


class Watched(Generic[T]):
    """A value made of files; files that are at fault leave the value as it was.

    Args:
        read: makes the value; raises ModelError.
        paths: the files.
    """

    def __init__(self, read: Callable[[], T], *paths: Path) -> None:
        self._read = read
        self._paths = paths
        self._states = list(self._look())
        self._value = read()

    def latest(self) -> T:
        """The value by the files as they are now, or as they were when they last made sense."""
        if self._paths and (states := list(self._look())) != self._states:
            self._states = states
            names = ", ".join(map(str, self._paths))
            try:
                self._value = self._read()
                structlog.get_logger().info(f"read again: {names}")
            except ModelError as error:
                structlog.get_logger().error(f"not read again, the old ones hold: {error}")
        return self._value

    def _look(self) -> Iterator[tuple[int, ...] | None]:
        for path in self._paths:
            try:
                found = os.stat(path)
                yield found.st_ino, found.st_size, found.st_mtime_ns
            except OSError:
                yield None
