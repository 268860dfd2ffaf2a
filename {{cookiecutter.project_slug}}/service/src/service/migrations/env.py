"""How Alembic runs: on the connection that the `service` command gives it."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import TypeDecorator

from service.tables import Base


def render(kind: str, item: Any, _: Any) -> str | Literal[False]:
    """How a migration writes a type of our own: as what it is in the database, for good."""
    is_ours = kind == "type" and isinstance(item, TypeDecorator)
    return f"sa.{item.impl_instance!r}" if is_ours else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    render_item=render,
    transaction_per_migration=True,  # no lock is held for longer than one of them takes
)
with context.begin_transaction():
    context.run_migrations()
