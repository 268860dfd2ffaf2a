"""The benchmarks parse, compare, publish and pin what they should. Nothing is measured here."""

import copy
import json
import re
import signal
import socket
import time
import xml.etree.ElementTree as ET
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import chart
import load
import memory
import processes
import publish
import pytest
import serving
import steady
import swaps
import tables
from goals import goals
from measurements import Measurement
from paths import CHART, PEERS, README, REPORT, TEMPLATE
from paths import RESULTS as RESULTS_FILE
from processes import Failed
from results import failures, summary
from servers import BY_NAME, COMPILED, OURS, PRODUCTS, SERVERS, SKLEARN, UNCOMPILED, Server

ROW = {"hour": 11.9, "day": "Thu", "distance": 3.15, "items": 4}
SAME_VERSIONS = {
    "joblib",
    "numpy",
    "onnxruntime",
    "pandas",
    "psycopg",
    "scikit-learn",
    "scipy",
    "sqlalchemy",
}

WRK = """Running 5s test @ http://127.0.0.1:8000/predict
  1 threads and 8 connections
  Latency Distribution
     50%    1.20ms
     99%    2.30ms
  32512 requests in 5.00s, 7.01MB read
Requests/sec:   6501.12
Transfer/sec:      1.40MB

{"requests": 32512, "duration_us": 5001000, "p50_us": 1204, "p99_us": 2310, "connect": 0,\
 "read": 2, "write": 0, "status": 7, "timeout": 0}
"""


def test_output_of_wrk_is_parsed_with_every_kind_of_error() -> None:
    parsed = load.parse(WRK)

    assert parsed.pop("rps") == pytest.approx(6501.1, abs=0.1)
    assert parsed == {"p50_ms": 1.204, "p99_ms": 2.310, "errors": {"read": 2, "status": 7}}


def test_memory_is_in_megabytes() -> None:
    rollup = "55d0-7ffe ---p 0 00:00 0 [rollup]\nRss:      2000 kB\nPss:      1000 kB\n"
    rollup += "Pss_Dirty:   500 kB\nShared_Clean: 900 kB\n"

    assert memory.parse(rollup) == {"rss_mb": 2.048, "pss_mb": 1.024}


def spread(value: float) -> dict[str, float]:
    return {"median": value, "min": 0.9 * value, "max": 1.1 * value}


def server(name: str, model: str, rps: float) -> dict[str, Any]:
    """The results of a server: its p99 is 40 / rps seconds, its p50 alone 1 / rps seconds."""
    loads = {
        "8": {"rps": spread(rps), "p50_ms": spread(8000 / rps), "p99_ms": spread(40000 / rps)},
        "1": {"rps": spread(rps), "p50_ms": spread(1000 / rps), "p99_ms": spread(2000 / rps)},
    }
    memory = {"rss_mb": spread(100), "pss_mb": spread(80)}
    return {
        "name": name,
        "label": f"<{name}>",
        "model": model,
        "ours": name in (OURS, UNCOMPILED),
        "versions": {name: "1.0"},
        "setup": f"{name} as it comes",
        "summary": {"load": loads, "start_seconds": spread(600 / rps), "memory": memory},
    }


