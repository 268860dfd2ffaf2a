"""A moment, from a table as people have it to a prediction: the same wherever it is asked."""

import csv
import json
import random
import subprocess
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
from conftest import Stamp
from test_projects import environment, on_the_bench
from test_running import fresh_database, made_up

from stamping.description import describe

ROWS = 2_000
BERLIN = ZoneInfo("Europe/Berlin")
SPRING = datetime(2026, 3, 29, 1, tzinfo=UTC)
"""When the clocks in Berlin went from two to three."""
ASKED = [
    (SPRING - timedelta(seconds=1)).isoformat(),
    SPRING.isoformat(),
    "2026-03-29T03:00:00+02:00",
    "2026-03-29T03:00:00",
    "2026-03-28T21:00:00-04:00",
    "2026-10-25T02:30:00+02:00",
    "2026-10-25T02:30:00+01:00",
    "2026-12-31T23:59:59.999999Z",
    "2028-02-29",
]
REFERENCE = """
import json, sys, joblib, pandas as pd
from datetime import datetime
pipeline = joblib.load(sys.argv[1])
frame = pd.DataFrame({"placed_at": json.loads(sys.argv[2]), "distance": 3.0})
print(json.dumps(pipeline.predict(frame).tolist()))
"""


def rides(path: Path) -> None:
    """A table whose target follows the hour and the weekend in Berlin, as people write them."""
    draw = random.Random(0)
    start = datetime(2025, 1, 1, tzinfo=BERLIN)
    with path.open("w", encoding="cp1252", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["Placed at", "Distance (km)", "Dauer (s)"])
        for _ in range(ROWS):
            local = start + timedelta(minutes=draw.randrange(525_600))
            seconds = 60 * local.hour + 1_000 * (local.weekday() >= 5) + draw.uniform(0, 30)
            distance = draw.uniform(1, 9)
            cells = [f"{local:%d.%m.%Y %H:%M}", f"{distance:.2f}", f"{seconds:.1f}"]
            writer.writerow([cells[0], *(cell.replace(".", ",") for cell in cells[1:])])


def seconds_of(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=BERLIN)).timestamp()


def output(project: Path, *command: str | Path) -> str:
    return subprocess.run(
        command, cwd=project, env=environment(), check=True, stdout=subprocess.PIPE, text=True
    ).stdout


@pytest.mark.slow
def test_a_moment_is_predicted_from_alike_wherever_it_is_asked(
    stamp: Stamp, tmp_path: Path
) -> None:
    table = tmp_path / "rides.csv"
    rides(table)
    found = describe(table, "Dauer (s)")
    fields = [str(each.field) for each in [*found.features, found.target]]
    assert fields == ["placed_at:datetime", "distance_km:float", "dauer_s:float"]
    answers = {**found.answers(), "split": "time:placed_at", "__timezone": BERLIN.key}
    project = on_the_bench(stamp(tmp_path / "out", entity="ride", **answers))
    subprocess.run(["make", "setup", "train"], cwd=project, env=environment(), check=True)
    manifest = json.loads(output(project, "model/.venv/bin/model", "show", "--json"))
    assert manifest["compiled"]["reason"] is None
    assert manifest["evaluation"]["split"] == "time:placed_at"
    # Without the time zone and its daylight saving the hour alone would cost 60 a row.
    assert manifest["evaluation"]["metrics"]["mean_absolute_error"] < 20

    script = REFERENCE.replace("distance", "distance_km")
    pickled = f"artifacts/{manifest['version']}/model.joblib"
    moments = json.dumps([seconds_of(text) for text in ASKED])
    by_sklearn = json.loads(
        output(project, "model/.venv/bin/python", "-c", script, pickled, moments)
    )
    assert len({round(each, 3) for each in by_sklearn}) > 3

    rows = project / "var/rows.csv"
    rows.parent.mkdir(exist_ok=True)
    rows.write_text("Placed at,distance_km\n" + "".join(f"{text},3\n" for text in ASKED))
    output(project, "model/.venv/bin/model", "predict", rows)
    with rows.with_name("rows.predictions.csv").open(newline="") as file:
        in_bulk = [float(row["expected_dauer_s"]) for row in csv.DictReader(file)]
    assert in_bulk == pytest.approx(by_sklearn, rel=1e-5)

    databases = nullcontext("sqlite:///var/moments.db"), fresh_database(project)
    for database in databases:
        with (
            database as url,
            made_up(project, "http+unix://run/m.sock", DATABASE_URL=url, MODEL_DEADLINE="10") as at,
        ):
            for number, (text, expected) in enumerate(zip(ASKED, by_sklearn, strict=True), 1):
                body = {"placed_at": text, "distance_km": 3}
                placed = httpx.post(f"{at}/rides", json=body, timeout=30).json()
                assert placed == httpx.get(f"{at}/rides/{number}", timeout=30).json()
                assert placed["metadata"]["served_by"] == "model"
                assert placed["metadata"]["expected_dauer_s"] == pytest.approx(expected, rel=1e-5)
                assert seconds_of(placed["placed_at"]) == seconds_of(text)
                assert placed["placed_at"].endswith("Z")
