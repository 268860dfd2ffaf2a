"""The databases predict what scikit-learn does, for every row of the compile gate."""

import duckdb
import pytest
from databases import QUOTED, Sql, arguments, in_duckdb, in_postgresql, in_sqlite, quoted
from postgres import TABLE, statements


def answers(model: Sql) -> str:
    return f"expected_{model.target}" + (", probabilities" if model.classes else "")


def test_sqlite(model: Sql) -> None:
    database = in_sqlite(model)
    rows = database.execute(f"SELECT {answers(model)} FROM {model.view} ORDER BY id").fetchall()
    model.check(rows)
    query = f"SELECT model_version FROM {model.view} WHERE id = 7"
    assert database.execute(query).fetchall() == [(model.version,)]
    plan = " ".join(str(row[3]) for row in database.execute(f"EXPLAIN QUERY PLAN {query}"))
    assert "SEARCH _t USING INTEGER PRIMARY KEY" in plan  # and not every row is computed
    for statement in statements(f"drop_{model.version}.sqlite.sql"):
        database.execute(statement)
    assert database.execute("SELECT name FROM sqlite_schema").fetchall() == [(TABLE,)]
    database.close()


def test_duckdb(model: Sql) -> None:
    database = in_duckdb(model)
    rows = database.execute(f"SELECT {answers(model)} FROM {model.view} ORDER BY id").fetchall()
    model.check(rows)
    found = database.execute(f"SELECT DISTINCT model_version FROM {model.function}('{TABLE}')")
    assert found.fetchall() == [(model.version,)]
    for statement in statements(f"drop_{model.version}.duckdb.sql"):
        database.execute(statement)
    with pytest.raises(duckdb.CatalogException):
        database.execute(f"FROM {model.function}('{TABLE}')")


def test_postgresql(model: Sql) -> None:
    with in_postgresql(model) as database:
        names = arguments(database, model)
        call = f"{model.function}({', '.join(map(quoted, names))})"
        rows = database.execute(
            f"SELECT {answers(model)} FROM {QUOTED} CROSS JOIN LATERAL {call} AS p ORDER BY id"
        ).fetchall()
        model.check(rows)
        missing, nan = (
            database.execute(f"SELECT * FROM {model.function}({', '.join(values)})").fetchall()
            for values in (
                ["NULL" if model.kinds[name] == "category" else it for name in names]
                for it in ("NULL", "'NaN'")
            )
        )
        assert missing == nan
