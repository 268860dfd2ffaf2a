{%- set entity = cookiecutter.entity.replace('_', ' ') -%}
"""The model's input features: what callers sent, what the database adds, what follows from both."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from contract import Derived, Features, Inputs, LookedUp, assemble


def look_up(inputs: Inputs, session: Session) -> LookedUp:
    """What the service's own database adds to a new {{ entity }}.

    Each field of `contract.LookedUp` gets its value here, and nowhere else::

        table = tables.{{ cookiecutter.__entity_class }}
        earlier = select(func.count()).where(table.created_at > since)
        return LookedUp(earlier=session.scalar(earlier))

    A feature that needs no database is a field of `contract.Derived` instead.
    """
    return LookedUp()


def model_features(inputs: Inputs, session: Session) -> Features:
    """All that the model predicts from for one {{ entity }}."""
    return assemble(inputs, look_up(inputs, session))


def skewed(served: Mapping[str, Any]) -> list[str]:
    """Those derived features that are another value now than when they were served.

    Args:
        served: the features as the database has them.

    Raises:
        Exception: whatever `derive` does, or they were served by an earlier contract.
    """
    inputs, looked_up = (
        {name: served[name] for name in part.model_fields if name in served}
        for part in (Inputs, LookedUp)
    )
    now = assemble(Inputs(**inputs), LookedUp(**looked_up)).model_dump(mode="json")
    return [name for name in Derived.model_fields if served.get(name, now[name]) != now[name]]
