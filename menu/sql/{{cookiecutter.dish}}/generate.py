"""The current version as SQL of PostgreSQL, SQLite and DuckDB.

    generate.py                      only says if it can be written
    generate.py FOLDER               writes create_VERSION.DATABASE.sql and drop_… for each
    generate.py FOLDER create        writes a migration, after the last one in this folder
    generate.py FOLDER drop VERSION  writes one that drops what a version's has made

Run in the project's root. The features are columns of TABLE, whose key is `id`.
"""

import re
import sys
from pathlib import Path
from string import Template

from expressions import NotSupportedError
from model.errors import ModelError
from statements import (
    POSTGRESQL,
    Dialect,
    Version,
    column,
    current,
    postgresql_function,
    steps_of,
    string,
)

ALLOWED = """
ALLOWED = {
    "ban-drop-view": "releases that read it have gone",
    "ban-drop-function": "releases that call it have gone",
}
"""
"""What `make lint` of the project wants to know of a migration that drops."""
REVISIONS = ("revision", "down_revision")
"""What a migration says of itself and of the one before."""


SQLITE = Dialect(
    text="{} COLLATE BINARY",
    greatest="max({})",
    moment="CASE typeof({0}) WHEN 'text' THEN strftime('%s', substr({0}, 1, 19))"
    " + ('0' || substr({0}, 20)) ELSE {0} END",
)
DUCKDB = Dialect(
    double="CAST({} AS DOUBLE)",
    moment="coalesce(try_cast(CAST({0} AS VARCHAR) AS DOUBLE),"
    " epoch(try_cast(CAST({0} AS VARCHAR) AS TIMESTAMP)))",
)


def postgresql(version: Version) -> dict[str, list[str]]:
    """A function, and a view over the table."""
    call = f"{version.function}({', '.join(version.source(POSTGRESQL))})"
    view = (
        f"CREATE VIEW {version.view} AS SELECT _t.id, p.*, '{version.name}'::text AS model_version"
        f" FROM {column(version.table)} AS _t CROSS JOIN LATERAL {call} AS p"
    )
    drop = [f"DROP VIEW {version.view}", f"DROP FUNCTION {version.function}"]
    return {"create": [postgresql_function(version), view], "drop": drop}


def listed(columns: dict[str, str]) -> str:
    """Columns by name, for SELECT."""
    return ", ".join(f"{text} AS {it}" for it, text in columns.items())


def sqlite(version: Version) -> dict[str, list[str]]:
    """A view over the table. Rows that nobody asks for are not computed.

    OFFSET keeps what is computed once from being written into all that uses it; json_each, what
    comes out of a subquery.
    """
    levels, texts = steps_of(version.outputs, SQLITE)
    columns = dict(
        zip((column(it.name) for it in version.features()), version.source(SQLITE), strict=True)
    )
    source, last = listed(columns) or "1", len(levels)
    steps = [f"_level0 AS (SELECT {source} LIMIT 1 OFFSET 0)"]
    for place, level in enumerate(levels):
        before = f"SELECT *, {listed(level)} FROM _level{place} LIMIT 1 OFFSET 0"
        steps.append(f"_level{place + 1} AS ({before})")
    answers = version.answers(texts, "json_object")
    parts = ", ".join(f"'{it}', {text}" for it, text in answers.items())
    found = {it: f"json_extract(p.value, '$.{it}')" for it in answers}
    view = (
        f"CREATE VIEW {version.view} AS SELECT _t.id, {listed(found)},"
        f" '{version.name}' AS model_version FROM {column(version.table)} AS _t,"
        f" json_each(json_array((WITH {', '.join(steps)}"
        f" SELECT json_object({parts}) FROM _level{last}))) AS p"
    )
    return {"create": [view], "drop": [f"DROP VIEW {version.view}"]}


def duckdb(version: Version) -> dict[str, list[str]]:
    """A macro for any table or query with the features as columns, and a view over the table."""
    levels, texts = steps_of(version.outputs, DUCKDB)
    numbers = {
        column(it.name): of if it.kind == "category" else f"nullif(CAST({of} AS DOUBLE), 'NaN')"
        for it, of in zip(version.features(), version.source(DUCKDB), strict=True)
    }
    rows = f"SELECT _t AS _row, {listed(numbers)} FROM query_table(source) AS _t"
    for level in levels:
        rows = f"SELECT *, {listed(level)} FROM ({rows})"
    answers = version.answers(texts, "json_object") | {"model_version": string(version.name)}
    macro = (
        f"CREATE MACRO {version.function}(source) AS TABLE"
        f" SELECT unnest(_row), {listed(answers)} FROM ({rows})"
    )
    view = f"CREATE VIEW {version.view} AS FROM {version.function}({string(version.table)})"
    drop = [f"DROP VIEW {version.view}", f"DROP MACRO TABLE {version.function}"]
    return {"create": [macro, view], "drop": drop}


def migrate(folder: Path, action: str, version: str) -> None:
    """Write a migration after the last one in a folder; the statements are there already."""
    found = [it.read_text("utf-8") for it in folder.glob("*.py")]
    known = {key: set(re.findall(f'^{key} = "(.*)"', "\n".join(found), re.M)) for key in REVISIONS}
    (head,) = known["revision"] - known["down_revision"]
    opposite = {"create": "drop", "drop": "create"}[action]
    parts = {"action": action, "opposite": opposite, "version": version, "head": head}
    parts["allowed"] = ALLOWED if action == "drop" else ""
    template = Template(Path(__file__).with_name("migration.py.template").read_text("utf-8"))
    with (folder / f"{action}_{version}.py").open("x", encoding="utf-8") as file:
        file.write(template.substitute(parts))


def main(folder: str = "", action: str = "", dropped: str = "") -> None:
    """Do what the command line says."""
    path, databases = Path(folder), (postgresql, sqlite, duckdb)
    if action == "drop":
        migrate(path, action, dropped)
        return
    version = current()
    files = {
        f"{each}_{version.name}.{database.__name__}.sql": statements
        for database in (databases[:2] if action else databases)
        for each, statements in database(version).items()
    }
    if action:
        migrate(path, action, version.name)
    for name, statements in files.items() if folder else ():
        (path / name).write_text("".join(f"{each}\n;\n" for each in statements), "utf-8")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except FileExistsError as error:
        sys.exit(f"dishes/sql: {error.filename} is there already")
    except (ModelError, NotSupportedError) as error:
        sys.exit(f"dishes/sql: {error}")
