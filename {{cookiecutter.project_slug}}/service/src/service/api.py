{%- set entity = cookiecutter.entity.replace('_', ' ') -%}
{%- set Entity = cookiecutter.__entity_class -%}
{%- set plural = cookiecutter.__plural -%}
"""The public routes: parse, call, answer."""

from typing import Annotated, Any

from flask import abort, g, request
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, ConfigDict, Field
from werkzeug.routing import IntegerConverter, ValidationError

from service import idempotency, schemas, use_cases
from service.errors import responses

BODY = (400, 413, 415, 422)
"""The statuses of problems with a request's body."""

ROW = (404, 503)
"""The statuses when there is no such row, or no database."""

LARGEST_ID = 2**63 - 1
"""The largest key that the database gives."""


KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Makes it safe to repeat a request that may not have arrived: for some hours "
    "the same key, such as a UUID, gives the first answer again. Another body with it is a fault.",
    "schema": {"type": "string", "pattern": f"^(?:{idempotency.PATTERN})$"},
}
"""The header, for the OpenAPI document."""


class IdConverter(IntegerConverter):
    """The id of a row in a path; a path with anything else there is not found."""

    regex = "[1-9][0-9]{0,18}"

    def to_python(self, value: str) -> int:
        """The id, or no match."""
        if int(value) > LARGEST_ID:
            raise ValidationError
        return int(value)


class {{ Entity }}Path(BaseModel):
    """The parameters of a path."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: Annotated[int, Field(ge=1, le=LARGEST_ID)]
    """The number of the {{ entity }}."""


def routes(product: use_cases.UseCases) -> APIBlueprint:
    """The routes of the product."""
    api = APIBlueprint(
        "{{ plural }}",
        __name__,
        abp_tags=[{"name": "{{ plural }}"}],
    )

    @api.post(
        "/{{ plural }}",
        openapi_extensions={"parameters": [KEY]},
        responses=responses(201, schemas.{{ Entity }}, *BODY, 408, 503),
    )
    def place(body: schemas.New{{ Entity }}) -> Any:
        """Place a new {{ entity }} and say what is expected of it."""
        try:
            placed = product.place(body, g.context, _key())
        except use_cases.Abandoned as error:
            abort(408, str(error))
        except idempotency.KeyReused as error:
            abort(422, str(error))
        headers = {"Location": f"/{{ plural }}/{placed.id}"}
        return placed.model_dump(mode="json"), 201, headers

    @api.get(
        "/{{ plural }}/<id:id>",
        responses=responses(200, schemas.{{ Entity }}, *ROW),
    )
    def look_up(path: {{ Entity }}Path) -> Any:
        """What is known of one {{ entity }}."""
        try:
            return product.look_up(path.id).model_dump(mode="json")
        except use_cases.NotFound as error:
            abort(404, str(error))

    @api.post(
        "/{{ plural }}/<id:id>/outcome",
        responses=responses(200, schemas.{{ Entity }}, *BODY, *ROW, 409),
    )
    def record(path: {{ Entity }}Path, body: schemas.Outcome) -> Any:
        """Record how one {{ entity }} turned out."""
        try:
            return product.record(path.id, body).model_dump(mode="json")
        except use_cases.NotFound as error:
            abort(404, str(error))
        except use_cases.AlreadyRecorded as error:
            abort(409, str(error))

    return api


def _key() -> idempotency.Key | None:
    header = request.headers.get("Idempotency-Key")
    if header is None:
        return None
    try:
        return idempotency.Key.parse(getattr(g, "caller", ""), header)
    except ValueError as error:
        abort(400, str(error))
