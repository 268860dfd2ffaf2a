"""The benchmark's own reckoning: what is parsed, compared, drawn and pinned. Nothing is timed."""

import copy
import json
import re
import signal
import xml.etree.ElementTree as ET
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

import bulk
import chart
import load
import memory
import processes
import publish
import pytest
import table
import visit
from contestants import COMPILED, CONTESTANTS, OURS, SKLEARN, UNCOMPILED
from goals import goals, summary
from places import CHART, PEERS, README, REPORT, TEMPLATE
from places import RESULTS as RESULTS_FILE
from visit import Disqualified

ROW = {"hour": 11.9, "day": "Thu", "distance": 3.15, "items": 4}
SAME = {"joblib", "numpy", "onnxruntime", "pandas", "scikit-learn", "scipy"}

WRK = """Running 5s test @ http://127.0.0.1:8000/predict
  1 threads and 8 connections
  Latency Distribution
     50%    1.20ms
     99%    2.30ms
  32512 requests in 5.00s, 7.01MB read
Requests/sec:   6501.12
Transfer/sec:      1.40MB

{"requests": 32512, "microseconds": 5001000, "p50": 1204, "p99": 2310, "connect": 0, "read": 2,\
 "write": 0, "status": 7, "timeout": 0}
"""


def test_what_wrk_printed_is_read_with_every_kind_of_error() -> None:
    found = load.parse(WRK)

    assert found.rps == pytest.approx(6501.1, abs=0.1)
    assert (found.p50, found.p99) == (1.204, 2.310)
    assert found.errors == {"read": 2, "status": 7}


def test_memory_is_read_in_megabytes() -> None:
    rollup = "55d0-7ffe ---p 0 00:00 0 [rollup]\nRss:      2000 kB\nPss:      1000 kB\n"
    rollup += "Pss_Dirty:   500 kB\nShared_Clean: 900 kB\n"

    assert memory.parse(rollup) == memory.Memory(rss=2.048, pss=1.024)


def spread(value: float) -> dict[str, float]:
    return {"median": value, "min": 0.9 * value, "max": 1.1 * value}


def contestant(name: str, artifact: str, rps: float, **more: Any) -> dict[str, Any]:
    """A contestant's results: its p99 is 40 / rps seconds, its p50 alone 1 / rps seconds."""
    loads = {
        "8": {"rps": spread(rps), "p50": spread(8000 / rps), "p99": spread(40000 / rps)},
        "1": {"rps": spread(rps), "p50": spread(1000 / rps), "p99": spread(2000 / rps)},
    }
    resources = {"start": spread(600 / rps), "memory": {"rss": spread(100), "pss": spread(80)}}
    return {
        "name": name,
        "label": f"<{name}>",
        "artifact": artifact,
        "ours": name in (OURS, UNCOMPILED),
        "versions": {name: "1.0"},
        "setup": f"{name} as it comes",
        "summary": {"load": loads, **resources},
        **more,
    }


WRONG = contestant("wrong", SKLEARN, 7000)
del WRONG["summary"]
RESULTS: dict[str, Any] = {
    "machine": {
        "cpu": "A Processor & Co",
        "cores": 2,
        "kernel": "6.1",
        "python": "3.11.7",
        "date": "2026-11-22",
        "wrk": "4.1",
        "load before": 0.1,
    },
    "settings": {"rounds": 5, "seconds": 5},
    "disqualified": {"wrong": "row 3: answered 7", "pair unix postgresql": "served by fallback"},
    "contestants": [
        contestant(OURS, COMPILED, 6000),
        contestant(UNCOMPILED, SKLEARN, 250),
        contestant("flask", SKLEARN, 200),
        contestant("mlflow", SKLEARN, 80),
        contestant("fastapi-compiled", COMPILED, 4000),
        contestant("bentoml-compiled", COMPILED, 500),
        WRONG,
    ],
    "workers": {
        "1": {"rss": spread(110), "pss": spread(70)},
        "3": {"rss": spread(250), "pss": spread(130)},
    },
    "pair": [
        {"name": name, "summary": contestant(name, COMPILED, rps)["summary"]}
        for name, rps in {
            "unix sqlite": 400,
            "library sqlite": 500,
            "library postgresql": 500,
        }.items()
    ]
    + [{"name": "unix postgresql"}],
    "bulk": {
        "bare": spread(200_000),
        "file": spread(100_000),
        "file with start": spread(80_000),
        "infer": spread(90_000),
    },
}


