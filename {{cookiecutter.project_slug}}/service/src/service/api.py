{%- set entity = cookiecutter.entity.replace('_', ' ') -%}
{%- set Entity = cookiecutter.__entity_class -%}
{%- set plural = cookiecutter.__plural -%}
"""The public routes: parse, call, answer."""

from typing import Annotated, Any

from flask import abort, g
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, ConfigDict, Field
from werkzeug.routing import IntegerConverter, ValidationError

from service import {{ [plural, 'schemas'] | sort | join(', ') }}
from service.errors import responses

BODY = (400, 413, 415, 422)
"""What is answered to a body that is not as it should be."""

ROW = (404, 503)
"""What is answered when a row is not there, or the database is not."""

LARGEST = 2**63 - 1
"""The largest number that the database gives."""


class IdConverter(IntegerConverter):
    """The number of a row in a path; what cannot be one is no path of ours."""

    regex = "[1-9][0-9]{0,18}"

    def to_python(self, value: str) -> int:
        """The number, or no match."""
        if int(value) > LARGEST:
            raise ValidationError
        return int(value)


class Where(BaseModel):
    """What stands in the path."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: Annotated[int, Field(ge=1, le=LARGEST)]
    """The number of the {{ entity }}."""


def routes(use_cases: {{ plural }}.UseCases) -> APIBlueprint:
    """The routes of the product."""
    api = APIBlueprint(
        "{{ plural }}",
        __name__,
        abp_tags=[{"name": "{{ plural }}"}],
    )

    @api.post(
        "/{{ plural }}",
        responses=responses(201, schemas.{{ Entity }}, *BODY, 503),
    )
    def place(body: schemas.New{{ Entity }}) -> Any:
        """Place a new {{ entity }} and say what is expected of it."""
        answer = use_cases.place(body, g.request_id)
        headers = {"Location": f"/{{ plural }}/{answer.id}"}
        return answer.model_dump(), 201, headers

    @api.get(
        "/{{ plural }}/<id:id>",
        responses=responses(200, schemas.{{ Entity }}, *ROW),
    )
    def look_up(path: Where) -> Any:
        """What is known of one {{ entity }}."""
        try:
            return use_cases.look_up(path.id).model_dump()
        except {{ plural }}.Unknown as error:
            abort(404, str(error))

    @api.post(
        "/{{ plural }}/<id:id>/outcome",
        responses=responses(200, schemas.{{ Entity }}, *BODY, *ROW, 409),
    )
    def record(path: Where, body: schemas.Outcome) -> Any:
        """Record how one {{ entity }} turned out."""
        try:
            return use_cases.record(path.id, body).model_dump()
        except {{ plural }}.Unknown as error:
            abort(404, str(error))
        except {{ plural }}.Recorded as error:
            abort(409, str(error))

    return api