WRONG = {**server("wrong", SKLEARN, 7000), "error": "row 3: predicted 7"}
del WRONG["summary"]
RESULTS: dict[str, Any] = {
    "machine": {
        "cpu": "A Processor & Co",
        "cores": 2,
        "kernel": "6.1",
        "python": "3.11.7",
        "date": "2026-11-22",
        "wrk": "4.1",
        "load_before": 0.1,
    },
    "settings": {"rounds": 5, "seconds": 5},
    "servers": [
        server(OURS, COMPILED, 6000),
        server(UNCOMPILED, SKLEARN, 250),
        server("flask", SKLEARN, 200),
        server("mlflow", SKLEARN, 80),
        server("fastapi-compiled", COMPILED, 4000),
        server("bentoml-compiled", COMPILED, 500),
        WRONG,
    ],
    "workers": [
        {"name": "1", "summary": {"rss_mb": spread(110), "pss_mb": spread(70)}},
        {"name": "3", "summary": {"rss_mb": spread(250), "pss_mb": spread(130)}},
    ],
    "pair": [
        server("unix sqlite", COMPILED, 400),
        server("library sqlite", COMPILED, 500),
        server("library postgresql", COMPILED, 500),
        {"name": "unix postgresql", "error": "served by fallback"},
    ],
    "client": [
        {
            "name": "socket and child",
            "summary": {
                "unix_p50_ms": spread(0.5),
                "subprocess_p50_ms": spread(0.49),
                "share": spread(0.98),
            },
        }
    ],
    "product": [
        server("ours-1 sqlite", COMPILED, 900),
        server("ours-2 sqlite", COMPILED, 1000),
        server("orders-flask sqlite", SKLEARN, 100) | {"label": "<by hand>"},
        server("orders-fastapi-compiled sqlite", COMPILED, 600) | {"label": "<by hand>"},
        server("ours-1 postgresql", COMPILED, 600),
        server("ours-2 postgresql", COMPILED, 750),
    ],
    "bulk": [
        {"name": "bare", "summary": {"rows_per_second": spread(200_000)}},
        {
            "name": "file",
            "summary": {
                "rows_per_second": spread(100_000),
                "rows_per_second_with_start": spread(80_000),
            },
        },
        {"name": "infer", "summary": {"rows_per_second": spread(90_000)}},
    ],
    "swaps": [
        {
            "name": "folder",
            "summary": {
                **{
                    stretch: {"p50_ms": spread(1), "p99_ms": spread(p99), "max_ms": spread(50)}
                    for stretch, p99 in (("before", 4), ("during", 10), ("after", 4))
                },
                "swaps": spread(40),
                "everywhere_seconds": spread(0.3),
                "everywhere_seconds_at_most": spread(0.5),
                "failed": spread(0),
            },
        },
        {"name": "bucket", "error": "not served everywhere"},
    ],
}


def test_goals_compare_with_the_best_peer() -> None:
    found = {goal.name: (goal.value, goal.met) for goal in goals(RESULTS)}

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
        "a prediction: p50 of subprocess over unix, in turn": (0.98, True),
        "POST /orders, sqlite: requests/s with 8, times <by hand>, compiled": (1.5, True),
        "POST /orders, sqlite: p50 alone, over <by hand>, compiled": (2 / 3, True),
        "POST /orders, sqlite: requests/s with 8, times <by hand>, scikit-learn": (9, True),
        "POST /orders, sqlite: p50 alone, over <by hand>, scikit-learn": (1 / 9, None),
        "POST /orders, sqlite: p99 with 8, over its p50": (5, True),
        "POST /orders, sqlite: requests/s of two workers over one": (10 / 9, None),
        "POST /orders, postgresql: requests/s of two workers over one": (1.25, False),
        "many rows, file: share of bare ONNX Runtime": (0.5, False),
        "many rows, file with start: share of bare ONNX Runtime": (0.4, None),
        "many rows, infer: share of bare ONNX Runtime": (0.45, True),
        "swaps, folder: p99 during them, over that before": (2.5, False),
        "swaps, folder: seconds until the version before is gone, at most": (0.55, True),
        "swaps, folder: failed requests": (0, True),
    }
    assert {name: met for name, (_, met) in found.items()} == {
        name: met for name, (_, met) in expected.items()
    }
    for name, (value, _) in expected.items():
        assert found[name][0] == pytest.approx(value), name


def test_a_part_of_a_run_has_only_the_goals_that_it_measured() -> None:
    by_name = {each["name"]: each for each in RESULTS["servers"]}

    def names_of_goals(*names: str) -> list[str]:
        return [goal.name for goal in goals({"servers": [by_name[it] for it in names]})]

    assert names_of_goals("flask") == names_of_goals("flask", "mlflow") == []
    assert names_of_goals(OURS) == ["seconds to the first answer"]
    assert names_of_goals(OURS, "fastapi-compiled") == [
        "requests/s, 8 connections, times <fastapi-compiled>, compiled",
        "p99, 8 connections, over <fastapi-compiled>, compiled",
        "seconds to the first answer",
    ]


def test_a_part_of_a_run_has_only_the_tables_that_it_measured() -> None:
    report = tables.report({part: RESULTS[part] for part in ("product", "bulk", "swaps")})

    heads = [each.split("|")[1].strip() for each in report.split("\n\n")]
    assert heads == ["POST /orders", "many rows", "swaps in a", "goal"]


