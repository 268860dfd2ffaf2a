"""What the model recommends to answer when it cannot, kept in the service's own database."""

from time import monotonic

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from contract import Prediction, signature
from service.inserts import New
from service.predictors import Answer
from service.tables import ModelVersion, now

LATEST_SECONDS = 1.0
"""How long the latest fallback is remembered: a query with every request would cost too much."""


class FallbackStore:
    """The versions of the model that have answered, each with the fallback that it recommends."""

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self._sessions = sessions
        self._saved: tuple[str | None, Prediction | None] | None = None
        self._latest: tuple[Prediction, str] | None = None
        self._latest_until = 0.0

    def row(self, answer: Answer | None) -> list[New]:
        """What to insert to keep an answer's version and its fallback.

        It is nothing when this process has just done so. Another process that writes the same
        version can delay the insert, but not make it fail.
        """
        if not answer or not answer.version or (answer.version, answer.fallback) == self._saved:
            return []
        moment = now()
        values = {
            "version": answer.version,
            "signature": signature(),
            "fallback": answer.fallback and answer.fallback.model_dump(),
            "first_seen": moment,
            "last_seen": moment,
        }
        # Versions do not change, so an answer without a fallback does not take back an earlier one.
        return [New(ModelVersion, values, replaces=("signature", "fallback", "last_seen"))]

    def saved(self, answer: Answer | None) -> None:
        """Say that what `row` gave is in the database."""
        if answer and (answer.version, answer.fallback) != self._saved:
            self._saved = answer.version, answer.fallback
            self._latest_until = 0.0

    def latest(self) -> tuple[Prediction, str] | None:
        """The fallback of the version that was seen last, and that version; None before any.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: when the database does not answer.
        """
        if monotonic() < self._latest_until:
            return self._latest
        query = (
            select(ModelVersion)
            .where(ModelVersion.signature == signature(), ModelVersion.fallback.is_not(None))
            .order_by(ModelVersion.last_seen.desc())
            .limit(1)
        )
        with self._sessions() as session:
            row = session.scalar(query)
        self._latest = (Prediction.model_validate(row.fallback), row.version) if row else None
        self._latest_until = monotonic() + LATEST_SECONDS
        return self._latest
