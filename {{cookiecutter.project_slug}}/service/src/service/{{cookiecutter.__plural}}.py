{%- set entity = cookiecutter.entity -%}
{%- set words = entity.replace('_', ' ') -%}
{%- set Entity = cookiecutter.__entity_class -%}
{%- set target = cookiecutter.__target -%}
"""The use cases: place, look up, record the outcome."""

from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from service import features, schemas, tables
from service.forecast import Forecaster


class Unknown(LookupError):
    """There is no such {{ words }}."""


class Recorded(Exception):
    """The outcome is known already, and does not change."""


class UseCases:
    """What the product does."""

    def __init__(self, sessions: sessionmaker[Session], forecaster: Forecaster) -> None:
        self._sessions = sessions
        self._forecaster = forecaster

    def place(
        self,
        new: schemas.New{{ Entity }},
        request_id: str,
    ) -> schemas.{{ Entity }}:
        """Store a new {{ words }} with what is expected of it."""
        with self._sessions() as session:
            told = features.assemble(new, session)
        # No transaction is open here: no lock in the database ever waits for the model.
        forecast = self._forecaster.forecast(told, request_id)
        with self._sessions.begin() as session:
            row = tables.{{ Entity }}(
{%- for feature in cookiecutter.features.split() %}{% set name = feature.split(':')[0] %}
                {{ name }}=new.{{ name }},
{%- endfor %}
            )
            session.add(row)
            session.flush()
            expected = forecast.prediction
            prediction = tables.Prediction(
                {{ entity }}_id=row.id,
                features=told.model_dump(),
                expected=expected and expected.{{ target }},
{%- if cookiecutter.__task != 'regression' %}
                probabilities=expected and expected.probabilities,
{%- endif %}
                served_by=forecast.served_by,
                model_version=forecast.version,
                latency_ms=forecast.latency_ms,
                request_id=request_id,
            )
            session.add(prediction)
        return _answer(row, prediction)

    def look_up(self, number: int) -> schemas.{{ Entity }}:
        """What is known of the {{ words }} with this number.

        Raises:
            Unknown: there is none.
        """
        with self._sessions() as session:
            return _answer(*_find(session, number))

    def record(
        self,
        number: int,
        outcome: schemas.Outcome,
    ) -> schemas.{{ Entity }}:
        """Store how it turned out.

        Raises:
            Unknown: there is none with this number.
            Recorded: its outcome is known already.
        """
        table = tables.{{ Entity }}
        with self._sessions.begin() as session:
            # One statement finds and changes the row, so that of two callers only one succeeds.
            changed = session.scalar(
                update(table)
                .where(table.id == number, table.recorded_at.is_(None))
                .values(
                    {{ target }}=outcome.{{ target }},
                    recorded_at=tables.now(),
                )
                .returning(table.id)
            )
            row, prediction = _find(session, number)
            if changed is None:
                raise Recorded("The outcome is known already, and does not change.")
            prediction.outcome = outcome.{{ target }}
        return _answer(row, prediction)


def _find(
    session: Session,
    number: int,
) -> tuple[tables.{{ Entity }}, tables.Prediction]:
    row, prediction = tables.{{ Entity }}, tables.Prediction
    found = session.execute(
        select(row, prediction)
        .join(prediction, prediction.{{ entity }}_id == row.id)
        .where(row.id == number)
        .order_by(prediction.id)
    ).first()
    if found is None:
        raise Unknown(f"There is no {{ words }} {number}.")
    return found[0], found[1]


def _answer(
    row: tables.{{ Entity }},
    prediction: tables.Prediction,
) -> schemas.{{ Entity }}:
    return schemas.{{ Entity }}(
        id=row.id,
        type="{{ entity }}",
{%- for feature in cookiecutter.features.split() %}{% set name = feature.split(':')[0] %}
        {{ name }}=row.{{ name }},
{%- endfor %}
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