def test_a_missed_goal_is_reported() -> None:
    slow = copy.deepcopy(RESULTS)
    slow["servers"][0] = server(OURS, COMPILED, 2000)

    lines = tables.report(slow).splitlines()

    (line,) = [each for each in lines if "times the best scikit-learn" in each]
    assert [cell.strip() for cell in line.split("|")[2:-1]] == ["10", "≥ 20", "MISSED"]


def test_a_failed_measurement_is_not_repeated_and_keeps_its_error() -> None:
    def measure() -> dict[str, Any]:
        if measurement.rounds:
            raise Failed("served by fallback")
        return {"rows_per_second": 7.0}

    measurement = Measurement("pair", {"name": "unix sqlite"}, measure, most_rounds=4)
    for _ in range(3):
        measurement.run_round()

    assert measurement.result() == {
        "name": "unix sqlite",
        "rounds": [{"rows_per_second": 7.0}],
        "error": "served by fallback",
    }
    assert failures({"pair": [measurement.result()]}) == {"pair unix sqlite": "served by fallback"}


def test_failures_are_published() -> None:
    page = publish.page(RESULTS)

    assert "- wrong: row 3: predicted 7\n- pair unix postgresql: served by fallback\n" in page
    assert "0.1" in page
    assert "- <flask> (scikit-learn): flask as it comes\n" in page


def test_publishing_replaces_only_the_table_in_the_readme() -> None:
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


def test_published_files_are_those_of_results_json() -> None:
    results = json.loads(RESULTS_FILE.read_text("utf-8"))

    assert CHART.read_text("utf-8") == chart.draw(results)
    assert REPORT.read_text("utf-8") == publish.page(results)
    readme = README.read_text("utf-8")
    assert publish.readme(readme, results) == readme


def test_rounds_are_summarised_by_median_and_spread() -> None:
    rounds = [{"load": {"8": {"rps": rps, "errors": {}}}, "start": 2 * rps} for rps in (3, 1, 9)]

    assert summary(rounds) == {
        "load": {"8": {"rps": {"median": 3, "min": 1, "max": 9}}},
        "start": {"median": 6, "min": 2, "max": 18},
    }


def test_the_chart_shows_every_server_that_did_not_fail() -> None:
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
    caption = " ".join(texts)
    assert "A Processor & Co, 2 cores" in caption
    assert "2026-11-22" in caption
    assert "mlflow 1.0" in caption


@pytest.mark.parametrize("server", [*SERVERS, *PRODUCTS], ids=lambda server: server.name)
def test_every_request_holds_the_whole_row(server: Server) -> None:
    def leaves(value: Any) -> list[Any]:
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list):
            return [leaf for part in value for leaf in leaves(part)]
        return [value]

    values = leaves(server.encode(dict(ROW)))

    assert [value for value in values if value in ROW.values()] == list(ROW.values())


def test_wrong_or_missing_predictions_fail() -> None:
    serving.check([1.0, 2.0 + 1e-9], [1.0, 2.0])
    with pytest.raises(Failed, match=r"row 1: predicted 2\.1 instead of 2\.0"):
        serving.check([1.0, 2.1], [1.0, 2.0])
    with pytest.raises(Failed, match="1 predictions for 2 rows"):
        serving.check([1.0], [1.0, 2.0])


def test_expected_predictions_are_computed_before_the_server_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[str] = []

    def history_predictions() -> list[float]:
        order.append("predictions")
        return [1.0] * 256

    def running(*_: object) -> AbstractContextManager[None]:
        order.append("start")
        return nullcontext()

    monkeypatch.setattr(serving, "history_predictions", history_predictions)
    monkeypatch.setattr(serving, "running", running)
    monkeypatch.setattr(serving, "history", lambda: [ROW] * 256)
    monkeypatch.setattr(serving, "model_file", Path)
    with serving.started(BY_NAME[OURS]) as server:
        assert server.expected == [1.0] * 256
    assert order == ["predictions", "start"]


def answer(due: float, seconds: float, version: str) -> steady.Answer:
    return steady.Answer(due, seconds, 0, 1, {"model_version": version})


