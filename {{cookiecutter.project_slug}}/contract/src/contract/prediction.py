{%- set kinds = {'float': 'Float', 'int': 'Float', 'bool': 'Bool', 'category': 'Category'} -%}
{%- set kind = kinds[cookiecutter.__target_kind] -%}
{%- set words = cookiecutter.__target.replace('_', ' ').capitalize() -%}
"""What the model answers."""

{% if cookiecutter.__task != 'regression' -%}
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
{%- else -%}
from pydantic import BaseModel, ConfigDict
{%- endif %}

from contract import types


class Prediction(BaseModel):
    """What the model expects of one {{ cookiecutter.entity.replace('_', ' ') }}."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    {{ cookiecutter.__target }}: types.{{ kind }}
    """{{ words }}: {{ 'what is expected' if cookiecutter.__task == 'regression' else 'what is most probable' }}."""
{%- if cookiecutter.__task != 'regression' %}

    probabilities: dict[str, Annotated[float, Field(strict=True, ge=0, le=1)]]
    """How probable each answer is; {{ 'the keys are "false" and "true"' if cookiecutter.__task == 'binary' else 'the keys are the classes' }}."""
{%- endif %}
