"""Reading what nobody but this user, or root, can have written."""

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.artifacts.manifest import REMEDY
from model.errors import ModelError, explained


@contextmanager
def open_private(path: Path) -> Iterator[io.BufferedReader]:
    """A file to read; raises ModelError if it is a link, no regular file, or others can write it.

    What is checked is what was opened, so that nothing can be put in its place in between.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # of a pipe, which would wait
    with explained(path, REMEDY), open(os.open(path, flags), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ModelError(f"{path}: not a regular file; {REMEDY}")
        check_private(path, found)
        yield file


def read_private(path: Path) -> bytes:
    """The content of such a file."""
    with open_private(path) as file:
        return file.read()


def check_private(path: Path, found: os.stat_result) -> None:
    """Raise ModelError if others own, or can write, what was found at a path."""
    if found.st_uid not in (0, os.geteuid()):
        whose = f"belongs to user {found.st_uid}, neither to this user nor to root"
        raise ModelError(f"{path}: {whose}; `chown` it, or restore it elsewhere")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ModelError(f"{path}: other users can write it; `chmod go-w {path}`")
