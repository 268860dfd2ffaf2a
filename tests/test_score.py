"""`make score` counts what is on record and holds, and nothing else."""

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import Stamp

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
GAIN = {"mean": 2.0, "low": 1.0, "high": 3.0}
FOUND: dict[str, Any] = {
    "objections": [],
    "error": {"difference": {"mean": -5.0}},
    "latency_ms": {"new": 1.0, "current": 1.1},
    "memory_mb": {"new": 80.0, "current": 80.0},
}
VERSIONS: dict[str, Any] = {
    "current": "new",
    "versions": [
        {
            "version": "new",
            "created_at": "2026-11-20T00:00:00Z",
            "code": {"commit": "0123456789abcdef", "dirty": False},
            "data": {"source": "both", "parts": [{"source": "product.csv"}]},
            "evaluation": {
                "candidates": [{}, {}],
                "metrics": {"error": 1.0},
                "baseline": {"error": 9.0},
                "linear": {"gain": GAIN},
                "slices": [{}],
                "importance": {"hour": GAIN},
            },
        }
    ],
    "log": [
        {"from": None, "to": "old", "evidence": {**FOUND, "latency_ms": {"new": 1.0}}},
        {"from": "old", "to": "new", "evidence": FOUND},
        {"from": "new", "to": "old", "evidence": None},  # back and forth, which proves nothing
        {"from": "old", "to": "new", "evidence": None},
    ],
    "aging": [
        {"version": "old", "rows": 90, "error": 9.0, "low": 8.0, "high": 10.0, "beside": {}},
        {
            **{"version": "new", "rows": 60, "error": 1.0, "low": 0.5, "high": 1.5},
            "beside": {"old": 9.5},
        },
    ],
}
REPORT: dict[str, Any] = {
    "served": {"model": 90, "fallback": 0, "none": 0},
    "known": 90,
    "errors": {"low": 0.5, "mean": 1.0, "high": 1.5, "training": 1.0},
    "worse": "ok",
    "drifts": {"hour": True},
    "slices": {"day Mon": "ok"},
    "p95_ms": 3.0,
    "deadline_ms": 250.0,
}
CASES = """<testsuites><testsuite timestamp="2026-11-28T00:00:00+00:00">
<testcase classname="tests.test_a" name="test_it[1]"/>
<testcase classname="tests.test_a" name="test_it[2]"/>
<testcase classname="tests.test_a" name="test_item"><failure/></testcase>
<testcase classname="tests.test_b" name="test_it"><skipped/></testcase>
</testsuite></testsuites>"""


