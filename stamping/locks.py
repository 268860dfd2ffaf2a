"""The requirements files in a merge: their pins are put together, not their lines."""

import re
from pathlib import Path

from stamping.git import git, paths

REQUIREMENTS = ":(glob)**/requirements*.txt"
DEPENDENCIES = ":(glob)**/pyproject.toml"


def settle(top: Path, base: str, theirs: str) -> bool:
    """Settle the requirements files of a merge; whether they have to be locked anew.

    Where only one side changed a file, git has taken that side. Where both did, the file gets the
    template's pins, and the project's of whatever the template does not pin.
    """
    moved = paths(top, "diff", "--name-only", base, theirs, "--", REQUIREMENTS)
    ours = paths(top, "diff", "--name-only", base, "HEAD", "--", REQUIREMENTS)
    for path in {*moved} & {*ours} & {*paths(top, "diff", "--name-only", "HEAD", theirs)}:
        if all(git(top, "ls-tree", side, "--", path) for side in ("HEAD", theirs)):
            pins = [git(top, "show", f"{side}:{path}") + "\n" for side in ("HEAD", theirs)]
            (top / path).write_text(combined(*pins), "utf-8")
            git(top, "add", "--", path)
    return bool(
        moved and paths(top, "diff", "--name-only", theirs, "--", REQUIREMENTS, DEPENDENCIES)
    )


def combined(ours: str, theirs: str) -> str:
    """Their requirements, and ours of the packages that they do not have, sorted by name."""
    pins = by_package(ours) | by_package(theirs)
    return "".join(pins[name] for name in sorted(pins))


def by_package(requirements: str) -> dict[str, str]:
    """The lines of each package: its pins, one for each marker, and their hashes."""
    found: dict[str, str] = {}
    for pin in re.findall(r"^[\w].*\n(?:[ \t].*\n)*", requirements, re.M):
        name = re.split(r"[^\w.-]", pin, maxsplit=1)[0].lower()
        found[name] = found.get(name, "") + pin
    return found