def test_a_swap_takes_until_the_version_before_has_answered_for_the_last_time() -> None:
    answers = [
        answer(9.9, 0.05, "a"),
        answer(10.2, 0.1, "b"),
        answer(10.1, 0.3, "a"),
        answer(10.5, 0.1, "b"),
        steady.Answer(10.6, 0.1, 0, 2, None),
        answer(11.1, 0.1, "a"),
    ]
    promoted = [(10.0, "b"), (11.0, "a")]

    assert [*swaps.seconds_of(promoted, 12.0, answers)] == pytest.approx([0.4, 0])
    with pytest.raises(Failed, match=r"b was not served everywhere within 1\.0 s"):
        [*swaps.seconds_of(promoted, 12.0, [*answers, answer(10.7, 0.2, "a")])]


def test_a_latency_belongs_to_the_stretch_in_which_its_request_was_due() -> None:
    answers = [answer(10 + number / 100, number / 1000, "a") for number in range(300)]

    found = swaps.latencies(answers, 11.0, 1.0)

    assert found == pytest.approx({"p50_ms": 149.5, "p99_ms": 198.99, "max_ms": 199})


def test_a_steady_load_repeats_what_a_closed_connection_did_not_answer(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    asked: list[bytes] = []

    def serve() -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            bound.set()
            for status in ("", "200 OK", "503 Busy"):
                connection, _ = listener.accept()
                with connection:
                    request = b""
                    while not request.endswith(b"]"):
                        request += connection.recv(10_000)
                    asked.append(request.rpartition(b"\n")[2])
                    if status:
                        head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 2"
                        connection.sendall(f"{head}\r\n\r\n{{}}".encode())

    bound = Event()
    server = Thread(target=serve)
    server.start()
    assert bound.wait(10)
    target = load.Target("http://any/infer", {}, [b"[1]", b"[2]"], path)
    begin = time.monotonic()
    answers = steady.put_steady_load(target, 2, begin + 1, 1)
    server.join()

    assert asked == [b"[1]", b"[1]", b"[2]"]
    assert [(each.body, each.tries, each.response) for each in answers] == [
        (0, 2, {}),
        (1, 1, None),
    ]
    assert [each.due - begin for each in answers] == pytest.approx([1, 1.5], abs=0.01)
    assert all(0 < each.seconds < 10 for each in answers)


def test_a_stopped_server_leaves_no_process_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LOGS", tmp_path)
    monkeypatch.setattr(processes, "HOME", tmp_path)
    monkeypatch.setattr(processes, "STOP_WITHIN_SECONDS", 0.2)
    stubborn = "trap '' TERM; setsid sleep 60 & echo ready; sleep 60; true"
    with processes.running("stubborn", ["bash", "-c", stubborn], {}, tmp_path) as process:
        while "ready" not in process.log.read_text() or len(process.pids()) < 3:
            assert process.exit_status() is None
        pids = process.pids()

    assert process.exit_status() == -signal.SIGKILL
    for pid in pids:
        with suppress(OSError):  # it is gone, perhaps as its state is read
            assert ") Z " in Path(f"/proc/{pid}/stat").read_text(), "it still runs"


def pins(file: Path) -> dict[str, set[str]]:
    """The version of each package in a requirements file, with its condition."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\\\n]+)", file.read_text(), re.MULTILINE):
        found.setdefault(name, set()).add(version.strip())
    return found


@pytest.mark.parametrize("peer", sorted(PEERS.iterdir()), ids=lambda peer: peer.name)
def test_peers_are_pinned_by_hash_and_run_the_model_with_our_versions(peer: Path) -> None:
    lock = peer / "requirements.txt"
    text = lock.read_text("utf-8")
    blocks = re.split(r"\n(?=\S)", text.strip())

    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in text
    stamped = TEMPLATE / "{{cookiecutter.project_slug}}"
    ours = pins(stamped / "service/requirements.txt") | pins(stamped / "model/requirements.txt")
    theirs = pins(lock)
    assert "scikit-learn" in theirs
    assert {it: theirs[it] for it in SAME_VERSIONS & theirs.keys()} == {
        it: ours[it] for it in SAME_VERSIONS & theirs.keys()
    }
    asked = (peer / "requirements.in").read_text("utf-8").splitlines()
    names = {re.split(r"[<\[]", each)[0] for each in asked if not each.startswith("#")}
    assert names <= theirs.keys()
