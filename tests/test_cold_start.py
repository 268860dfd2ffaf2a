"""A product without a history serves from its first day, and learns its first model from itself."""

import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import reserved_port
from test_projects import environment, on_the_bench
from test_running import made_up

pytestmark = pytest.mark.slow

ROWS = 300


def retrain(project: Path, **settings: str) -> tuple[int, str]:
    """The exit status of `make retrain`, and the last line that it printed before make's own."""
    done = subprocess.run(
        ["make", "retrain"],
        cwd=project,
        env=environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    print(done.stdout)
    *_, last = (line for line in done.stdout.splitlines() if not line.startswith("make"))
    return done.returncode, last


def test_the_first_model_is_learnt_from_the_product_and_served_without_a_restart(
    stamp: Callable[..., Path], tmp_path: Path
) -> None:
    answers = {"project_name": "Greenfield", "entity": "visit", "history": "none"}
    fields = {"features": "hour:float regular:bool", "target": "minutes:float"}
    project = on_the_bench(stamp(tmp_path / "out", **answers, **fields))
    with (
        reserved_port() as port,
        # Nobody reads what the pair logs here, so it has to log little.
        made_up(project, f"http://127.0.0.1:{port}", LOG_LEVEL="error") as url,
        httpx.Client(base_url=url, timeout=30) as client,
    ):

        def place(**inputs: Any) -> dict[str, Any]:
            answer = client.post("/visits", json=inputs)
            assert answer.status_code == 201, answer.text
            placed: dict[str, Any] = answer.json()
            return placed

        draw = random.Random(0)
        for number in range(ROWS):
            if number == 5:
                status, told = retrain(project)
                assert (status, "5 rows are too few to learn from" in told) == (2, True), told
            hour, regular = round(24 * draw.random(), 1), draw.random() < 0.5
            placed = place(hour=hour, regular=regular)
            assert placed["metadata"]["served_by"] == "none"
            assert placed["metadata"]["expected_minutes"] is None
            minutes = (30 if 9 < hour < 15 else 10) + 5 * regular + draw.random()
            path = f"/visits/{placed['id']}/outcome"
            assert client.post(path, json={"minutes": minutes}).status_code == 200
        status, told = retrain(project, PROMOTE="1")
        assert (status, told[:15]) == (0, "no objection: m"), told
        deadline = time.monotonic() + 60
        while (found := place(hour=12, regular=True)["metadata"])["served_by"] != "model":
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        assert found["expected_minutes"] == pytest.approx(35.5, abs=2)
    shown = subprocess.run(
        [project / "model/.venv/bin/model", "show"], cwd=project, capture_output=True, text=True
    ).stdout
    assert f"product.csv, {ROWS} rows" in shown
    assert "SYNTHETIC" not in shown
