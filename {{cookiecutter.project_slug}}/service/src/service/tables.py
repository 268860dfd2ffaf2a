{%- set kinds = {'float': 'float', 'int': 'int', 'bool': 'bool', 'category': 'str'} -%}
{%- set entity = cookiecutter.entity.replace('_', ' ') -%}
"""The tables of the service's own database."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Integer,
    MetaData,
    String,
    TypeDecorator,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from service.schemas import ServedBy


class Moment(TypeDecorator[datetime]):
    """A moment in UTC, aware of it also where the database has no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database: in UTC."""
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database: in UTC, whatever the session's time zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """What all tables share: how Python's types are stored, and how constraints are named."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "ix": "ix_%(table_name)s_%(column_0_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        int: BigInteger(),
        float: Double(),
        str: String(200),
        datetime: Moment(),
        dict[str, Any]: JSON(none_as_null=True),
    }


# SQLite numbers rows by itself only where the key is an INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")


class {{ cookiecutter.__entity_class }}(Base):
    """One {{ entity }}, as it was told and as it turned out."""

    __tablename__ = "{{ cookiecutter.__plural }}"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
{%- for feature in cookiecutter.features.split() %}{% set name, kind = feature.split(':') %}
    {{ name }}: Mapped[{{ kinds[kind.rstrip('?')] }}{{ ' | None' if kind.endswith('?') }}]
{%- endfor %}
    {{ cookiecutter.__target }}: Mapped[{{ kinds[cookiecutter.__target_kind] }} | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    recorded_at: Mapped[datetime | None]


class Prediction(Base):
    """What was expected of one {{ entity }}, and how it turned out."""

    __tablename__ = "predictions"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    {{ cookiecutter.entity }}_id: Mapped[int] = mapped_column(
        ForeignKey("{{ cookiecutter.__plural }}.id"),
        index=True,
    )
    features: Mapped[dict[str, Any]]
    expected: Mapped[{{ 'float' if cookiecutter.__task == 'regression' else kinds[cookiecutter.__target_kind] }} | None]
{%- if cookiecutter.__task != 'regression' %}
    probabilities: Mapped[dict[str, Any] | None]
{%- endif %}
    served_by: Mapped[ServedBy] = mapped_column(String(200))
    model_version: Mapped[str | None]
    latency_ms: Mapped[float]
    request_id: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    outcome: Mapped[{{ kinds[cookiecutter.__target_kind] }} | None]


class ModelVersion(Base):
    """One version of the model that was seen, and what it recommends for when it cannot answer."""

    __tablename__ = "model_versions"

    version: Mapped[str] = mapped_column(primary_key=True)
    signature: Mapped[str | None]
    fallback: Mapped[dict[str, Any] | None]
    first_seen: Mapped[datetime]
    last_seen: Mapped[datetime]