def test_every_goal_is_reckoned_against_the_best_peer() -> None:
    found = {goal.what: (goal.value, goal.met) for goal in goals(RESULTS)}

    expected: dict[str, tuple[float, bool | None]] = {
        "requests/s, 8 connections, times the best scikit-learn peer": (30, True),
        "p50, 1 connection, over the best scikit-learn peer": (1 / 30, True),
        "p99, 8 connections, over the best scikit-learn peer": (1 / 30, True),
        "requests/s, 8 connections, times <fastapi-compiled>, compiled": (1.5, True),
        "p99, 8 connections, over <fastapi-compiled>, compiled": (2 / 3, True),
        "requests/s, 8 connections, times <bentoml-compiled>, compiled": (12, None),
        "p99, 8 connections, over <bentoml-compiled>, compiled": (1 / 12, None),
        "--no-compile: requests/s, 8 connections, times the best peer": (1.25, False),
        "seconds to the first answer": (0.1, True),
        "start, over the quickest scikit-learn peer": (1 / 30, True),
        "MB proportional, the first worker and its master": (70, True),
        "MB proportional, each further worker": (30, True),
        "POST /orders, sqlite: p50 of unix over library": (1.25, True),
        "many rows, file: share of bare ONNX Runtime": (0.5, False),
        "many rows, file with start: share of bare ONNX Runtime": (0.4, None),
        "many rows, infer: share of bare ONNX Runtime": (0.45, True),
    }
    assert {what: met for what, (_, met) in found.items()} == {
        what: met for what, (_, met) in expected.items()
    }
    for what, (value, _) in expected.items():
        assert found[what][0] == pytest.approx(value), what


def test_a_part_of_a_run_is_reckoned_as_far_as_it_goes() -> None:
    by_name = {each["name"]: each for each in RESULTS["contestants"]}

    def told(*names: str) -> list[str]:
        return [goal.what for goal in goals({"contestants": [by_name[it] for it in names]})]

    assert told("flask") == told("flask", "mlflow") == []
    assert told(OURS) == ["seconds to the first answer"]
    assert told(OURS, "fastapi-compiled") == [
        "requests/s, 8 connections, times <fastapi-compiled>, compiled",
        "p99, 8 connections, over <fastapi-compiled>, compiled",
        "seconds to the first answer",
    ]


def test_a_missed_goal_is_told_plainly() -> None:
    slow = copy.deepcopy(RESULTS)
    slow["contestants"][0] = contestant(OURS, COMPILED, 2000)

    lines = table.report(slow).splitlines()

    (line,) = [each for each in lines if "times the best scikit-learn" in each]
    assert [cell.strip() for cell in line.split("|")[2:-1]] == ["10", "≥ 20", "MISSED"]


def test_who_was_disqualified_and_why_is_published() -> None:
    page = publish.page(RESULTS)

    assert "- wrong: row 3: answered 7\n- pair unix postgresql: served by fallback\n" in page
    assert "0.1" in page
    assert "- <flask> (scikit-learn): flask as it comes\n" in page


def test_the_readme_gets_the_table_and_keeps_the_rest() -> None:
    text = f"before\n{publish.BEGIN}| old |\n{publish.END}\nafter\n"

    once = publish.readme(text, RESULTS)

    assert once.startswith(f"before\n{publish.BEGIN}| one worker ")
    assert once.endswith(f" |\n{publish.END}\nafter\n")
    assert "old" not in once
    assert publish.readme(once, RESULTS) == once
    (ours,) = [line for line in once.splitlines() if "<ours>" in line]
    cells = [cell.strip() for cell in ours.split("|")[1:-1]]
    assert cells == ["<ours>", "compiled", "6,000", "6.67", "0.167", "0.1", "80"]
    with pytest.raises(ValueError, match="lacks"):
        publish.readme("no table here", RESULTS)


def test_what_is_published_is_what_was_measured() -> None:
    results = json.loads(RESULTS_FILE.read_text("utf-8"))

    assert CHART.read_text("utf-8") == chart.draw(results)
    assert REPORT.read_text("utf-8") == publish.page(results)
    readme = README.read_text("utf-8")
    assert publish.readme(readme, results) == readme


def test_rounds_are_summed_up_by_median_and_spread() -> None:
    rounds = [{"load": {"8": {"rps": rps, "errors": {}}}, "start": 2 * rps} for rps in (3, 1, 9)]

    assert summary(rounds) == {
        "load": {"8": {"rps": {"median": 3, "min": 1, "max": 9}}},
        "start": {"median": 6, "min": 2, "max": 18},
    }


