"""Whatever happens to the database: 503 soon, nothing half stored, and recovery by itself."""

import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg
import pytest
from conftest import Service
from postgres_server import PostgresServer, postgres_server
from support import NEW, OUTCOME, PATH, PLURAL, listening, wait_until

from service.connections import DeadlineConnection

NOBODY = 65534
"""The id of a user and a group without rights."""
SOON_SECONDS = 4
"""Less than any of these faults lasts, and twice what is promised: machines may be slow."""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with tempfile.TemporaryDirectory() as folder, postgres_server(Path(folder)) as server:
        yield server


@pytest.fixture
def on_postgres(server: PostgresServer) -> Iterator[Service]:
    server.execute("DROP SCHEMA public CASCADE")
    server.execute("CREATE SCHEMA public")
    service = Service(server.url)
    service.database.migrate()
    service.place()
    yield service
    service.close()


@pytest.fixture
def on_sqlite(migrated_sqlite: Path, tmp_path: Path) -> Iterator[Service]:
    (tmp_path / "test.db").write_bytes(migrated_sqlite.read_bytes())
    service = Service(f"sqlite:///{tmp_path / 'test.db'}")
    service.place()
    yield service
    service.close()


PLACE, RECORD = (PATH, NEW), (f"{PATH}/1/outcome", OUTCOME)


def other_connection(service: Service) -> AbstractContextManager[sqlite3.Connection]:
    """A connection to the service's file that is not the service's."""
    path = service.database.engine.url.database
    return closing(sqlite3.connect(str(path), isolation_level=None))


def check_failing(
    service: Service, *posts: tuple[str, object], requests: int = 1, reading: bool = False
) -> None:
    """Each of many such requests at once is soon told to come again."""
    posts = (posts or (PLACE, RECORD)) * requests

    def post(each: tuple[str, object]) -> Any:
        start = monotonic()
        response = service.app.test_client().post(each[0], json=each[1])
        assert monotonic() - start < SOON_SECONDS
        return response

    with ThreadPoolExecutor(len(posts)) as threads:
        responses = list(threads.map(post, posts))
    responses += [service.client.get(f"{PATH}/1")] if reading else []
    for response in responses:
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
        assert response.mimetype == "application/problem+json"


def check_recovered(service: Service) -> None:
    """Nothing was stored meanwhile, and everything works again."""
    (row,) = service.rows(PLURAL)
    assert row["recorded_at"] is None
    assert service.stored() == 2
    wait_until(lambda: service.checks() == {"database": "ok", "model": "ok"})
    service.place()
    assert service.post(OUTCOME, f"{PATH}/1/outcome").status_code == 200
    assert service.stored() == 4


def hold_connections(engine: Any, number: int) -> ExitStack:
    """Connections that nobody else can use until they are closed."""
    held = ExitStack()
    for _ in range(number):
        held.enter_context(engine.connect())
    return held


def test_postgres_that_is_restarted(on_postgres: Service, server: PostgresServer) -> None:
    server.stop()
    try:
        check_failing(on_postgres, reading=True)
        assert on_postgres.checks()["database"] == "unreachable"
    finally:
        server.start()
    check_recovered(on_postgres)


@pytest.mark.parametrize("connected", [True, False])
def test_postgres_that_is_frozen(
    on_postgres: Service, server: PostgresServer, connected: bool
) -> None:
    engine = on_postgres.app.extensions["database"].engine
    if connected:
        hold_connections(engine, engine.pool.size()).close()
    else:
        engine.dispose()
    with server.frozen():
        check_failing(on_postgres, requests=8, reading=True)
        assert on_postgres.checks()["database"] == "unreachable"
    # What still lay in its connections is done by now: before this one was accepted, or beside it.
    busy = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()"
    wait_until(lambda: not server.execute(f"{busy} AND backend_type = 'client backend'"))
    check_recovered(on_postgres)


def test_readiness_tells_of_a_frozen_postgres_while_its_check_hangs(
    on_postgres: Service, server: PostgresServer
) -> None:
    def status() -> int:
        return on_postgres.client.get("/readyz").status_code

    readiness = on_postgres.app.extensions["readiness"]
    readiness.start()
    try:
        for _ in range(2):
            wait_until(lambda: status() == 200)
            with server.frozen():
                start = monotonic()
                wait_until(lambda: status() == 503)
                assert monotonic() - start < SOON_SECONDS
    finally:
        readiness.stop()


@pytest.mark.parametrize("table", [PLURAL, "predictions"])
def test_a_lock_that_is_held_in_postgres(
    on_postgres: Service, server: PostgresServer, table: str
) -> None:
    with psycopg.connect(server.url) as other:
        other.execute(f'LOCK TABLE "{table}" IN ACCESS EXCLUSIVE MODE')
        check_failing(on_postgres)
        other.rollback()
    check_recovered(on_postgres)


def test_all_connections_in_use(on_postgres: Service) -> None:
    engine = on_postgres.app.extensions["database"].engine
    with hold_connections(engine, engine.pool.size() + engine.pool._max_overflow):
        check_failing(on_postgres)
    check_recovered(on_postgres)


