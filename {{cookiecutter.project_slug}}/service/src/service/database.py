"""The service's own database, and the state of its migrations."""

import sqlite3
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.orm import sessionmaker

CONNECT_TIMEOUT_SECONDS = 3
"""How long to wait for a connection, a new one or a free one."""

STATEMENT_TIMEOUT_SECONDS = 5
"""How long a statement of a request may take, locks included."""


class Database:
    """A database, which is connected to on first use.

    Args:
        url: `sqlite:///path` or `postgresql+psycopg://…`.
        connections: how many to keep open.
        statement_timeout: in seconds; 0 for none, as migrations need it.
    """

    def __init__(
        self, url: str, *, connections: int = 1, statement_timeout: int = STATEMENT_TIMEOUT_SECONDS
    ) -> None:
        self.engine = _engine(url, connections, statement_timeout)
        self.sessions = sessionmaker(self.engine, expire_on_commit=False)

    @cached_property
    def _head(self) -> str | None:
        return ScriptDirectory.from_config(config()).get_current_head()

    def migrated(self) -> bool:
        """Whether every migration of this release has been applied.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: when the database does not answer.
        """
        with self.engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision() == self._head

    def migrate(self) -> None:
        """Apply the migrations that are missing.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: when the database does not answer.
        """
        with self.engine.begin() as connection:
            command.upgrade(config(connection), "head")


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, to run commands on this connection."""
    result = Config()
    result.set_main_option("script_location", "service:migrations")
    result.set_main_option("path_separator", "os")
    result.attributes["connection"] = connection
    return result


def _engine(url: str, connections: int, statement_timeout: int) -> Engine:
    if make_url(url).get_backend_name() == "sqlite":
        engine = create_engine(
            url,
            connect_args={"timeout": statement_timeout or CONNECT_TIMEOUT_SECONDS},
            pool_size=connections,
            pool_timeout=CONNECT_TIMEOUT_SECONDS,
        )
        event.listen(engine, "do_connect", _make_folder)
        event.listen(engine, "connect", _set_up_sqlite)
        return engine
    options = make_url(url).query.get("options", "")
    return create_engine(
        url,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "options": f"{options} -c statement_timeout={statement_timeout}s -c timezone=UTC",
        },
        pool_size=connections,
        pool_timeout=CONNECT_TIMEOUT_SECONDS,
        pool_pre_ping=True,
    )


def _make_folder(dialect: Any, record: Any, arguments: list[str], options: Any) -> None:
    with suppress(OSError):  # SQLite itself reports what is wrong with the path
        Path(arguments[0]).parent.mkdir(parents=True, exist_ok=True)


def _set_up_sqlite(connection: sqlite3.Connection, record: Any) -> None:
    # With a write-ahead log, readers and the one writer do not wait for each other.
    connection.execute("PRAGMA journal_mode = WAL")
    # This is safe against crashes; a power cut may lose the last moments, but leaves no damage.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
