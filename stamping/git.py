"""Programs, and above all git, as `make update` runs them."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path


class Refused(Exception):
    """Why it cannot be done."""


def run(command: Sequence[str | Path], folder: Path, **environment: str) -> str:
    """What a command prints.

    Raises:
        Refused: it failed; with what it said.
    """
    done = subprocess.run(  # noqa: S603 - our commands, without a shell
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        said = f"{done.stdout}\n{done.stderr}".strip()
        raise Refused(f"{Path(command[0]).name}: {said}")
    return done.stdout


def git(folder: Path, *arguments: str | Path, **environment: str) -> str:
    """What a git command prints, without the last line break; see `run`."""
    return run(["git", *arguments], folder, **environment).removesuffix("\n")


def paths(folder: Path, command: str, *arguments: str | Path) -> list[str]:
    """The paths that a git command lists, from the top of the repository."""
    return [path for path in git(folder, command, "-z", *arguments).split("\0") if path]
