"""The databases predict what scikit-learn does, for every row of the compile gate."""

import sqlite3
from typing import Any
from uuid import uuid4

import duckdb
import psycopg
import pytest
from conftest import DISH, TABLE, Model, postgresql_url, statements

SQL = {"float": "REAL", "int": "REAL", "bool": "REAL", "category": "TEXT", "datetime": "REAL"}


def answers(model: Model) -> str:
    return f"expected_{model.target}" + (", probabilities" if model.classes else "")


def columns(model: Model, number: str) -> str:
    """Those of a table of features."""
    kinds = (
        f'"{name}" {"TEXT" if it == "category" else number}' for name, it in model.kinds.items()
    )
    return f"id integer PRIMARY KEY, {', '.join(kinds)}"


def quoted(name: str) -> str:
    return f'"{name}"'


def as_numbers(values: list[list[Any]]) -> list[list[Any]]:
    """Rows in which a boolean is a number, each with its id."""
    return [
        [number, *(float(it) if isinstance(it, bool) else it for it in row)]
        for number, row in enumerate(values, start=1)
    ]


def test_sqlite(model: Model) -> None:
    database = sqlite3.connect(":memory:")
    database.execute(f'CREATE TABLE "{TABLE}" ({columns(model, "REAL")})')
    values = as_numbers(model.values())
    database.executemany(
        f'INSERT INTO "{TABLE}" VALUES ({", ".join("?" * len(values[0]))})', values
    )
    for statement in statements(DISH / f"build/create_{model.version}.sqlite.sql"):
        database.execute(statement)
    rows = database.execute(f"SELECT {answers(model)} FROM {model.view} ORDER BY id").fetchall()
    model.check(rows)
    query = f"SELECT model_version FROM {model.view} WHERE id = 7"
    assert database.execute(query).fetchall() == [(model.version,)]
    plan = " ".join(str(row[3]) for row in database.execute(f"EXPLAIN QUERY PLAN {query}"))
    assert "SEARCH _t USING INTEGER PRIMARY KEY" in plan  # and not every row is computed
    for statement in statements(DISH / f"build/drop_{model.version}.sqlite.sql"):
        database.execute(statement)
    assert database.execute("SELECT name FROM sqlite_schema").fetchall() == [(TABLE,)]
    database.close()


def test_duckdb(model: Model) -> None:
    database = duckdb.connect()
    database.execute(f'CREATE TABLE "{TABLE}" ({columns(model, "DOUBLE")})')
    by_column = list(map(list, zip(*as_numbers(model.values()), strict=True)))
    places = ", ".join(["unnest(?)"] * len(by_column))
    database.execute(f'INSERT INTO "{TABLE}" SELECT {places}', by_column)
    for statement in statements(DISH / f"build/create_{model.version}.duckdb.sql"):
        database.execute(statement)
    rows = database.execute(f"SELECT {answers(model)} FROM {model.view} ORDER BY id").fetchall()
    model.check(rows)
    found = database.execute(f"SELECT DISTINCT model_version FROM {model.function}('{TABLE}')")
    assert found.fetchall() == [(model.version,)]
    for statement in statements(DISH / f"build/drop_{model.version}.duckdb.sql"):
        database.execute(statement)
    with pytest.raises(duckdb.CatalogException):
        database.execute(f"FROM {model.function}('{TABLE}')")


def test_postgresql(model: Model) -> None:
    schema = f"test_{uuid4().hex}"
    with psycopg.connect(postgresql_url(), autocommit=True) as database:
        database.execute(f"CREATE SCHEMA {schema}")
        database.execute(f"SET search_path TO {schema}")
        try:
            function, _ = statements(DISH / f"build/create_{model.version}.postgresql.sql")
            database.execute(function)
            database.execute(f"CREATE TABLE features ({columns(model, 'float8')})")
            with database.cursor() as cursor, cursor.copy("COPY features FROM STDIN") as copy:
                for row in as_numbers(model.values()):
                    copy.write_row(row)
            query = f"SELECT proargnames[:pronargs] FROM pg_proc WHERE proname = '{model.function}'"
            (names,) = database.execute(query).fetchone() or ()
            call = f"{model.function}({', '.join(map(quoted, names))})"
            rows = database.execute(
                f"SELECT {answers(model)} FROM features CROSS JOIN LATERAL {call} AS p ORDER BY id"
            ).fetchall()
            model.check(rows)
            missing, nan = (
                database.execute(
                    f"SELECT * FROM {model.function}({', '.join(arguments)})"
                ).fetchall()
                for arguments in (
                    ["NULL" if model.kinds[name] == "category" else it for name in names]
                    for it in ("NULL", "'NaN'")
                )
            )
            assert missing == nan
        finally:
            database.execute(f"DROP SCHEMA {schema} CASCADE")
