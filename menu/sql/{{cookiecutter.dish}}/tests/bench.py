"""`make bench`: the function in PostgreSQL, and whole tables in each database, as a line of JSON.

PostgreSQL starts with a connection that creates the function. Outside is Python, which fetches all
rows and predicts them with the compiled model in one thread.
"""

import json
import time
from collections.abc import Callable
from contextlib import closing
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
from databases import QUOTED, Sql, arguments, in_duckdb, in_postgresql, in_sqlite, quoted
from postgres import ROOT, Connection, own_schema, statements

CALLS, REPEATS, STARTS = 1000, 5, 3


def seconds(run: Callable[..., Any], *arguments: Any) -> float:
    """How long it takes."""
    start = time.perf_counter()
    run(*arguments)
    return time.perf_counter() - start


def rate(model: Sql, run: Callable[[], Any]) -> int:
    """The rows a second, after a run that warms up."""
    run()
    return round(len(model.rows) / median(seconds(run) for _ in range(REPEATS)))


def outside(model: Sql) -> Callable[[list[Any]], Any]:
    """The compiled model on rows of features."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    path = ROOT / "artifacts" / model.version / "model.onnx"
    session = onnxruntime.InferenceSession(path, options)

    def predict(rows: list[Any]) -> Any:
        by_column = dict(zip(model.kinds, zip(*rows, strict=True), strict=True))
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

    return predict


def whole_table(
    model: Sql, execute: Callable[[str], Any], source: str, prefix: str = ""
) -> dict[str, int]:
    """The rows a second of a database: predicted in it, and outside."""
    predict = outside(model)
    names = ", ".join(map(quoted, model.kinds))

    def fetch(columns: str, rows: str) -> list[Any]:
        found: list[Any] = execute(f"SELECT {columns} FROM {rows}").fetchall()
        return found

    return {
        f"{prefix}rows_per_second": rate(model, lambda: fetch(f"expected_{model.target}", source)),
        f"{prefix}outside_rows_per_second": rate(model, lambda: predict(fetch(names, QUOTED))),
    }


def postgresql(model: Sql) -> dict[str, float]:
    """The numbers of PostgreSQL."""
    create = statements(f"create_{model.version}.postgresql.sql")
    with in_postgresql(model) as database:
        names = arguments(database, model)
        places = [[*model.kinds].index(name) + 1 for name in names]
        rows = [[row[place] for place in places] for row in model.values()[:CALLS]]
        select = f"SELECT * FROM {model.function}({', '.join(['%s'] * len(names))})"

        def ask(connection: Connection, row: list[Any]) -> None:
            connection.execute(select, row).fetchone()

        def start() -> float:
            begin = time.perf_counter()
            with own_schema() as fresh:
                fresh.execute(create[0])
                ask(fresh, rows[0])
                return time.perf_counter() - begin

        ask(database, rows[0])
        call = f"{model.function}({', '.join(map(quoted, names))})"
        return {
            "one_row_ms": round(1000 * median(seconds(ask, database, row) for row in rows), 3),
            **whole_table(model, database.execute, f"{QUOTED} CROSS JOIN LATERAL {call} AS p"),
            "start_seconds": round(median(start() for _ in range(STARTS)), 3),
            "shipped_mb": round(sum(map(len, create)) / 1e6, 3),
        }


def main() -> None:
    """Measure, and print."""
    model = Sql()
    found: dict[str, float] = postgresql(model)
    with closing(in_sqlite(model)) as sqlite, closing(in_duckdb(model)) as duckdb:
        found |= whole_table(model, sqlite.execute, model.view, "sqlite_")
        found |= whole_table(model, duckdb.execute, model.view, "duckdb_")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
