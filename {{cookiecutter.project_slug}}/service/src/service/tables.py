{%- set kinds = {'float': 'float', 'int': 'int', 'bool': 'bool', 'category': 'str', 'datetime': 'datetime'} -%}
{%- set entity = cookiecutter.entity.replace('_', ' ') -%}
"""The tables of the service's own database."""

from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.orm import Mapped, mapped_column

ServedBy = Literal["model", "fallback", "none"]
"""Where a prediction comes from: the model; its fallback; or nowhere, before any has answered."""

SHADOW = "shadow"
"""Stands in place of these where nobody was served: it comes from a model that is tried out."""


class Moment(sa.TypeDecorator[datetime]):
    """A moment in UTC, with its time zone also where the database has none."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """To the database: in UTC."""
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """From the database: in UTC, whatever the session's time zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


class Base(orm.DeclarativeBase):
    """What all tables share: how Python's types are stored, and how constraints are named."""

    metadata = sa.MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "ix": "ix_%(table_name)s_%(column_0_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        int: sa.BigInteger(),
        float: sa.Double(),
        str: sa.String(200),
        datetime: Moment(),
        dict[str, Any]: sa.JSON(none_as_null=True),
    }


# SQLite numbers rows by itself only where the key is an INTEGER.
ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


class {{ cookiecutter.__entity_class }}(Base):
    """One {{ entity }}: what callers sent, and how it turned out."""

    __tablename__ = "{{ cookiecutter.__plural }}"

    id: Mapped[int] = mapped_column(ID, primary_key=True)
{%- for feature in cookiecutter.features.split() %}{% set name, kind = feature.split(':') %}
    {{ name }}: Mapped[{{ kinds[kind.rstrip('?')] }}{{ ' | None' if kind.endswith('?') }}]
{%- endfor %}
    {{ cookiecutter.__target }}: Mapped[{{ kinds[cookiecutter.__target_kind] }} | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    recorded_at: Mapped[datetime | None]


class Prediction(Base):
    """What was expected of one {{ entity }}, and how it turned out."""

    __tablename__ = "predictions"

    id: Mapped[int] = mapped_column(ID, primary_key=True)
    {{ cookiecutter.entity }}_id: Mapped[int] = mapped_column(
        sa.ForeignKey("{{ cookiecutter.__plural }}.id"),
        index=True,
    )
    features: Mapped[dict[str, Any]]
    expected: Mapped[{{ 'float' if cookiecutter.__task == 'regression' else kinds[cookiecutter.__target_kind] }} | None]
{%- if cookiecutter.__task != 'regression' %}
    probabilities: Mapped[dict[str, Any] | None]
{%- endif %}
    served_by: Mapped[ServedBy] = mapped_column(sa.String(200))
    model_version: Mapped[str | None]
    latency_ms: Mapped[float]
    request_id: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    outcome: Mapped[{{ kinds[cookiecutter.__target_kind] }} | None]


class ModelVersion(Base):
    """One version of the model that has answered, and its fallback for when it cannot."""

    __tablename__ = "model_versions"

    version: Mapped[str] = mapped_column(primary_key=True)
    signature: Mapped[str | None]
    fallback: Mapped[dict[str, Any] | None]
    first_seen: Mapped[datetime]
    last_seen: Mapped[datetime]


class IdempotencyKey(Base):
    """The key that a caller gave a request, and what that request placed."""

    __tablename__ = "idempotency_keys"

    caller: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    fingerprint: Mapped[str]
    {{ cookiecutter.entity }}_id: Mapped[int] = mapped_column(sa.ForeignKey("{{ cookiecutter.__plural }}.id"))
    created_at: Mapped[datetime] = mapped_column(index=True)
