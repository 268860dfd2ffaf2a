"""Which version was current when: one line for each change, which nothing takes back.

The last line says what is current now. There is no second place that could disagree with it, and
it is there whole or not at all, whenever the process that writes it is killed.
"""

import fcntl
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from model.artifacts.manifest import REMEDY
from model.errors import ModelError, explained

LOG_FILE = "log.jsonl"


class Entry(BaseModel):
    """One change of the current version."""

    model_config = ConfigDict(use_attribute_docstrings=True, validate_by_name=True)

    time: datetime
    """When, in UTC."""
    who: str
    """The user that did it."""
    action: Literal["promote", "rollback"]
    previous: str | None = Field(validation_alias="from", serialization_alias="from")
    """The version that was current before."""
    to: str
    """The version that is current from then on."""
    reason: str
    evidence: dict[str, Any] | None = None
    """What the gate found."""

    def line(self) -> bytes:
        """The entry as a line of JSON."""
        return self.model_dump_json(by_alias=True).encode() + b"\n"


def parse(content: bytes, where: object) -> list[Entry]:
    """The entries of a log, oldest first; a last line that was not written to its end is none.

    Raises:
        ModelError: it holds anything else, where it says.
    """
    with explained(where, REMEDY):
        return [Entry.model_validate_json(line) for line in content.split(b"\n")[:-1]]


def current_of(entries: Sequence[Entry]) -> str | None:
    """The version that is current after these entries; None before the first."""
    return entries[-1].to if entries else None


def check_next(entries: Sequence[Entry], new: Entry) -> None:
    """Raise ModelError unless the entry begins with the version that is current."""
    current = current_of(entries)
    if current != new.previous:
        last = f"{entries[-1].who} made {current} the current version" if entries else "none is"
        raise ModelError(f"{new.to} is not current: meanwhile {last}; look, and promote again")


def current_at(entries: Sequence[Entry], moment: datetime) -> Entry | None:
    """The entry that was the last one at some moment; None before the first."""
    return next((each for each in reversed(entries) if each.time <= moment), None)


def version_before(entries: Sequence[Entry]) -> str | None:
    """The version to roll back to: the one before the last that was not rolled back."""
    promoted: list[str] = []
    for each in entries:
        if each.to == each.previous:  # nothing to go back over
            continue
        promoted = [*promoted, each.to] if each.action == "promote" else promoted[:-1]
    return promoted[-2] if len(promoted) > 1 else None


def append(path: Path, entry: Entry) -> None:
    """Add an entry to a file for good; raises ModelError if another one came first."""
    with (
        explained(path),
        open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file,
    ):
        fcntl.flock(file, fcntl.LOCK_EX)
        content = file.read()
        check_next(parse(content, path), entry)
        end = content.rfind(b"\n") + 1
        file.truncate(end)  # of a process that was killed as it wrote
        file.seek(end)
        file.write(entry.line())
        file.flush()
        os.fsync(file)