@pytest.fixture(scope="module")
def score(stamp: Stamp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The program of a project."""
    folder = stamp(tmp_path_factory.mktemp("score")) / "dev"
    sys.path.insert(0, str(folder))
    yield importlib.import_module("score")
    sys.path.remove(str(folder))


def written(folder: Path, **files: Any) -> Path:
    """A folder with these records, as of today."""
    for name, content in files.items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(content))
        os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    return folder


def holding(score: ModuleType, folder: Path, now: datetime = NOW) -> dict[str, str]:
    """The claims about versions and product that hold, by their last proof's name."""
    records, found = score.Records(folder, now), {}
    proofs = [it for claims in score.RUBRIC.values() for each in claims.values() for it in each]
    for proof in (each for each in proofs if each.__name__ != "<lambda>"):
        holds, words = score.evidence([proof], records)
        if holds:
            found[proof.__name__] = words
        else:
            assert words
    return found


def test_what_is_whole_and_fresh_holds(score: ModuleType, tmp_path: Path) -> None:
    assert [len(claims) for claims in score.RUBRIC.values()] == [7, 7, 7, 7]
    folder = written(tmp_path, versions=VERSIONS, report=REPORT)
    found = holding(score, folder)
    assert len(found) == 16
    assert found["_compared"] == "of 1 features these differ from training: hour"
    assert not holding(score, folder, NOW + timedelta(days=15))
    assert not holding(score, tmp_path / "nothing")


def version(**changes: Any) -> Callable[[Any, Any], None]:
    return lambda versions, _: versions["versions"][0].update(changes)


def judged(**changes: Any) -> Callable[[Any, Any], None]:
    return lambda versions, _: versions["versions"][0]["evaluation"].update(changes)


def gate(**changes: Any) -> Callable[[Any, Any], None]:
    return lambda versions, _: versions["log"][1]["evidence"].update(changes)


def aged(which: int, **changes: Any) -> Callable[[Any, Any], None]:
    return lambda versions, _: versions["aging"][which].update(changes)


def reported(**changes: Any) -> Callable[[Any, Any], None]:
    return lambda _, report: report.update(changes)


ALL_OF_THE_GATE = "_cheap _gated _tried_out _same_features _as_quick"


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        (version(code=None), "_checked_in"),
        (version(code={"commit": "0" * 40, "dirty": True}), "_checked_in"),
        (version(created_at="2026-08-01T00:00:00Z"), "_fresh"),
        (version(data={"source": "history.csv"}), "_same_features"),
        (version(evaluation=None), "_useful _tuned _no_simpler _sliced _gated"),
        (judged(candidates=[{}]), "_tuned"),
        (judged(slices=[]), "_sliced"),
        (judged(linear={"gain": {"mean": -2.0, "low": -3.0, "high": -1.0}}), "_no_simpler"),
        (judged(importance={"hour": GAIN, "noise": {**GAIN, "low": -0.1}}), "_useful"),
        (judged(importance={}), "_useful"),
        (gate(forced=True), ALL_OF_THE_GATE),
        (gate(objections=["no"]), "_gated"),
        (gate(skew={"ratio": 3}), "_same_features"),
        (gate(latency_ms={"new": 1.0, "current": None}), "_as_quick"),
        (gate(error={"difference": {"mean": 5.0}}), "_moves_together"),
        (aged(0, rows=29), "_staleness"),
        (aged(1, rows=29), "_moves_together _staleness"),
        (aged(1, beside={}), "_moves_together"),
        (aged(1, error=10.0), "_moves_together"),
        (reported(served={"model": 29}), "_compared"),
        (reported(drifts={}), "_compared"),
        (reported(slices={}), "_fair"),
        (reported(slices={"day Mon": "ok", "day Tue": "look"}), "_fair"),
        (reported(p95_ms=251.0), "_as_quick"),
        (reported(known=29), "_as_good"),
        (reported(errors={}), "_as_good"),
        (reported(worse="look"), "_as_good"),
    ],
)
def test_each_proof_can_fail(
    change: Callable[[Any, Any], None], lost: str, score: ModuleType, tmp_path: Path
) -> None:
    versions, report = deepcopy(VERSIONS), deepcopy(REPORT)
    whole = {*holding(score, written(tmp_path, versions=versions, report=report))}
    change(versions, report)
    left = {*holding(score, written(tmp_path, versions=versions, report=report))}
    assert whole - left == {*lost.split()}


def test_a_test_counts_that_has_passed_lately(score: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "passes").mkdir()
    (tmp_path / "passes/service.xml").write_text(CASES)
    (tmp_path / "passes/pair.xml").write_text(CASES)
    name = "service/tests/test_a.py::test_it"
    records = score.Records(tmp_path, NOW)
    assert records.passed(name) == f"passed on 2026-11-28: {name}"
    assert "tests/test_a.py" in records.passed("tests/test_a.py::test_it")
    for other, fault in (
        ("service/tests/test_a.py", "failed: `make test`"),
        ("service/tests/test_b.py", "has not passed: `make test`"),
        ("service/tests/test_a.py::test_renamed", "has not passed: `make test`"),
        ("model/tests/test_a.py", "has not passed: `make test`"),
    ):
        with pytest.raises(score.NotYet) as caught:
            records.passed(name, other)
        assert str(caught.value) == f"{other} {fault}"
    with pytest.raises(score.NotYet, match="has expired: `make test`"):
        score.Records(tmp_path, NOW + timedelta(days=15)).passed(name)
