"""The service over each database that it supports, with a fake model."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, select, text
from support import NEW, PATH, PLURAL, FakePredictor
from werkzeug.test import TestResponse

from service import health
from service.app import create_app
from service.connections import SECONDS, SERVER_SECONDS
from service.database import Database
from service.settings import Settings
from service.tables import Base


def settings(**changes: Any) -> Settings:
    """The default settings with these changes, whatever the environment says."""
    return Settings(**{"_env_file": None, **changes})


class Service:
    """The service, and what its database holds."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.predictor = FakePredictor()
        self.database = Database(settings(database_url=url).database_url)
        self.start()

    def start(self, **changes: Any) -> None:
        changes = {"model_deadline": 60, **changes}  # the machine may be busy
        self.app = create_app(settings(database_url=self.url, **changes), self.predictor)
        self.client = self.app.test_client()

    def restart(self, **changes: Any) -> None:
        """As if the process had ended and another had begun, with these settings."""
        self.close()
        self.start(**changes)

    def close(self) -> None:
        self.database.engine.dispose()
        self.app.extensions["database"].engine.dispose()

    def post(self, body: object, path: str = PATH, **options: Any) -> TestResponse:
        return self.client.post(path, json=body, **options)

    def place(self, body: object = NEW) -> dict[str, Any]:
        """Place one; the answer. If this machine stood still until it was too late, again."""
        began = monotonic()
        response = self.post(body)
        if response.status_code == 503 and monotonic() - began > SECONDS - SERVER_SECONDS:
            response = self.post(body)
        assert response.status_code == 201, response.text
        answer: dict[str, Any] = response.json  # type: ignore[assignment]
        return answer

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows, oldest first."""
        stored = Base.metadata.tables[table]
        with self.database.engine.connect() as connection:
            query = select(stored).order_by(*stored.primary_key)
            return [dict(row) for row in connection.execute(query).mappings()]

    def put_aside(self, table: str) -> None:
        """Let nothing be written to a table."""
        self._execute(f"ALTER TABLE {table} RENAME TO aside")

    def put_back(self, table: str) -> None:
        """Take that back."""
        self._execute(f"ALTER TABLE aside RENAME TO {table}")

    def _execute(self, statement: str) -> None:
        with self.database.engine.begin() as connection:
            connection.execute(text(statement))

    def ready(self) -> TestResponse:
        """The answer of /readyz to what a check finds now."""
        self.app.extensions["readiness"].check_now()
        return self.client.get("/readyz")

    def checks(self) -> dict[str, str]:
        """What a check finds now."""
        self.app.extensions["readiness"].check_now()
        found: dict[str, str] = self.app.extensions["readiness"].report().checks
        return found

    def stored(self) -> int:
        """How many rows there are of what callers can write."""
        return len(self.rows(PLURAL)) + len(self.rows("predictions"))


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "empty.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    with database.sessions() as session:
        session.execute(text("PRAGMA journal_mode = DELETE"))
    database.engine.dispose()
    return path


@contextmanager
def postgres_database() -> Iterator[str]:
    """A database of its own on the server at TEST_POSTGRES_URL, dropped afterwards."""
    given = os.environ.get("TEST_POSTGRES_URL")
    if not given:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up("TEST_POSTGRES_URL is not set, so PostgreSQL is not tested")
    url = make_url(settings(database_url=given).database_url)
    name = f"service_{uuid4().hex}"
    server = create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        yield url.set(database=name).render_as_string(hide_password=False)
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture(scope="session")
def migrated_postgres() -> Iterator[str]:
    with postgres_database() as url:
        database = Database(url)
        database.migrate()
        database.engine.dispose()
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database that holds nothing, not even tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'fresh.db'}"
    else:
        with postgres_database() as url:
            yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database whose tables are empty."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "test.db")
        return f"sqlite:///{tmp_path / 'test.db'}"
    found: str = request.getfixturevalue("migrated_postgres")
    database = Database(found)
    names = ", ".join(f'"{table}"' for table in Base.metadata.tables)
    with database.engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
    database.engine.dispose()
    return found


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a check has found stays true, however busy the machine is."""
    monkeypatch.setattr(health, "STALE_SECONDS", float("inf"))


@pytest.fixture
def service(url: str) -> Iterator[Service]:
    found = Service(url)
    yield found
    found.close()
