"""Connections to the database, none of which keeps a request waiting for long.

The drivers begin no transaction by themselves: `Database` says where one begins.
"""

import select
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.errors import LockNotAvailable
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.exc import TimeoutError as DatabaseTimeout

POOL_SECONDS = 0.25
"""How long to wait for a connection while others have all of them."""

CONNECT_SECONDS = 0.75
"""How long making a connection may take."""

SECONDS = 1.0
"""How long one use of a connection may take; with SQLite, how long to wait for others who write."""

SERVER_SECONDS = 0.75
"""How long PostgreSQL itself works at a statement, locks included. It gives up before we do, so
that nothing is stored for a request that has failed."""

LOCK_SECONDS = 5
"""How long a migration waits for a lock in PostgreSQL: whoever uses the table then waits behind it,
even if only to read."""

RETRY_SECONDS = 0.0002
"""How long to wait before another try to write to a SQLite file that another process writes to."""

WRITE_NOTHING = ("BEGIN IMMEDIATE", "PRAGMA user_version = 0")
"""What SQLite refuses where it cannot write (the first it may take for a `BEGIN`); rolled back."""


def postgresql(url: str, connections: int, limited: bool) -> Engine:
    """Connections to PostgreSQL; unless `limited`, without any deadline."""
    options = f"{make_url(url).query.get('options', '')} -c timezone=UTC"
    if limited:
        options += f" -c statement_timeout={SERVER_SECONDS}s"
    engine = create_engine(
        url,
        connect_args={"autocommit": True, "connect_timeout": 2, "options": options},
        pool_size=connections,
        pool_timeout=POOL_SECONDS,
    )
    if limited:
        event.listen(engine, "do_connect", _in_time(connections))
        event.listen(engine, "checkout", _check_out)
    return engine


class DeadlineConnection(psycopg.Connection[Any]):
    """A connection that is closed when the server has not answered by a deadline.

    A server that is frozen, or no longer reachable, would be waited for in vain.

    Attributes:
        deadline: in seconds of `time.monotonic`.
        offset: of the server's clock from that one.
        used: whether it has been taken from the pool before.
    """

    deadline = float("inf")
    offset = 0.0
    used = False

    @classmethod
    def open(cls, *arguments: Any, **options: Any) -> "DeadlineConnection":
        """Connect, and ask for the time."""
        connection = cls.connect(*arguments, **options)
        connection.deadline = monotonic() + SECONDS
        try:
            ((now,),) = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        except psycopg.Error:
            connection.close()
            raise
        connection.offset = now - monotonic()
        return connection

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait for the server, as the driver does at every exchange."""
        try:
            return super().wait(gen, interval, max(0, self.deadline - monotonic()))
        except psycopg.OperationalError as error:
            if monotonic() < self.deadline:
                raise
            self.close()
            raise psycopg.OperationalError("no answer in time") from error

    def begin_by(self) -> float:
        """When the server must have begun with what it is sent now, by its own clock.

        Work that it finds after a pause would else be done for a request that has failed.
        """
        return self.deadline - SERVER_SECONDS + self.offset


def _in_time(connections: int) -> Callable[..., DeadlineConnection]:
    # Looking the host up has no limit of its own, and libpq's is two seconds for each address.
    threads = ThreadPoolExecutor(connections, "connecting")

    def connect(dialect: Any, record: Any, arguments: Any, options: Any) -> DeadlineConnection:
        attempt = threads.submit(DeadlineConnection.open, *arguments, **options)
        try:
            return attempt.result(CONNECT_SECONDS)
        except TimeoutError:
            attempt.add_done_callback(_close)
            attempt.cancel()
            raise psycopg.OperationalError("no connection in time") from None

    return connect


def _close(attempt: Future[DeadlineConnection]) -> None:
    if not attempt.cancelled() and not attempt.exception():
        attempt.result().close()


def _check_out(connection: DeadlineConnection, record: Any, proxy: Any) -> None:
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):  # nothing was asked for, so the server is closing it
        if connection.used:
            raise DisconnectionError  # the pool makes another one
        raise psycopg.OperationalError("the server closes new connections")
    connection.used = True
    connection.deadline = monotonic() + SECONDS


def sqlite(url: str, connections: int, limited: bool) -> Engine:
    """Connections to a file of SQLite; if `limited`, `Turn` waits for other processes."""
    engine = create_engine(
        url,
        connect_args={"timeout": SECONDS, "isolation_level": None},
        pool_size=connections,
        pool_timeout=POOL_SECONDS,
        paramstyle="named",
    )
    event.listen(engine, "do_connect", _make_folder)
    event.listen(engine, "connect", _set_up)
    if limited:
        event.listen(engine, "connect", _check_writable)
        event.listen(engine, "checkin", _close_read_only)
    return engine


def _make_folder(dialect: Any, record: Any, arguments: list[str], options: Any) -> None:
    with suppress(OSError):  # SQLite itself reports what is wrong with the path
        Path(arguments[0]).parent.mkdir(parents=True, exist_ok=True)


def _set_up(connection: sqlite3.Connection, record: Any) -> None:
    # With a write-ahead log, readers and the one writer do not wait for each other.
    connection.execute("PRAGMA journal_mode = WAL")
    # This is safe against crashes; a power cut may lose the last moments, but leaves no damage.
    connection.execute("PRAGMA synchronous = NORMAL")
    # Pages; every so often one request waits for the disk, and with it those behind it.
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    connection.execute("PRAGMA foreign_keys = ON")


def _check_writable(connection: sqlite3.Connection, record: Any) -> None:
    connection.execute("PRAGMA busy_timeout = 0")  # SQLite would sleep for up to 0.1 s at a time
    try:
        for statement in WRITE_NOTHING:
            connection.execute(statement)
    except sqlite3.OperationalError as error:
        record.info["read only"] = _code(error) == sqlite3.SQLITE_READONLY
    connection.rollback()


def _close_read_only(connection: sqlite3.Connection, record: Any) -> None:
    # While a process has one open, SQLite opens the others for reading only as well, even once
    # the file can be written again.
    if record.info.get("read only"):
        record.invalidate()


class Turn:
    """One thread after the other, in the order in which they came.

    Left to themselves, writers of SQLite wait by sleeping, ever longer, and some for too long.
    """

    def __init__(self) -> None:
        self._guard = Lock()
        self._taken = False
        self._waiting: deque[Lock] = deque()
        self._deadline = 0.0

    def __enter__(self) -> None:
        deadline = monotonic() + SECONDS
        called = Lock()
        called.acquire()
        with self._guard:
            if not self._taken:
                self._taken = True
                called.release()
            else:
                self._waiting.append(called)
        if not called.acquire(timeout=SECONDS):
            with self._guard:
                if called in self._waiting:
                    self._waiting.remove(called)
                    raise DatabaseTimeout("other requests write for too long")
        self._deadline = deadline

    def __exit__(self, *_: object) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False

    def begin(self, connection: Any) -> None:
        """Begin a transaction that writes, as soon as no other process does."""
        while True:
            try:
                connection.cursor().execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if not is_busy(error) or monotonic() > self._deadline:
                    raise
            sleep(RETRY_SECONDS)


def is_busy(error: BaseException | None) -> bool:
    """Whether another connection kept a lock for too long: in SQLite, since it writes."""
    return isinstance(error, LockNotAvailable) or _code(error) == sqlite3.SQLITE_BUSY


def _code(error: BaseException | None) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
