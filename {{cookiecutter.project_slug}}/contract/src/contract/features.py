{%- set kinds = {'float': 'Float', 'int': 'Int', 'bool': 'Bool', 'category': 'Category', 'datetime': 'Datetime'} -%}
{%- set entity = cookiecutter.entity.replace('_', ' ') -%}
"""The features: what callers send, what the service looks up, and what is derived from both.

A derived feature is a field of `Derived` and a line in `derive`, which training runs on every row
of the history and serving on every request.
"""

from pydantic import BaseModel, ConfigDict

from contract import types


class Fields(BaseModel):
    """A part of the features."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Inputs(Fields):
    """What callers send about one {{ entity }}."""
{% for feature in cookiecutter.features.split() %}{% set name, kind = feature.split(':') %}
    {{ name }}: types.{{ kinds[kind.rstrip('?')] }}{{ ' | None = None' if kind.endswith('?') }}
    """{{ name.replace('_', ' ').capitalize() }}."""
{% endfor %}

class LookedUp(Fields):
    """What the service's own database adds: `service/features.py` looks it up."""


class Derived(Fields):
    """What `derive` computes."""


def derive(inputs: Inputs, looked_up: LookedUp) -> Derived:
    """The derived features, for whatever values the types above allow."""
    return Derived()


class Features(Derived, LookedUp, Inputs):
    """All that the model predicts from."""


def assemble(inputs: Inputs, looked_up: LookedUp) -> Features:
    """The features of one {{ entity }}."""
    parts = (inputs, looked_up, derive(inputs, looked_up))
    return Features(**{name: value for part in parts for name, value in part})
