{%- set kinds = {'float': 'Float', 'int': 'Float', 'bool': 'Bool', 'category': 'Category'} -%}
{%- set kind = kinds[cookiecutter.__target_kind] -%}
"""What the model answers."""
{% if cookiecutter.__task == 'regression' %}
from pydantic import BaseModel, ConfigDict

from contract.types import Float


class Prediction(BaseModel):
    """What the model expects of one {{ cookiecutter.entity.replace('_', ' ') }}."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    {{ cookiecutter.__target }}: Float
    """{{ cookiecutter.__target.replace('_', ' ').capitalize() }}: what is expected."""
{%- else %}
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from contract.types import {{ kind }}

Probability = Annotated[float, Field(strict=True, ge=0, le=1)]


class Prediction(BaseModel):
    """What the model expects of one {{ cookiecutter.entity.replace('_', ' ') }}."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    {{ cookiecutter.__target }}: {{ kind }}
    """{{ cookiecutter.__target.replace('_', ' ').capitalize() }}: what is most probable."""

    probabilities: dict[str, Probability]
    """How probable each answer is; {{ 'the keys are "false" and "true"' if cookiecutter.__task == 'binary' else 'the keys are the classes' }}."""
{%- endif %}
