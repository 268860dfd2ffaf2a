"""What is on record of this project, unless it is too old: passes, versions, the last report."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

LASTS = timedelta(days=14)
"""How long a record is evidence."""


class NotYet(Exception):
    """There is no evidence; the message says how to come by it."""


class Run(NamedTuple):
    """A test that was run, by the name that pytest has for it."""

    test: str
    passed: bool
    when: datetime


class Records:
    """The records in a folder, as `make test` and `make report` leave them.

    Args:
        folder: of `passes/*.xml`, `versions.json` and `report.json`.
        now: records that are older than `LASTS` by then have expired.
    """

    def __init__(self, folder: Path, now: datetime) -> None:
        self._folder, self.now = folder, now

    def passed(self, *names: str) -> str:
        """When the tests of these files, or of these names in them, passed, in words.

        Raises:
            NotYet: one has failed, or none of a name has passed lately.
        """
        runs: list[Run] = []
        for name in names:
            found = [it for it in self._runs if re.match(rf"{re.escape(name)}(::|\[|$)", it.test)]
            if not found or not all(it.passed for it in found):
                raise NotYet(f"{name} {'failed' if found else 'has not passed'}: `make test`")
            runs += found
        when = min(it.when for it in runs)
        self._check(when, "make test")
        return f"passed on {when:%Y-%m-%d}: {', '.join(names)}"

    @cached_property
    def _runs(self) -> list[Run]:
        return [run for path in self._folder.glob("passes/*.xml") for run in _runs(path)]

    @cached_property
    def versions(self) -> dict[str, Any]:
        """What `model versions --json` told; raises NotYet."""
        return self._read("versions.json")

    @property
    def aging(self) -> list[dict[str, Any]]:
        """How much each version errs on later rows, oldest first; raises NotYet."""
        self._read("report.json")  # which was made of the outcomes until then
        found: list[dict[str, Any]] = self.versions.get("aging", [])
        return found

    @cached_property
    def report(self) -> dict[str, Any]:
        """What the report found; raises NotYet."""
        return self._read("report.json")

    @property
    def current(self) -> dict[str, Any]:
        """The manifest of the current version; raises NotYet."""
        for each in self.versions["versions"]:
            if each["version"] == self.versions["current"]:
                found: dict[str, Any] = each
                return found
        raise NotYet("no version is current: `make train`")

    @property
    def judged(self) -> dict[str, Any]:
        """How good the current version was on later rows; raises NotYet."""
        if found := self.current["evaluation"]:
            return dict(found)
        raise NotYet("it was not judged, since the past rows are of one class")

    @property
    def evidence(self) -> dict[str, Any]:
        """What the gate found of the current version; raises NotYet."""
        entries = [it for it in self.versions["log"] if it["to"] == self.versions["current"]]
        found = [it["evidence"] for it in entries if it["evidence"]]
        if found and "forced" not in found[-1]:
            return dict(found[-1])
        raise NotYet("the gate has not let the current version through: `make train`")

    def _read(self, name: str) -> dict[str, Any]:
        path = self._folder / name
        if not path.exists():
            raise NotYet("nothing is on record: `make report`")
        self._check(datetime.fromtimestamp(path.stat().st_mtime, UTC), "make report")
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return found

    def _check(self, when: datetime, command: str) -> None:
        if self.now - when > LASTS:
            raise NotYet(f"what was found on {when:%Y-%m-%d} has expired: `{command}`")


def _runs(path: Path) -> Iterator[Run]:
    """What one suite ran; nothing that was skipped."""
    unit = "" if path.stem == "pair" else f"{path.stem}/"
    for suite in ElementTree.parse(path).getroot():  # noqa: S314 - pytest wrote it here
        when = datetime.fromisoformat(suite.attrib["timestamp"])
        for case in suite.iter("testcase"):
            file = case.attrib["classname"].replace(".", "/")
            outcomes = {child.tag for child in case}
            if "skipped" not in outcomes:
                passed = not outcomes & {"failure", "error"}
                yield Run(f"{unit}{file}.py::{case.attrib['name']}", passed, when)
