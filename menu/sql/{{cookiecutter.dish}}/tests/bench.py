"""`make bench`: rows a second, in each database and by fetching them to predict in Python."""

import sqlite3
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import onnxruntime
import psycopg
from conftest import DISH, ROOT, TABLE, Model, postgresql_url, statements
from test_parity import as_numbers, columns

REPEATS = 5


def rate(model: Model, run: Callable[[], Any]) -> str:
    """The rows a second of the best of some runs, after one that warms up."""
    seconds = []
    for _ in range(REPEATS + 1):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    first, best = seconds[0], min(seconds[1:])
    return f"{len(model.rows) / best:10,.0f} rows/s (the first time {first:.2f} s)"


def in_python(model: Model, fetch: Callable[[], list[Any]]) -> Callable[[], Any]:
    """Fetch all rows, and predict with the compiled model."""
    path = ROOT / "artifacts" / model.version / "model.onnx"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)

    def run() -> Any:
        by_column = dict(zip(model.kinds, zip(*fetch(), strict=True), strict=True))
        feed = {
            each.name: np.array(
                [it or "" for it in by_column[each.name]]
                if each.type == "tensor(string)"
                else by_column[each.name],
                dtype=object if each.type == "tensor(string)" else float,
            )[:, None]
            for each in session.get_inputs()
        }
        return session.run(None, feed)

    return run


def main() -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as folder:
        model = Model(Path(folder))
    values = as_numbers(model.values())
    names = ", ".join(f'"{name}"' for name in model.kinds)
    fetch, predict = f'SELECT {names} FROM "{TABLE}"', f"SELECT expected_{model.target} FROM "
    places = ", ".join("?" * len(values[0]))

    lite = sqlite3.connect(":memory:")
    lite.execute(f'CREATE TABLE "{TABLE}" ({columns(model, "REAL")})')
    lite.executemany(f'INSERT INTO "{TABLE}" VALUES ({places})', values)
    duck = duckdb.connect(config={"threads": 1})
    duck.execute(f'CREATE TABLE "{TABLE}" ({columns(model, "DOUBLE")})')
    unnested = ", ".join(["unnest(?)"] * len(values[0]))
    duck.execute(
        f'INSERT INTO "{TABLE}" SELECT {unnested}', list(map(list, zip(*values, strict=True)))
    )
    post = psycopg.connect(postgresql_url())
    post.execute(f'CREATE TEMPORARY TABLE "{TABLE}" ({columns(model, "float8")})')
    with post.cursor().copy(f'COPY "{TABLE}" FROM STDIN') as copy:
        for row in values:
            copy.write_row(row)
    runs: dict[str, Callable[[str], Any]] = {
        "PostgreSQL": lambda query: post.execute(query.encode()),
        "SQLite": lite.execute,
        "DuckDB": duck.execute,
    }
    for name, run in runs.items():
        for each in statements(DISH / f"build/create_{model.version}.{name.lower()}.sql"):
            run(each)

        def rows(query: str, run: Callable[[str], Any] = run) -> list[Any]:
            found: list[Any] = run(query).fetchall()
            return found

        print(f"{name:12} in it    ", rate(model, partial(rows, predict + model.view)))
        print(f"{name:12} in Python", rate(model, in_python(model, partial(rows, fetch))))
    post.close()


if __name__ == "__main__":
    main()
