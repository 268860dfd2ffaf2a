"""The report at the operations port: a page for people, and the metrics that alerts go by."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, Thread
from time import monotonic, sleep
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import SQLAlchemyError

from service.database import Database
from service.metrics import Metrics
from service.report.findings import Findings, look
from service.report.page import render
from service.report.versions import Versions
from service.tables import now

log = structlog.get_logger(__name__)

KEPT_SECONDS = 15.0
"""How old the page may be,"""
WATCH_SECONDS, WATCH_SHARE = 30.0, 0.01
"""how long the metrics wait for the next, and at most which share of the time it may take."""
STATEMENT_SECONDS = 10
"""How long PostgreSQL works at one statement of the page."""


class LiveReport:
    """The report as it is now, which one thread at a time brings up to date.

    Args:
        url: of the database; the page has a connection of its own, with deadlines of its own.
        versions: gives those of the model; None where they cannot be had.
        deadline_ms: how long a prediction may take.
        metrics: are told what is found.
    """

    def __init__(
        self,
        url: str,
        versions: Callable[[], Versions | None],
        deadline_ms: float,
        metrics: Metrics,
    ) -> None:
        self._database = Database(url, limited=False)
        self._versions, self._deadline_ms, self._metrics = versions, deadline_ms, metrics
        self._made, self._took = float("-inf"), 0.0
        self._found: Findings | None = None
        self._turn = Lock()

    def html(self) -> str:
        """The page of what was found last; "" while somebody else looks for the first time.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: when the database cannot be used.
        """
        self.refresh(KEPT_SECONDS)
        return render(self._found, self._deadline_ms) if self._found else ""

    def start(self) -> None:
        """Keep the metrics up to date; in the process that serves."""
        Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            pause = max(WATCH_SECONDS, self._took / WATCH_SHARE)
            sleep(pause)
            try:
                self.refresh(pause)
            except SQLAlchemyError as error:
                log.warning("neither drift nor error can be told", fault=f"{error!s:.200}")

    def refresh(self, older: float = 0.0) -> None:
        """Look anew, if what was found is older than so many seconds.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: when the database cannot be used.
        """
        if monotonic() - self._made > older and self._turn.acquire(blocking=False):
            try:
                start = monotonic()
                versions = self._versions()  # nothing in the database waits for the model
                with snapshot(self._database) as connection:
                    self._found = look(connection, versions, now())
                self._metrics.found(self._found.drifts, self._found.errors)
                self._made = monotonic()
                self._took = self._made - start
            finally:
                self._database.engine.dispose()  # minutes may pass before the next
                self._turn.release()


@contextmanager
def snapshot(database: Database) -> Iterator[sa.Connection]:
    """One state of the database, to read only.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: when the database cannot be used.
    """
    with database.engine.execution_options(begin=_begin).begin() as connection:
        yield connection


def _begin(connection: Any) -> None:
    postgresql = hasattr(connection.dbapi_connection, "pgconn")
    connection.cursor().execute(
        "BEGIN READ ONLY, ISOLATION LEVEL REPEATABLE READ" if postgresql else "BEGIN"
    )
    if postgresql:
        connection.cursor().execute(f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'")
