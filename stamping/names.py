"""The rule for names, which the stamped-out contract has: this loads the very same file."""

import json
import runpy
from collections.abc import Callable, Sequence

from stamping import TEMPLATE

# Not imported: that would leave compiled code among the files to be stamped out.
_RULE = runpy.run_path(
    str(TEMPLATE / "{{cookiecutter.project_slug}}" / "contract" / "src" / "contract" / "names.py")
)

LONGEST: int = _RULE["LONGEST"]
name_of: Callable[[str], str] = _RULE["name_of"]


def short(value: str) -> str:
    """The value on one line, quoted, cut where it gets long."""
    return repr(value) if len(value) <= 40 else f"{value[:40]!r}..."


def visible(text: str) -> str:
    """The text with what cannot be seen, such as a change of direction, as JSON escapes it."""
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def indented(value: object) -> str:
    """The lines of JSON in which letters of all alphabets are as they are, and all is visible."""
    lines = json.dumps(value, indent=2, ensure_ascii=False).split("\n")
    return "".join(f"{visible(line)}\n" for line in lines)


def by_name(headers: Sequence[str]) -> dict[str, list[int]]:
    """Where the columns of each name stand, first the one that is taken.

    That is the one whose header is the name itself, else the first.
    """
    found: dict[str, list[int]] = {}
    for place, header in enumerate(headers):
        found.setdefault(name_of(header), []).append(place)
    return {
        name: sorted(places, key=lambda place: headers[place] != name)
        for name, places in found.items()
    }
