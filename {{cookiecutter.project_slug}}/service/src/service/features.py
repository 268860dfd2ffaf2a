{%- set entity = cookiecutter.entity.replace('_', ' ') -%}
"""The model's input features: what callers sent, what the database adds, what follows from both."""

from sqlalchemy.orm import Session

from contract import Features, Inputs, LookedUp, assemble


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
