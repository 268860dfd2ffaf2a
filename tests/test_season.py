"""The default project through its checks and a season of traffic: drift, training, restored."""

import csv
import json
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import Stamp, reserved_port
from test_projects import check, environment, on_the_bench
from test_running import made_up

pytestmark = pytest.mark.slow

HISTORY, CALM, CHANGED, AFTER = 3_000, 800, 1_800, 700
"""Rows that the first version learns from; and orders as in them, after the drift, and at last."""
PATIENCE = 180.0
Row = dict[str, str]


class Season:
    """A project whose pair runs from the first order to the last.

    Args:
        rows: what is ordered, in turn, and how it turns out.
        settings: of the pair, and of the commands.
    """

    def __init__(
        self, project: Path, rows: Iterator[Row], client: httpx.Client, settings: dict[str, str]
    ) -> None:
        self.project, self.client = project, client
        self._rows, self._settings = rows, settings

    def make(self, *arguments: str) -> str:
        """What a target of the project prints."""
        return make(self.project, *arguments, **self._settings)

    def order(self, number: int, far: bool = False) -> set[str]:
        """Place so many orders, and record how they turned out; the versions that predicted.

        Args:
            far: whether the drift is there: twice the distances, and longer waits for all.
        """
        versions = set()
        for row in islice(self._rows, number):
            hour, distance, items, wait = (
                float(row[name]) for name in ("hour", "distance", "items", "wait_seconds")
            )
            if far:
                wait, distance = wait + 400 * distance + 30 * items, 2 * distance
            order = {"hour": hour, "day": row["day"], "distance": distance, "items": int(items)}
            placed = self.client.post("/orders", json=order)
            assert placed.status_code == 201, placed.text
            metadata = placed.json()["metadata"]
            assert metadata["served_by"] == "model"
            versions.add(metadata["model_version"])
            path = f"/orders/{placed.json()['id']}/outcome"
            assert self.client.post(path, json={"wait_seconds": round(wait, 1)}).status_code == 200
        return versions

    def pass_weeks(self, weeks: int) -> None:
        """Let all that was predicted be so much longer ago."""
        (path,) = (self.project / "var").glob("service.db")
        earlier = f"strftime('%Y-%m-%d %H:%M:%f000', created_at, '-{7 * weeks} days')"
        with closing(sqlite3.connect(path, timeout=60)) as database, database:
            database.execute(f"UPDATE predictions SET created_at = {earlier}")

    def report(self) -> dict[str, Any]:
        """What `make report` finds."""
        self.make("report")
        found: dict[str, Any] = json.loads((self.project / "var/report.json").read_text())
        return found


def make(project: Path, *arguments: str, **settings: str) -> str:
    """What a target of a project prints."""
    done = subprocess.run(
        ["make", "--silent", *arguments],
        cwd=project,
        env=environment(**settings),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, arguments
    return done.stdout


def committed(project: Path) -> None:
    """The project in git, with a history of its first rows; all others are yet to come."""
    history = project / "data/history.csv"
    lines = history.read_text("utf-8").splitlines(keepends=True)
    history.write_text("".join(lines[: HISTORY + 1]), "utf-8")
    author = ("-c", "user.name=Team", "-c", "user.email=team@example.org")
    for command in (("init", "-q"), ("add", "-A"), (*author, "commit", "-qm", "Begin")):
        subprocess.run(["git", *command], cwd=project, check=True)


def eventually(holds: Callable[[], Any]) -> None:
    """Return once it does."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_season(stamp: Stamp, tmp_path: Path) -> None:
    project = on_the_bench(stamp(tmp_path / "out"))
    check(project, tmp_path)
    with (project / "data/history.csv").open(encoding="utf-8", newline="") as file:
        rows = islice(csv.DictReader([*file]), HISTORY, None)
    committed(project)
    assert "ML Test Score: 0, that of Model; " in make(project, "score")
    make(project, "train")
    with (
        reserved_port() as port,
        reserved_port() as ops_port,
        httpx.Client(base_url=f"http://127.0.0.1:{ops_port}", timeout=60) as operators,
    ):
        # The machine may be busy, and nobody reads what the pair logs.
        settings = {"OPS_PORT": str(ops_port), "MODEL_DEADLINE": "10", "LOG_LEVEL": "error"}
        with (
            made_up(project, f"http://127.0.0.1:{port}", **settings) as url,
            httpx.Client(base_url=url, timeout=60) as client,
        ):
            live_through(Season(project, rows, client, settings), operators)


def live_through(season: Season, operators: httpx.Client) -> None:
    (first,) = season.order(CALM)
    calm = season.report()
    assert (calm["version"], calm["worse"], calm["drifts"]["distance"]) == (first, "ok", False)
    assert calm["errors"]["mean"] < 1.1 * calm["errors"]["training"]

    season.pass_weeks(3)
    assert season.order(CHANGED, far=True) == {first}
    changed = season.report()
    assert (changed["worse"], changed["drifts"]["distance"]) == ("act", True)
    assert changed["errors"]["low"] > 2 * calm["errors"]["high"]
    page = (season.project / "var/report.html").read_text("utf-8")
    assert "Differs in the last week by more than noise: distance" in page
    alarmed = {'feature_drifted{feature="distance"} 1.0', 'feature_drifted{feature="hour"} 0.0'}
    eventually(lambda: alarmed <= {*operators.get("/metrics").text.splitlines()})
    eventually(lambda: "PSI" in operators.get("/report").text)  # 503 while first made

    told = season.make("retrain")
    assert "no objection: " in told
    assert "`model promote" in told
    assert season.order(1, far=True) == {first}  # a person may look before
    assert "no objection: " in season.make("retrain", "PROMOTE=1")
    eventually(lambda: season.order(1, far=True) != {first})

    season.pass_weeks(1)
    (second,) = season.order(AFTER, far=True)
    restored = season.report()
    assert (restored["version"], restored["worse"]) == (second, "ok")
    assert restored["errors"]["high"] < changed["errors"]["low"] / 2
    score = season.make("score")
    assert "28 of 28 tests have evidence" in score
    assert "ML Test Score: 7, " in score
