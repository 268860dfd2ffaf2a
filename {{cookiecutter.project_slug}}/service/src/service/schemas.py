{%- set kinds = {'float': 'Float', 'int': 'Int', 'bool': 'Bool', 'category': 'Category'} -%}
{%- set entity = cookiecutter.entity.replace('_', ' ') -%}
{%- set Words = cookiecutter.__target.replace('_', ' ').capitalize() -%}
{%- set used = [kinds[cookiecutter.__target_kind]] -%}
{%- if cookiecutter.__task == 'regression' and 'Float' not in used %}{% set _ = used.append('Float') %}{% endif -%}
{%- for feature in cookiecutter.features.split() -%}
{%- set kind = kinds[feature.split(':')[1].rstrip('?')] -%}
{%- if kind not in used %}{% set _ = used.append(kind) %}{% endif -%}
{%- endfor -%}
"""The JSON that the public API speaks."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from contract import examples
from contract.types import {{ used | sort | join(', ') }}

ServedBy = Literal["model", "fallback", "none"]
"""Who answered: the model, what its training data recommends for when it cannot, or nobody."""


def _add_example(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Add the history's first row to a schema, cut down to the fields that the schema has."""
    for row in examples()[:1]:
        schema["examples"] = [{name: row[name] for name in row if name in model.model_fields}]


class New{{ cookiecutter.__entity_class }}(BaseModel):
    """What is told about a new {{ entity }}."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        json_schema_extra=_add_example,
    )
{% for feature in cookiecutter.features.split() %}{% set name, kind = feature.split(':') %}
    {{ name }}: {{ kinds[kind.rstrip('?')] }}{{ ' | None = None' if kind.endswith('?') }}
    """{{ name.replace('_', ' ').capitalize() }}."""
{% endfor %}

class Outcome(BaseModel):
    """How one {{ entity }} turned out."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        json_schema_extra=_add_example,
    )

    {{ cookiecutter.__target }}: {{ kinds[cookiecutter.__target_kind] }}
    """{{ Words }}: what really happened."""


class Metadata(BaseModel):
    """What was expected, and who said so."""

    model_config = ConfigDict(use_attribute_docstrings=True, protected_namespaces=())

    expected_{{ cookiecutter.__target }}: {{ 'Float' if cookiecutter.__task == 'regression' else kinds[cookiecutter.__target_kind] }} | None
    """{{ Words }}, as expected; null when no model was ever seen."""
{% if cookiecutter.__task != 'regression' %}
    probabilities: dict[str, float] | None
    """How probable each value is; null when no model was ever seen."""
{% endif %}
    served_by: ServedBy
    """Who answered: the model, or what it recommends for when it cannot; none if never seen."""

    model_version: str | None
    """The version of the model that this comes from."""


class {{ cookiecutter.__entity_class }}(BaseModel):
    """What is known of one {{ entity }}."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: int
    """Its number."""

    type: Literal["{{ cookiecutter.entity }}"]
    """What it is."""
{% for feature in cookiecutter.features.split() %}{% set name, kind = feature.split(':') %}
    {{ name }}: {{ kinds[kind.rstrip('?')] }}{{ ' | None' if kind.endswith('?') }}
    """{{ name.replace('_', ' ').capitalize() }}."""
{% endfor %}
    {{ cookiecutter.__target }}: {{ kinds[cookiecutter.__target_kind] }} | None
    """{{ Words }}: what really happened; null until then."""

    metadata: Metadata
    """What was expected."""
