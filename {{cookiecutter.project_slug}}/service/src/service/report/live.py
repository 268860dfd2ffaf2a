"""The page at the operations port: made when it is asked for, one at a time, kept for a while."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic
from typing import Any

import sqlalchemy as sa

from service.database import Database
from service.report.page import render
from service.report.versions import Versions
from service.tables import now

KEPT_SECONDS = 15.0
STATEMENT_SECONDS = 10
"""How long PostgreSQL works at one statement of the page."""


class LivePage:
    """The page as it is now.

    Args:
        url: of the database; the page has a connection of its own, with deadlines of its own.
        versions: gives those of the model; None where they cannot be had.
        deadline_ms: how long a prediction may take.
    """

    def __init__(
        self, url: str, versions: Callable[[], Versions | None], deadline_ms: float
    ) -> None:
        self._database = Database(url, limited=False)
        self._versions, self._deadline_ms = versions, deadline_ms
        self._made, self._page = float("-inf"), ""
        self._turn = Lock()

    def html(self) -> str:
        """The page; the last one while another is made, and "" while the first one is.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: when the database cannot be used.
        """
        if monotonic() - self._made > KEPT_SECONDS and self._turn.acquire(blocking=False):
            try:
                versions = self._versions()  # nothing in the database waits for the model
                with snapshot(self._database) as connection:
                    self._page = render(connection, versions, now(), self._deadline_ms)
                self._made = monotonic()
            finally:
                self._turn.release()
        return self._page


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
