"""What the service remembers of its model, for the time when it cannot answer."""

import structlog
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from contract import Prediction, signature
from service.predictors import Description
from service.tables import ModelVersion, now

log = structlog.get_logger(__name__)


class Memory:
    """The versions of the model that were seen, kept in the service's own database."""

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self._sessions = sessions
        self._latest: Description | None = None

    def remember(self, seen: Description) -> None:
        """Keep what the version recommends; the one that was seen last is the one to recall.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: when the database does not answer.
        """
        if seen == self._latest or seen.version is None:
            return
        version = ModelVersion.version
        row = {
            "signature": seen.signature,
            "fallback": seen.fallback and seen.fallback.model_dump(),
            "last_seen": now(),
        }
        known = update(ModelVersion).where(version == seen.version).values(row).returning(version)
        new = insert(ModelVersion).values(version=seen.version, first_seen=row["last_seen"], **row)
        try:
            with self._sessions.begin() as session:
                if session.scalar(known) is None:
                    session.execute(new)
        except IntegrityError:
            pass  # another worker has just written the same
        self._latest = seen

    def recall(self) -> tuple[Prediction, str] | None:
        """What the version that was seen last recommends, and that version, if there is one.

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
