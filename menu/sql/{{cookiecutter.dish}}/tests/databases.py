"""The current version in each database, with a table of the rows of the compile gate."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
from postgres import TABLE, Connection, Model, own_schema, statements


def quoted(name: str) -> str:
    """A name that may be a word of SQL."""
    return f'"{name}"'


QUOTED = quoted(TABLE)


class Sql(Model):
    """The current version in SQL."""

    def __init__(self) -> None:
        super().__init__()
        self.function = f"predict_{self.target}_{self.version}"
        self.view = f"{TABLE[:39]}_predicted_{self.version}"

    def values(self) -> list[list[Any]]:
        """The rows with the id first, booleans as numbers."""
        rows = enumerate((row["features"].values() for row in self.rows), start=1)
        return [[n, *(float(it) if isinstance(it, bool) else it for it in row)] for n, row in rows]

    def columns(self, number: str) -> str:
        """Those of a table of these rows, given the database's type of numbers."""
        kinds = (
            f"{quoted(name)} {'TEXT' if it == 'category' else number}"
            for name, it in self.kinds.items()
        )
        return f"id integer PRIMARY KEY, {', '.join(kinds)}"

    def check(self, found: list[Any]) -> None:
        """Whether rows of what is expected, and for a classification the probabilities, agree."""
        assert len(found) == len(self.rows)
        largest, worst = 0.0, 0.0
        for row, (expected, *probabilities) in zip(self.rows, found, strict=True):
            right = row["expected"]
            if not probabilities:
                pairs = [(expected, right[self.target])]
            else:
                assert expected == right[self.target], row
                given = probabilities[0]
                given = given if isinstance(given, dict) else json.loads(given)
                assert given.keys() == right["probabilities"].keys()
                pairs = [(given[each], it) for each, it in right["probabilities"].items()]
            largest = max(largest, *(abs(it) for _, it in pairs))
            error = max(abs(one - it) / max(abs(it), 1e-7 * largest) for one, it in pairs)
            worst = max(worst, error)
        print(f"{len(found)} rows, at most {worst:.1g} off")
        assert worst <= 1e-9


def in_sqlite(model: Sql) -> sqlite3.Connection:
    """In SQLite, in memory."""
    database = sqlite3.connect(":memory:")
    values = model.values()
    database.execute(f"CREATE TABLE {QUOTED} ({model.columns('REAL')})")
    places = ", ".join("?" * len(values[0]))
    database.executemany(f"INSERT INTO {QUOTED} VALUES ({places})", values)
    for statement in statements(f"create_{model.version}.sqlite.sql"):
        database.execute(statement)
    return database


def in_duckdb(model: Sql) -> duckdb.DuckDBPyConnection:
    """In DuckDB, in memory, with one thread."""
    database = duckdb.connect(config={"threads": 1})
    by_column = list(map(list, zip(*model.values(), strict=True)))
    database.execute(f"CREATE TABLE {QUOTED} ({model.columns('DOUBLE')})")
    places = ", ".join(["unnest(?)"] * len(by_column))
    database.execute(f"INSERT INTO {QUOTED} SELECT {places}", by_column)
    for statement in statements(f"create_{model.version}.duckdb.sql"):
        database.execute(statement)
    return database


@contextmanager
def in_postgresql(model: Sql) -> Iterator[Connection]:
    """The function in PostgreSQL; not the view, to which moments are no numbers."""
    function, _ = statements(f"create_{model.version}.postgresql.sql")
    with own_schema() as database:
        database.execute(function)
        database.execute(f"CREATE TABLE {QUOTED} ({model.columns('float8')})")
        with database.cursor() as cursor, cursor.copy(f"COPY {QUOTED} FROM STDIN") as copy:
            for row in model.values():
                copy.write_row(row)
        yield database


def arguments(database: Connection, model: Sql) -> list[str]:
    """The names of those that the function in PostgreSQL takes."""
    query = "SELECT proargnames[:pronargs] FROM pg_proc WHERE oid = %s::regproc"
    ((names,),) = database.execute(query, [model.function]).fetchall()
    return list(names or [])
