"""What the model recommends to answer when it cannot, kept in the service's own database."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import event, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, sessionmaker

from contract import Prediction, signature
from service.predictors import Answer
from service.tables import ModelVersion, now

INSERT: dict[str, Callable[[type[ModelVersion]], Any]] = {
    "postgresql": postgresql.insert,
    "sqlite": sqlite.insert,
}
"""By database, the insert statement that has `ON CONFLICT`."""


class FallbackStore:
    """The versions of the model that have answered, each with the fallback that it recommends."""

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self._sessions = sessions
        self._saved: tuple[str, Prediction | None] | None = None

    def save(self, answer: Answer, session: Session) -> None:
        """Write the version of an answer and its fallback, unless this process has just done so.

        It takes one statement in the session's transaction. Another process that writes the same
        version can delay it, but not make it fail.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: when the database does not answer.
        """
        if answer.version is None or (answer.version, answer.fallback) == self._saved:
            return
        saved = answer.version, answer.fallback
        row = {
            "signature": signature(),
            "fallback": answer.fallback and answer.fallback.model_dump(),
            "last_seen": now(),
        }
        insert = INSERT[session.get_bind().dialect.name](ModelVersion)
        new = insert.values(version=answer.version, first_seen=row["last_seen"], **row)
        # Versions do not change, so an answer without a fallback does not take back an earlier one.
        fallback = func.coalesce(new.excluded.fallback, ModelVersion.fallback)
        session.execute(
            new.on_conflict_do_update(
                index_elements=[ModelVersion.version], set_={**row, "fallback": fallback}
            )
        )

        @event.listens_for(session, "after_commit", once=True)
        def committed(_: Session) -> None:
            self._saved = saved

    def latest(self) -> tuple[Prediction, str] | None:
        """The fallback of the version that was seen last, and that version; None before any.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: when the database does not answer.
        """
        query = (
            select(ModelVersion)
            .where(ModelVersion.signature == signature(), ModelVersion.fallback.is_not(None))
            .order_by(ModelVersion.last_seen.desc())
            .limit(1)
        )
        with self._sessions() as session:
            row = session.scalar(query)
        if row is None:
            return None
        return Prediction.model_validate(row.fallback), row.version
