{%- set kinds = {'float': 'Float', 'int': 'Int', 'bool': 'Bool', 'category': 'Category'} -%}
{%- set kind = kinds[cookiecutter.__target_kind] -%}
{%- set Entity = cookiecutter.__entity_class -%}
{%- set entity = cookiecutter.entity.replace('_', ' ') -%}
{%- set Words = cookiecutter.__target.replace('_', ' ').capitalize() -%}
"""The JSON of the public API."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from contract import Inputs, examples, types
from service.tables import ServedBy


def _add_example(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Add the history's first row to a schema, cut down to the fields that the schema has."""
    for row in examples()[:1]:
        schema["examples"] = [{name: row[name] for name in row if name in model.model_fields}]


def _require_all(schema: dict[str, Any]) -> None:
    """Promise every field, also those that callers may leave out."""
    schema["required"] = list(schema["properties"])


class New{{ Entity }}(Inputs):
    """What callers send about a new {{ entity }}."""

    model_config = ConfigDict(json_schema_extra=_add_example)


class Outcome(BaseModel):
    """How one {{ entity }} turned out."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        json_schema_extra=_add_example,
    )

    {{ cookiecutter.__target }}: types.{{ kind }}
    """{{ Words }}: what really happened."""


class Metadata(BaseModel):
    """What was expected, and who predicted it."""

    model_config = ConfigDict(use_attribute_docstrings=True, protected_namespaces=())

    expected_{{ cookiecutter.__target }}: types.{{ 'Float' if cookiecutter.__task == 'regression' else kind }} | None
    """{{ Words }}, as expected; null when no model has answered."""
{% if cookiecutter.__task != 'regression' %}
    probabilities: dict[str, float] | None
    """How probable each value is; null when no model has ever answered."""
{% endif %}
    served_by: ServedBy
    """`model`; `fallback`, what the model recommends for when it cannot answer; or `none`."""

    model_version: str | None
    """The version of the model that the prediction comes from."""


class _Numbered(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    id: int
    """Its number."""

    type: Literal["{{ cookiecutter.entity }}"]
    """The kind of thing that it is."""


class {{ Entity }}(Inputs, _Numbered):
    """What is known of one {{ entity }}."""

    model_config = ConfigDict(extra="ignore", json_schema_extra=_require_all)

    {{ cookiecutter.__target }}: types.{{ kind }} | None
    """{{ Words }}: what really happened; null until then."""

    metadata: Metadata
    """What was expected."""
