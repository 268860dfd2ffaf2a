"""What is read from files, and read again when they change."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger(__name__)

CHECK_SECONDS = 1
"""How long a change may go unseen."""

Content = TypeVar("Content")


class Watched(Generic[Content]):
    """The content of files; after a change that cannot be read, what was there before.

    Args:
        read: makes the content of the files.
        files: which it reads.

    Raises:
        OSError, ValueError: of `read`, which must not show any secret.
    """

    def __init__(self, read: Callable[[], Content], *files: Path) -> None:
        self._read, self._files = read, files
        self._stamps = self._stat()
        self._content = read()
        self._next_check = monotonic() + CHECK_SECONDS

    def __call__(self) -> Content:
        """The content as it is now, or was a second ago."""
        if monotonic() >= self._next_check:
            self._next_check = monotonic() + CHECK_SECONDS
            try:
                self._update()
            except (OSError, ValueError) as error:
                log.warning("not read again", files=self._names(), fault=str(error))
        return self._content

    def _update(self) -> None:
        stamps = self._stat()
        if stamps != self._stamps:
            self._stamps = stamps  # whatever comes of it: a fault is logged once
            self._content = self._read()
            log.info("read again", files=self._names())

    def _stat(self) -> list[tuple[int, ...]]:
        found = [file.stat() for file in self._files if file.exists()]
        return [(each.st_mtime_ns, each.st_ino, each.st_size) for each in found]

    def _names(self) -> list[str]:
        return [str(each) for each in self._files]
