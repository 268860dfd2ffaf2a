{%- set words = cookiecutter.entity.replace('_', ' ') -%}
"""What deletes every row about one {{ words }}."""

from typing import Any

from sqlalchemy import delete, select

from service import tables
from service.database import Database


def forget(database: Database, number: int) -> dict[str, int]:
    """Delete this {{ words }} and all rows that refer to it.

    Returns:
        How many rows each table lost, if any.
    """
    rows: Any = tables.{{ cookiecutter.__entity_class }}.__table__
    deleted = {}
    with database.writing() as session:
        # Locked first, so that nobody adds a row about it behind our back.
        session.execute(select(rows.c.id).where(rows.c.id == number).with_for_update())
        for table in reversed(tables.Base.metadata.sorted_tables):
            for key in table.c:
                if key is rows.c.id or key.references(rows.c.id):
                    done: Any = session.execute(delete(table).where(key == number))
                    deleted[table.name] = done.rowcount
    return {name: count for name, count in deleted.items() if count}
