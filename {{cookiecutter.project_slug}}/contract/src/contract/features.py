{%- set kinds = {'float': 'Float', 'int': 'Int', 'bool': 'Bool', 'category': 'Category'} -%}
{%- set used = [] -%}
{%- for feature in cookiecutter.features.split() -%}
{%- set kind = kinds[feature.split(':')[1].rstrip('?')] -%}
{%- if kind not in used %}{% set _ = used.append(kind) %}{% endif -%}
{%- endfor -%}
"""What the model is told."""

from pydantic import BaseModel, ConfigDict

from contract.types import {{ used | sort | join(', ') }}


class Features(BaseModel):
    """What the model is told about one {{ cookiecutter.entity.replace('_', ' ') }}."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
{% for feature in cookiecutter.features.split() %}{% set name, kind = feature.split(':') %}
    {{ name }}: {{ kinds[kind.rstrip('?')] }}{{ ' | None = None' if kind.endswith('?') }}
    """{{ name.replace('_', ' ').capitalize() }}."""
{% endfor -%}
