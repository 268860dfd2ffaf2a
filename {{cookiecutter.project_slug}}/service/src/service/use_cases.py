{%- set entity = cookiecutter.entity -%}
{%- set words = entity.replace('_', ' ') -%}
{%- set Entity = cookiecutter.__entity_class -%}
{%- set target = cookiecutter.__target -%}
"""The use cases: place, look up, record the outcome."""

from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from contract import Inputs
from service import features, schemas, tables
from service.context import RequestContext
from service.fallbacks import FallbackStore
from service.forecast import Forecaster

New = schemas.New{{ Entity }}
Public = schemas.{{ Entity }}
Row = tables.{{ Entity }}


class NotFound(LookupError):
    """There is no such {{ words }}."""


class AlreadyRecorded(Exception):
    """The outcome is known already, and does not change."""


class UseCases:
    """What the product does."""

    def __init__(
        self, sessions: sessionmaker[Session], forecaster: Forecaster, fallbacks: FallbackStore
    ) -> None:
        self._sessions = sessions
        self._forecaster = forecaster
        self._fallbacks = fallbacks

    def place(self, new: New, context: RequestContext) -> Public:
        """Store a new {{ words }} with what is expected of it."""
        with self._sessions() as session:
            model_features = features.model_features(new, session)
        # No transaction is open here: no lock in the database ever waits for the model.
        forecast = self._forecaster.forecast(model_features, context)
        expected = forecast.prediction
        with self._sessions.begin() as session:
            row = Row(**new.model_dump())
            session.add(row)
            session.flush()
            prediction = tables.Prediction(
                {{ entity }}_id=row.id,
                features=model_features.model_dump(mode="json"),
                expected=expected and expected.{{ target }},
{%- if cookiecutter.__task != 'regression' %}
                probabilities=expected and expected.probabilities,
{%- endif %}
                served_by=forecast.served_by,
                model_version=forecast.version,
                latency_ms=forecast.latency_ms,
                request_id=context.request_id,
            )
            session.add(prediction)
            if forecast.answer:
                self._fallbacks.save(forecast.answer, session)
        return _public(row, prediction)

    def look_up(self, number: int) -> Public:
        """What is known of the {{ words }} with this number.

        Raises:
            NotFound: there is none.
        """
        with self._sessions() as session:
            return _public(*_find(session, number))

    def record(self, number: int, outcome: schemas.Outcome) -> Public:
        """Store how it turned out.

        Raises:
            NotFound: there is none with this number.
            AlreadyRecorded: its outcome is known already.
        """
        with self._sessions.begin() as session:
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
            prediction.outcome = outcome.{{ target }}
        return _public(row, prediction)


def _find(session: Session, number: int) -> tuple[Row, tables.Prediction]:
    prediction = tables.Prediction
    found = session.execute(
        select(Row, prediction)
        .join(prediction, prediction.{{ entity }}_id == Row.id)
        .where(Row.id == number)
        .order_by(prediction.id)
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
