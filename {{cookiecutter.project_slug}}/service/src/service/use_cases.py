{%- set entity = cookiecutter.entity -%}
{%- set words = entity.replace('_', ' ') -%}
{%- set Entity = cookiecutter.__entity_class -%}
{%- set target = cookiecutter.__target -%}
"""The use cases: place, look up, record the outcome."""

from collections.abc import Mapping
from typing import Any

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from contract import Inputs
from service import features, schemas, tables
from service.context import RequestContext
from service.database import Database
from service.fallbacks import FallbackStore
from service.forecast import Forecaster
from service.idempotency import Key, KeyStore
from service.inserts import Inserts
from service.inserts import New as NewRow
from service.metrics import Metrics
from service.shadow import Shadow

log = structlog.get_logger(__name__)

New = schemas.New{{ Entity }}
Public = schemas.{{ Entity }}
Row = tables.{{ Entity }}


class NotFound(LookupError):
    """There is no such {{ words }}."""


class AlreadyRecorded(Exception):
    """The outcome is known already, and does not change."""


class Abandoned(Exception):
    """The caller has left, and nothing was stored."""


class UseCases:
    """What the product does."""

    def __init__(
        self,
        database: Database,
        forecaster: Forecaster,
        fallbacks: FallbackStore,
        keys: KeyStore,
        metrics: Metrics,
        shadow: Shadow | None = None,
    ) -> None:
        self._database = database
        self._inserts = Inserts(database)
        self._forecaster = forecaster
        self._fallbacks = fallbacks
        self._keys = keys
        self._metrics = metrics
        self._shadow = shadow

    def place(self, new: New, context: RequestContext, key: Key | None = None) -> Public:
        """Store a new {{ words }} with what is expected of it; the same key again changes nothing.

        Raises:
            Abandoned: the caller has left.
            KeyReused: the key came with another {{ words }}.
        """
        if key is None:
            return self._place(new, context)
        number = self._keys.find(key, new)
        if number is None:
            try:
                return self._place(new, context, self._keys.row(key, new))
            except IntegrityError:  # another request with this key was first
                number = self._keys.find(key, new)
                if number is None:
                    raise
        first_answer = {"{{ target }}": None}
        return self.look_up(number).model_copy(update=first_answer)

    def _place(self, new: New, context: RequestContext, *more: NewRow) -> Public:
        # A session takes a connection when it is first used, and here gives it back: nothing in
        # the database ever waits for the model.
        with self._database.sessions() as session:
            model_features = features.model_features(new, session)
        forecast = self._forecaster.forecast(model_features, context)
        if context.is_abandoned():
            raise Abandoned("The caller has left, and nothing was stored.")
        prediction = forecast.row(model_features, context.request_id)
        row = {**new.model_dump(), "created_at": prediction["created_at"]}
        number = self._inserts.insert(
            NewRow(Row, row),
            NewRow(tables.Prediction, prediction),
            *self._fallbacks.row(forecast.answer),
            *more,
        )
        self._fallbacks.saved(forecast.answer)
        placed = Row(id=number, **row)
        if self._shadow:
            self._shadow.ask(placed, model_features, context)
        return _public(placed, tables.Prediction(**prediction))

    def look_up(self, number: int) -> Public:
        """What is known of the {{ words }} with this number.

        Raises:
            NotFound: there is none.
        """
        return _public(*self.find(number))

    def find(self, number: int) -> tuple[Row, tables.Prediction]:
        """What is stored of the {{ words }} with this number; raises NotFound."""
        with self._database.sessions() as session:
            return _find(session, number)

    def record(self, number: int, outcome: schemas.Outcome) -> Public:
        """Store how it turned out.

        Raises:
            NotFound: there is none with this number.
            AlreadyRecorded: its outcome is known already.
        """
        with self._database.writing() as session:
            # One statement finds and changes the row, so that of two callers only one succeeds.
            changed = session.scalar(
                update(Row)
                .where(Row.id == number, Row.recorded_at.is_(None))
                .values(**outcome.model_dump(), recorded_at=tables.now())
                .returning(Row.id)
            )
            row, prediction = _find(session, number)
            if changed is None:
                raise AlreadyRecorded("The outcome is known already, and does not change.")
            about = tables.Prediction.{{ entity }}_id == number
            known = {"outcome": outcome.{{ target }}}
            session.execute(update(tables.Prediction).where(about).values(known))
        self._check_skew(prediction.features)
        return _public(row, prediction)

    def _check_skew(self, served: Mapping[str, Any]) -> None:
        """Count what training would derive otherwise; never fails, since the outcome is stored."""
        try:
            for name in features.skewed(served):
                self._metrics.skew.labels(name).inc()
            self._metrics.skew_checked.inc()
        except Exception as error:
            log.warning("skew cannot be told", fault=str(error))


def _find(session: Session, number: int) -> tuple[Row, tables.Prediction]:
    prediction = tables.Prediction
    found = session.execute(
        select(Row, prediction)
        .join(prediction, prediction.{{ entity }}_id == Row.id)
        .where(Row.id == number, prediction.served_by != tables.SHADOW)
    ).first()
    if found is None:
        raise NotFound(f"There is no {{ words }} {number}.")
    return found[0], found[1]


def _public(row: Row, prediction: tables.Prediction) -> Public:
    return Public(
        **{name: getattr(row, name) for name in Inputs.model_fields},
        id=row.id,
        type="{{ entity }}",
        {{ target }}=row.{{ target }},
        metadata=schemas.Metadata(
            expected_{{ target }}=prediction.expected,
{%- if cookiecutter.__task != 'regression' %}
            probabilities=prediction.probabilities,
{%- endif %}
            served_by=prediction.served_by,
            model_version=prediction.model_version,
        ),
    )
