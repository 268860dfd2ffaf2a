"""Many rows at once: through a file, over the private API, and as fast as ONNX Runtime can."""

import csv
import json
import time
from contextlib import closing
from pathlib import Path

from paths import BUILD, PROJECT
from processes import clean, run_command
from project import MODEL, history, history_predictions, model_file, repeated, run_script
from servers import BY_NAME, COMPILED, OURS, STORES, tensors
from serving import Client, check, started, wait_until_ready

BATCH_ROWS = 10_000
FILE_ROWS = 1_000_000
TINY_FILE_ROWS = 10


def measure_bare(seconds: int) -> dict[str, float]:
    """Rows a second of `InferenceSession.run` on arrays in memory."""
    rate = run_script("onnxruntime_rate.py", model_file(COMPILED), f"{BATCH_ROWS}", f"{seconds}")
    return {"rows_per_second": float(rate)}


def measure_file() -> dict[str, float]:
    """Rows a second of `model predict`, without its start and with it."""
    start = predict_file(TINY_FILE_ROWS)
    whole = predict_file(FILE_ROWS)
    return {
        "rows_per_second": FILE_ROWS / (whole - start),
        "rows_per_second_with_start": FILE_ROWS / whole,
        "start_seconds": start,
    }


def predict_file(rows: int) -> float:
    """Seconds that `model predict` takes for a CSV file of so many rows, its start included."""
    inputs, outputs = BUILD / "bulk-rows.csv", BUILD / "bulk-predictions.csv"
    write_csv(inputs, rows)
    outputs.unlink(missing_ok=True)
    start = time.perf_counter()
    files = [f"{inputs}", "--output", f"{outputs}", "--overwrite"]
    environment = clean({"MODEL_STORE": STORES[OURS]})
    run_command(MODEL, "predict", *files, environment=environment, cwd=PROJECT)
    seconds = time.perf_counter() - start
    with outputs.open(encoding="utf-8") as file:
        predictions = [float(row["expected_wait_seconds"]) for row in csv.DictReader(file)]
    check(predictions, repeated(history_predictions(), rows))
    return seconds


def measure_infer(seconds: int) -> dict[str, float]:
    """Rows a second over `infer` in requests of BATCH_ROWS rows, on one connection."""
    with started(BY_NAME[OURS]) as server, closing(Client(server.target)) as client:
        wait_until_ready(server)
        body = json.dumps(tensors(repeated(history(), BATCH_ROWS))).encode()
        predictions = client.post(body)["outputs"][0]["data"]
        check(predictions, repeated(history_predictions(), BATCH_ROWS))
        done, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            client.post(body)
            done += BATCH_ROWS
        return {"rows_per_second": done / elapsed}


def write_csv(path: Path, rows: int) -> None:
    """A file of so many rows, those of the history again and again."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(history()[0])
        writer.writerows(repeated([list(row.values()) for row in history()], rows))
