{%- set entity = cookiecutter.entity -%}
"""Inserts of rows that belong together, in one round trip: all of them or none.

SQLAlchemy writes the SQL, once for each kind of insert, and the driver runs it: that takes a small
part of the time in which the ORM finds out what there is to do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import psycopg
from sqlalchemy import BindParameter, ClauseElement, Dialect, Table, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite

from service.database import Database

REFERENCE = "{{ entity }}_id"
"""The column in which the other rows refer to the first."""


@dataclass(frozen=True)
class New:
    """A row to insert.

    Attributes:
        table: where.
        values: by column; defaults are not applied.
        replaces: the columns to change if a row with the same key is there; not to None.
    """

    table: Any
    values: Mapping[str, Any]
    replaces: tuple[str, ...] = ()


class Inserts:
    """Inserts into a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        dialect = database.engine.dialect
        prepare = _OneStatement if dialect.name == "postgresql" else _OneEach
        self._prepared = cache(lambda *kinds: prepare(dialect, [_Kind(*each) for each in kinds]))

    def insert(self, *rows: New) -> int:
        """Insert the rows; the id of the first, which the others refer to.

        Raises:
            sqlalchemy.exc.IntegrityError: a row with the same key is there.
            sqlalchemy.exc.SQLAlchemyError: when the database cannot be used.
        """
        kinds = ((row.table.__table__, tuple(row.values), row.replaces) for row in rows)
        prepared = self._prepared(*kinds)
        parameters = prepared.parameters(rows)
        with self._database.cursor() as cursor:
            return prepared.run(cursor, parameters)


@dataclass
class _Kind:
    table: Table
    names: tuple[str, ...]
    replaces: tuple[str, ...]

    def bound(self, prefix: str) -> dict[str, BindParameter[Any]]:
        columns = self.table.c
        return {name: bindparam(prefix + name, type_=columns[name].type) for name in self.names}

    def insert(self, dialect: Any) -> Any:
        """An insert without values yet."""
        insert = dialect.insert(self.table)
        if not self.replaces:
            return insert
        new, old = insert.excluded, self.table.c
        return insert.on_conflict_do_update(
            index_elements=[*self.table.primary_key],
            set_={name: func.coalesce(new[name], old[name]) for name in self.replaces},
        )


class _Prepared:
    """The statements that insert rows of these kinds."""

    def __init__(self, dialect: Dialect, kinds: Sequence[_Kind]) -> None:
        bound = [kind.bound(f"r{number}_") for number, kind in enumerate(kinds)]
        self._values = [
            (number, name, each.key, each.type.dialect_impl(dialect).bind_processor(dialect))
            for number, row in enumerate(bound)
            for name, each in row.items()
        ]
        statements = self.statements(list(zip(kinds, bound, strict=True)))
        self._sql = [str(each.compile(dialect=dialect)) for each in statements]

    def parameters(self, rows: Sequence[New]) -> dict[str, Any]:
        """What the driver is given."""
        return {
            key: to_driver(rows[number].values[name]) if to_driver else rows[number].values[name]
            for number, name, key, to_driver in self._values
        }

    def statements(self, rows: list[tuple[_Kind, dict[str, Any]]]) -> list[ClauseElement]:
        raise NotImplementedError

    def run(self, cursor: Any, parameters: dict[str, Any]) -> int:
        raise NotImplementedError


class _OneStatement(_Prepared):
    """For PostgreSQL: one round trip, which is a transaction without asking for one."""

    def statements(self, rows: list[tuple[_Kind, dict[str, Any]]]) -> list[ClauseElement]:
        (first, bound), *others = rows
        in_time = func.statement_timestamp() < func.to_timestamp(bindparam("begin_by"))
        new = (
            first.insert(postgresql)
            .from_select([*bound], select(*bound.values()).where(in_time))
            .returning(first.table.c.id)
            .cte("new")
        )
        statement = select(new.c.id)
        for number, (kind, bound) in enumerate(others):
            if REFERENCE in kind.table.c:
                bound = {**bound, REFERENCE: new.c.id}
            values = select(*bound.values()).select_from(new)
            insert = kind.insert(postgresql).from_select([*bound], values)
            statement = statement.add_cte(insert.cte(f"other_{number}"))
        return [statement]

    def run(self, cursor: Any, parameters: dict[str, Any]) -> int:
        parameters["begin_by"] = cursor.connection.begin_by()
        found = cursor.execute(self._sql[0], parameters).fetchone()
        if found is None:
            cursor.connection.close()  # and with it what it knows of the server's clock
            raise psycopg.OperationalError("the server began too late")
        return int(found[0])


class _OneEach(_Prepared):
    """For SQLite, where a round trip is a call."""

    def statements(self, rows: list[tuple[_Kind, dict[str, Any]]]) -> list[ClauseElement]:
        for kind, bound in rows[1:]:
            if REFERENCE in kind.table.c:
                bound[REFERENCE] = bindparam("reference")
        return [kind.insert(sqlite).values(bound) for kind, bound in rows]

    def run(self, cursor: Any, parameters: dict[str, Any]) -> int:
        for sql in self._sql:
            cursor.execute(sql, parameters)
            parameters.setdefault("reference", cursor.lastrowid)
        return int(parameters["reference"])
