"""The database's connections: how each kind is set up, and what becomes of one that is lost."""

import select
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from conftest import Service
from sqlalchemy import event, insert
from support import NEW

from service import tables
from service.database import Database


def settings_of(database: Database, show: str, *names: str) -> list[Any]:
    """The values of some settings of a connection."""
    with database.engine.connect() as connection:
        found = [connection.exec_driver_sql(f"{show} {name}").scalar() for name in names]
    database.engine.dispose()
    return found


def test_moments_are_stored_in_utc(service: Service) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=5)))
    row = {"version": "v", "signature": None, "first_seen": moment, "last_seen": moment}
    with service.database.engine.begin() as connection:
        connection.execute(insert(tables.ModelVersion).values(row))
    (read,) = service.rows("model_versions")
    assert read["first_seen"] == moment
    assert read["first_seen"].tzinfo is UTC


def test_sqlite_is_set_up(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/some/where/service.db")
    pragmas = ("journal_mode", "foreign_keys", "busy_timeout")
    assert settings_of(database, "PRAGMA", *pragmas) == ["wal", 1, 0]


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_postgresql_is_set_up_and_options_in_the_url_are_kept(service: Service) -> None:
    database = service.app.extensions["database"]
    assert settings_of(database, "SHOW", "statement_timeout", "timezone") == ["750ms", "UTC"]
    other = Database(service.url + "?options=-c%20search_path%3Delsewhere")
    assert settings_of(other, "SHOW", "search_path", "statement_timeout") == ["elsewhere", "750ms"]


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_connections_that_the_database_closed_are_replaced(service: Service) -> None:
    service.place()
    with service.database.engine.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    service.place()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_database_that_closes_new_connections_cannot_be_used(service: Service) -> None:
    engine = service.app.extensions["database"].engine
    service.place()
    engine.dispose()

    def cut(connection: Any, record: object) -> None:
        with service.database.engine.connect() as other:
            pid = connection.info.backend_pid
            other.exec_driver_sql(f"SELECT pg_terminate_backend({pid})")
        select.select([connection.fileno()], [], [])

    event.listen(engine, "connect", cut)
    assert service.post(NEW).status_code == 503
    event.remove(engine, "connect", cut)
    service.place()


def test_a_check_leaves_no_statement_in_memory(service: Service) -> None:
    database = service.app.extensions["database"]
    kept = database.engine._compiled_cache
    assert database.check() == "ok"
    before = len(kept)
    assert [database.check() for _ in range(5)] == ["ok"] * 5
    assert len(kept) == before
