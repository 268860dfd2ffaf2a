"""Many rows at once: through a file, over the private API, and as fast as ONNX Runtime can."""

import csv
import json
import math
import subprocess
import time
from pathlib import Path
from typing import Any

from contestants import CONTESTANTS, OURS, STORES, Row, tensors
from places import BENCH, PROJECT
from processes import clean
from project import artifact, history, history_answers, inside
from visit import TOLERANCE, Asker, Disqualified, seconds_to_answer, started

BATCH = 10_000
FILE_ROWS = 1_000_000
TINY = 10
PREDICTION = "expected_wait_seconds"


def visit_bare(seconds: int) -> dict[str, float]:
    """Rows a second of `InferenceSession.run` on arrays in memory."""
    question = {"rows": history(), "batch": BATCH, "seconds": seconds}
    return {"bare": float(inside("bare.py", artifact("compiled"), question))}


def visit_file() -> dict[str, float]:
    """Rows a second of `model predict`, without its start and with it.

    Raises:
        Disqualified: it failed, or predicted something else than scikit-learn.
    """
    start = predict_file(TINY)
    whole = predict_file(FILE_ROWS)
    rates = {"file": FILE_ROWS / (whole - start), "file with start": FILE_ROWS / whole}
    return {**rates, "seconds of start": start}


def predict_file(count: int) -> float:
    """Seconds that `model predict` takes for a CSV file of so many rows, its start included.

    Raises:
        Disqualified: it failed, or predicted something else than scikit-learn.
    """
    asked, told = BENCH / "bulk-rows.csv", BENCH / "bulk-predictions.csv"
    write_csv(asked, history(), count)
    told.unlink(missing_ok=True)
    command = ["model/.venv/bin/model", "predict", str(asked), "--output", str(told), "--overwrite"]
    start = time.perf_counter()
    done = subprocess.run(
        command,
        env=clean({"MODEL_STORE": STORES[OURS]}),
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    taken = time.perf_counter() - start
    if done.returncode:
        raise Disqualified(
            f"`model predict` ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}"
        )
    with told.open(encoding="utf-8") as file:
        found = [float(row[PREDICTION]) for row in csv.DictReader(file)]
    compare(found, count)
    return taken


def visit_infer(seconds: int) -> dict[str, float]:
    """Rows a second over `infer` in requests of BATCH rows, on one connection.

    Raises:
        Disqualified: it predicted something else than scikit-learn.
    """
    (ours,) = [each for each in CONTESTANTS if each.name == OURS]
    with started(ours) as address, Asker(address.target) as asker:
        seconds_to_answer(address)
        body = json.dumps(many_tensors(history(), BATCH)).encode()
        compare(asker.ask(body)["outputs"][0]["data"], BATCH)
        done, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            asker.ask(body)
            done += BATCH
        return {"infer": done / elapsed}


def write_csv(path: Path, rows: list[Row], count: int) -> None:
    """These rows again and again, until there are so many."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows[0])
        values = [list(row.values()) for row in rows]
        writer.writerows(values[each % len(values)] for each in range(count))


def many_tensors(rows: list[Row], count: int) -> dict[str, Any]:
    """An inference request for so many rows, these again and again."""
    request = tensors(rows[0])
    for tensor in request["inputs"]:
        tensor["shape"] = [count]
        tensor["data"] = [rows[each % len(rows)][tensor["name"]] for each in range(count)]
    return request


def compare(found: list[float], count: int) -> None:
    """Check predictions for the history's rows again and again.

    Raises:
        Disqualified: they are not as many, or not scikit-learn's.
    """
    if len(found) != count:
        raise Disqualified(f"{len(found)} predictions for {count} rows")
    expected = history_answers()
    for number, answer in enumerate(found):
        right = expected[number % len(expected)]
        if not math.isclose(answer, right, rel_tol=TOLERANCE):
            raise Disqualified(f"row {number}: predicted {answer} instead of {right}")
