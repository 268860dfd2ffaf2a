"""What both products share: the schema of a request, the two tables, and an order placed."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import JSON, ForeignKey, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

THREADS = 8


class NewOrder(BaseModel):
    model_config = ConfigDict(extra="forbid")

    hour: float
    day: str
    distance: float
    items: int


class Base(DeclarativeBase):
    """The tables, as this template's service has them."""


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    hour: Mapped[float]
    day: Mapped[str]
    distance: Mapped[float]
    items: Mapped[int]
    wait_seconds: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    recorded_at: Mapped[datetime | None]


class Prediction(Base):
    __tablename__ = "predictions"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), index=True)
    features: Mapped[dict[str, Any]] = mapped_column(JSON)
    expected: Mapped[float]
    served_by: Mapped[str]
    model_version: Mapped[str]
    latency_ms: Mapped[float]
    created_at: Mapped[datetime] = mapped_column(default=now)
    outcome: Mapped[float | None]


def connect() -> sessionmaker[Session]:
    """Sessions of the database at DATABASE_URL, with the tables made and connections pooled."""
    url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url, pool_size=THREADS, max_overflow=0)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def set_pragmas(connection: Any, _: Any) -> None:
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000"):
                connection.execute(f"PRAGMA {pragma}")
            connection.execute("PRAGMA foreign_keys=ON")

    Base.metadata.create_all(engine)
    return sessionmaker(engine, expire_on_commit=False)


def place(
    new: NewOrder, sessions: sessionmaker[Session], predict: Callable[[dict[str, Any]], float]
) -> dict[str, Any]:
    """Predict, then store the order and its prediction in one transaction; the order as JSON."""
    features = new.model_dump()
    start = time.perf_counter()
    expected = predict(features)
    prediction = Prediction(
        features=features,
        expected=expected,
        served_by="model",
        model_version=os.environ["MODEL_FILE"],
        latency_ms=(time.perf_counter() - start) * 1e3,
    )
    with sessions.begin() as session:
        order = Order(**features)
        session.add(order)
        session.flush()
        prediction.order_id = order.id
        session.add(prediction)
    return {
        "id": order.id,
        "type": "order",
        **features,
        "wait_seconds": None,
        "metadata": {
            "expected_wait_seconds": expected,
            "served_by": prediction.served_by,
            "model_version": prediction.model_version,
        },
    }