def test_the_chart_shows_everyone_who_was_not_disqualified() -> None:
    drawn = ET.fromstring(chart.draw(RESULTS))

    texts = [element.text or "" for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    widths = [
        float(element.get("width", "nan"))
        for element in drawn.iter("{http://www.w3.org/2000/svg}rect")
    ]
    assert [each for each in texts if each.startswith("<")] == [
        "<ours>",
        "<fastapi-compiled>",
        "<bentoml-compiled>",
        "<ours-uncompiled>",
        "<flask>",
        "<mlflow>",
    ]
    rates = (6000, 4000, 500, 250, 200, 80)
    assert widths == pytest.approx([widths[0] * rate / 6000 for rate in rates], abs=0.1)
    assert "6,000/s, p99 6.67 ms" in texts
    told = " ".join(texts)
    assert "A Processor & Co, 2 cores" in told
    assert "2026-11-22" in told
    assert "mlflow 1.0" in told


@pytest.mark.parametrize("each", CONTESTANTS, ids=lambda each: each.name)
def test_every_request_tells_all_of_the_row(each: Any) -> None:
    def leaves(value: Any) -> list[Any]:
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list):
            return [leaf for part in value for leaf in leaves(part)]
        return [value]

    told = leaves(each.encode(dict(ROW)))

    assert [value for value in told if value in ROW.values()] == list(ROW.values())


def test_wrong_or_missing_bulk_predictions_disqualify(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "history_answers", lambda: [1.0, 2.0])

    bulk.compare([1.0, 2.0, 1.0], 3)
    with pytest.raises(Disqualified, match=r"row 2: predicted 2\.0 instead of 1\.0"):
        bulk.compare([1.0, 2.0, 2.0], 3)
    with pytest.raises(Disqualified, match="2 predictions for 3 rows"):
        bulk.compare([1.0, 2.0], 3)


def test_the_reference_is_reckoned_before_the_clock_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[str] = []

    def answers() -> list[float]:
        order.append("answers")
        return [1.0]

    def running(*_: object) -> AbstractContextManager[None]:
        order.append("start")
        return nullcontext()

    monkeypatch.setattr(visit, "answers", answers)
    monkeypatch.setattr(visit, "running", running)
    monkeypatch.setattr(visit, "rows", lambda: [ROW])
    monkeypatch.setattr(visit, "artifact", Path)
    with visit.started(CONTESTANTS[0]) as address:
        assert address.answers == [1.0]
    assert order == ["answers", "start"]


def test_a_stopped_server_leaves_no_process_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LOGS", tmp_path)
    monkeypatch.setattr(processes, "HOME", tmp_path)
    monkeypatch.setattr(processes, "STOP_WITHIN", 0.2)
    stubborn = "trap '' TERM; setsid sleep 60 & echo ready; sleep 60; true"
    with processes.running("stubborn", ["bash", "-c", stubborn], {}, tmp_path) as server:
        while "ready" not in server.log.read_text() or len(server.tree()) < 3:
            assert server.ended() is None
        family = server.tree()

    assert server.ended() == -signal.SIGKILL
    for pid in family:
        with suppress(OSError):  # it is gone, perhaps as its state is read
            assert ") Z " in Path(f"/proc/{pid}/stat").read_text(), "it still runs"


def pins(file: Path) -> dict[str, set[str]]:
    """The version of each package in a requirements file, with its condition."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\\\n]+)", file.read_text(), re.MULTILINE):
        found.setdefault(name, set()).add(version.strip())
    return found


@pytest.mark.parametrize("peer", sorted(PEERS.iterdir()), ids=lambda peer: peer.name)
def test_peers_are_pinned_by_hash_and_run_the_model_as_we_do(peer: Path) -> None:
    lock = peer / "requirements.txt"
    text = lock.read_text("utf-8")
    blocks = re.split(r"\n(?=\S)", text.strip())

    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in text
    ours = pins(TEMPLATE / "{{cookiecutter.project_slug}}/model/requirements.txt")
    theirs = pins(lock)
    assert "scikit-learn" in theirs
    assert {it: theirs[it] for it in SAME & theirs.keys()} == {
        it: ours[it] for it in SAME & theirs.keys()
    }
    asked = (peer / "requirements.in").read_text("utf-8").splitlines()
    names = {re.split(r"[<\[]", each)[0] for each in asked if not each.startswith("#")}
    assert names <= theirs.keys()