def test_postgres_that_is_read_only(on_postgres: Service, server: PostgresServer) -> None:
    def set_read_only(value: str) -> None:
        server.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        server.execute("SELECT pg_reload_conf()")
        wait_until(lambda: server.execute("SHOW transaction_read_only") == [(value,)])

    set_read_only("on")
    try:
        wait_until(lambda: on_postgres.checks()["database"] == "not writable: read-only")
        check_failing(on_postgres)
        assert on_postgres.client.get(f"{PATH}/1").status_code == 200
    finally:
        set_read_only("off")
    check_recovered(on_postgres)


def test_postgres_whose_disk_is_full(on_postgres: Service, server: PostgresServer) -> None:
    server.execute(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$"
    )
    server.execute(
        "CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON predictions EXECUTE FUNCTION fail()"
    )
    check_failing(on_postgres)
    assert on_postgres.checks()["database"].startswith("not writable")
    server.execute("DROP TRIGGER fail ON predictions")
    check_recovered(on_postgres)


def test_what_postgres_finds_too_late_is_not_stored(
    on_postgres: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_time = DeadlineConnection.begin_by
    monkeypatch.setattr(DeadlineConnection, "begin_by", lambda each: in_time(each) - 10)
    assert on_postgres.post(NEW).status_code == 503
    monkeypatch.undo()
    check_recovered(on_postgres)


def test_placing_is_one_statement(on_postgres: Service, server: PostgresServer) -> None:
    for _ in range(6):  # from then on the driver keeps the statement prepared
        on_postgres.place()
    before = len(server.log.read_bytes())
    on_postgres.place()
    server.execute("SELECT 'the end'")
    log = server.log.read_bytes()[before:].decode()
    assert re.findall(r"LOG: +(execute _pg3|statement)", log) == ["execute _pg3", "statement"]
    assert "INSERT INTO predictions" in log


@pytest.mark.parametrize("mode", ["DEFERRED", "IMMEDIATE", "EXCLUSIVE"])
def test_sqlite_that_is_locked(on_sqlite: Service, mode: str) -> None:
    with other_connection(on_sqlite) as other:
        other.execute(f"BEGIN {mode}")
        other.execute(f'UPDATE "{PLURAL}" SET recorded_at = NULL')
        check_failing(on_sqlite, requests=4)
        assert on_sqlite.client.get(f"{PATH}/1").status_code == 200
        other.execute("ROLLBACK")
    check_recovered(on_sqlite)


@pytest.mark.parametrize("fault", ["max_page_count = 1", "query_only = 1"])
def test_sqlite_that_cannot_be_written_to(on_sqlite: Service, fault: str) -> None:
    def set_up(connection: Any, record: Any) -> None:
        connection.execute(f"PRAGMA {fault}")

    with other_connection(on_sqlite) as other:
        other.execute("VACUUM")  # which leaves no free pages
    engine = on_sqlite.app.extensions["database"].engine
    engine.dispose()
    with listening(engine, "connect", set_up):
        for _ in range(30):  # until the pages in use have no room either
            if on_sqlite.post(NEW).status_code == 503:
                break
        placed = len(on_sqlite.rows(PLURAL))
        check_failing(on_sqlite, PLACE, requests=4)  # an outcome may still have room
        assert on_sqlite.checks()["database"].startswith("not writable")
        assert on_sqlite.client.get(f"{PATH}/1").status_code == 200
    engine.dispose()
    assert on_sqlite.stored() == 2 * placed
    on_sqlite.place()
    assert on_sqlite.checks()["database"] == "ok"


@contextmanager
def unprivileged() -> Iterator[Path]:
    """A folder of a user's own, and this process as that user: root may write to everything."""
    was = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        if not was:
            os.chown(folder, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(folder)
        finally:
            os.seteuid(was)


def test_sqlite_whose_files_are_read_only_for_a_while(migrated_sqlite: Path) -> None:
    empty = migrated_sqlite.read_bytes()
    with unprivileged() as folder:
        (folder / "test.db").write_bytes(empty)
        before = Service(f"sqlite:///{folder / 'test.db'}")
        before.place()
        files = [*folder.iterdir(), folder]
        for each in files:
            each.chmod(0o555)
        service = Service(before.url)
        check_failing(service, PLACE, requests=4)
        assert service.checks()["database"].startswith("not writable")
        service.start()
        assert service.checks()["database"] == "not writable: attempt to write a readonly database"
        for _ in range(9):
            assert service.client.get(f"{PATH}/1").status_code == 200
        for each in files:
            each.chmod(0o755)
        for _ in range(9):
            assert service.client.get(f"{PATH}/1").status_code == 200
            service.place()
        assert service.checks()["database"] == "ok"
        service.close()
        before.close()


def test_a_disk_without_room_for_sqlite(
    on_sqlite: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = os.statvfs_result((4096, 4096, 10**6, 0, 0, 0, 0, 0, 0, 255))
    monkeypatch.setattr("service.database.os.statvfs", lambda path: full)
    assert on_sqlite.checks()["database"] == "not writable: the disk is full"
    assert on_sqlite.ready().status_code == 503


def test_two_processes_write_to_sqlite_in_turn(on_sqlite: Service) -> None:
    other = Service(on_sqlite.url)
    clients = [each.app.test_client for each in (on_sqlite, other) * 100]
    with ThreadPoolExecutor(16) as threads:
        responses = threads.map(lambda client: client().post(PATH, json=NEW), clients)
        assert {response.status_code for response in responses} == {201}
    other.close()
    assert on_sqlite.stored() == 2 * 201
