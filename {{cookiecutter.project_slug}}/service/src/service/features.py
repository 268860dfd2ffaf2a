"""What the model is told: assembled here, and nowhere else."""

from sqlalchemy.orm import Session

from contract import Features
from service.schemas import New{{ cookiecutter.__entity_class }}


def assemble(new: New{{ cookiecutter.__entity_class }}, session: Session) -> Features:
    """The features of a new {{ cookiecutter.entity.replace('_', ' ') }}.

    A raw feature is copied from the request. A derived one is computed here, from the request or
    from what the service's own database knows (ask `session`), and is a field of
    `contract.Features` only: what callers do not send stays out of `schemas`.
    """
    return Features(
{%- for feature in cookiecutter.features.split() %}{% set name = feature.split(':')[0] %}
        {{ name }}=new.{{ name }},
{%- endfor %}
    )
