"""The service's own database: what reads, what writes, and the state of its migrations."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property
from time import monotonic
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Dialect, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import PoolProxiedConnection

from service import connections as to

FAILED_WRITE_SECONDS = 1.0
"""How long a failed write says that the database is not writable."""

FREE_BYTES = 2**20
"""What must be free on the disk of a SQLite file."""


class Database:
    """A database, which is connected to on first use.

    Args:
        url: `sqlite:///path` or `postgresql+psycopg://…`.
        connections: how many to keep open.
        limited: whether no use may take longer than a request can wait; migrations may.

    Attributes:
        engine: for transactions.
        sessions: for reading, each statement by itself.
    """

    def __init__(self, url: str, *, connections: int = 1, limited: bool = True) -> None:
        self._file = make_url(url).database if url.startswith("sqlite") else None
        self.engine = (to.sqlite if self._file else to.postgresql)(url, connections, limited)
        event.listen(self.engine, "begin", _begin_as_told)
        self._turn = to.Turn() if self._file else None
        reads = self.engine.execution_options(begin=None)
        writes = self.engine.execution_options(begin=self._turn.begin if self._turn else _begin)
        self.sessions = sessionmaker(reads, expire_on_commit=False)
        self._writes = sessionmaker(writes, expire_on_commit=False)
        self._failed_write = float("-inf")

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that writes; the others wait for their turn in SQLite.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: when the database cannot be used; nothing is written.
        """
        with self._watched(), self._turn or nullcontext(), self._writes.begin() as session:
            yield session

    @contextmanager
    def cursor(self) -> Iterator[Any]:
        """A cursor of the driver itself, to write with: SQLAlchemy's share of the time is saved.

        In PostgreSQL each statement is a transaction of its own; in SQLite all of them are one.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: when the database cannot be used; nothing is written.
        """
        with self._watched(), self._turn or nullcontext(), self._raw_connection() as connection:
            cursor = connection.cursor()
            if self._turn:
                self._turn.begin(connection)
            yield cursor
            if self._turn:
                cursor.execute("COMMIT")

    @contextmanager
    def _raw_connection(self) -> Iterator[PoolProxiedConnection]:
        with _wrapped_errors(self.engine.dialect):
            connection = self.engine.raw_connection()
        try:
            with _wrapped_errors(self.engine.dialect, connection):
                yield connection
        finally:
            connection.close()  # which takes back what was not committed

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except SQLAlchemyError:
            self._failed_write = monotonic()
            raise
        self._failed_write = float("-inf")

    def check(self) -> str:
        """What keeps it from being used, or `ok`; nothing is written."""
        # Alembic makes a table of its own each time, and with it a statement like no other.
        checks = self.engine.execution_options(begin=None, compiled_cache=None)
        try:
            with checks.connect() as connection:
                if not self._migrated(connection):
                    return "not migrated: run `service migrate`"
                if monotonic() - self._failed_write < FAILED_WRITE_SECONDS:
                    return "not writable: a write has just failed"
                return self._write_check(connection)
        except (SQLAlchemyError, OSError):
            return "unreachable"

    def _write_check(self, connection: Connection) -> str:
        if self._file is None:
            read_only = connection.exec_driver_sql("SHOW transaction_read_only").scalar_one()
            return "ok" if read_only == "off" else "not writable: read-only"
        disk = os.statvfs(self._file)
        if disk.f_bavail * disk.f_frsize < FREE_BYTES:
            return "not writable: the disk is full"
        try:
            for statement in to.WRITE_NOTHING:
                connection.exec_driver_sql(statement)
        except OperationalError as error:
            return "ok" if to.is_busy(error.orig) else f"not writable: {error.orig}"
        return "ok"

    @cached_property
    def _earlier(self) -> set[str | None]:
        """The revisions that lack a migration of this release; None before the first one."""
        scripts = ScriptDirectory.from_config(config())
        known = {each.revision for each in scripts.walk_revisions()}
        return {None, *known} - {scripts.get_current_head()}

    def _migrated(self, connection: Connection) -> bool:
        # A revision that is not known here is a later release's, which this one can work with: it
        # does so while the later one is rolled out, or after it was rolled back (ADR 36).
        return _revision(connection) not in self._earlier

    def migrated(self) -> bool:
        """Whether every migration of this release has been applied, and maybe later ones.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: when the database does not answer.
        """
        with self.engine.connect() as connection:
            return self._migrated(connection)

    def revision(self) -> str:
        """Which migration was applied last, or `none`.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: when the database does not answer.
        """
        with self.engine.connect() as connection:
            return _revision(connection) or "none"

    def migrate(self) -> None:
        """Apply the migrations that are missing; a later release's are left alone.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: when the database does not answer, or others hold a lock
                for too long (`connections.is_busy`); the migrations before that one are applied.
        """
        if self.migrated():
            return
        with self.migrating() as connection:
            command.upgrade(config(connection), "head")

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """A connection on which Alembic begins and ends transactions, one for each migration."""
        with self.engine.connect() as connection:
            try:
                if self._file is None:
                    connection.exec_driver_sql(f"SET lock_timeout = '{to.LOCK_SECONDS}s'")
                    connection.commit()
                yield connection
            finally:
                connection.invalidate()  # nobody else gets one with this timeout


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


@contextmanager
def _wrapped_errors(
    dialect: Dialect, connection: PoolProxiedConnection | None = None
) -> Iterator[None]:
    """The driver's errors as SQLAlchemy's; a connection that is gone leaves the pool."""
    try:
        yield
    except dialect.loaded_dbapi.Error as error:
        if connection and dialect.is_disconnect(error, connection.dbapi_connection, None):
            connection.invalidate(error)
        raise DBAPIError.instance(None, None, error, dialect.loaded_dbapi.Error) from error


def _begin_as_told(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("isolation_level") == "AUTOCOMMIT":  # in an `autocommit_block` of a migration
        return
    if begin := options.get("begin", _begin):
        with _wrapped_errors(connection.dialect, connection.connection):
            begin(connection.connection)


def _begin(connection: Any) -> None:
    connection.cursor().execute("BEGIN")


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, to run commands on this connection."""
    result = Config()
    result.set_main_option("script_location", "service:migrations")
    result.set_main_option("path_separator", "os")
    result.attributes["connection"] = connection
    return result
