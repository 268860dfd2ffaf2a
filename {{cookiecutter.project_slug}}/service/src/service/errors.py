"""Errors for callers: problem details (RFC 9457) that name the fields at fault."""

import json
from collections import Counter
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Request, Response, g
from flask import request as current
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    RequestEntityTooLarge,
    UnprocessableEntity,
    UnsupportedMediaType,
)

from contract.types import VISIBLE

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
MAX_FIELDS = 1000
"""The most fields that a body may have."""

MAX_FAULTS = 100
"""The most faults that one problem lists."""

MAX_NAME_CHARACTERS = 100
"""How much of a field's name a problem repeats."""

PLAIN = {
    f"String should match pattern '{VISIBLE}'": (
        "String should not contain control characters or invisible ones"
    ),
    "Input should be a valid string, unable to parse raw data as a unicode string": (
        "Text should not contain half a character (a lone surrogate)"
    ),
}
"""Messages of pydantic, and what stands in their place."""


class Fault(BaseModel):
    """One invalid field."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    field: str
    """The field's name; `body` where the fault is not in one field."""

    fault: str
    """What is wrong with it."""


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str
    """`about:blank`: the status says which kind of problem it is."""

    title: str
    """The status in words."""

    status: int
    """The status of the response."""

    detail: str
    """What went wrong this time."""

    request_id: str
    """The id of the request, in the service's logs as well."""

    errors: list[Fault] | None = None
    """The invalid fields."""

    checks: dict[str, str] | None = None
    """For readiness: the result of each check."""


class StrictRequest(Request):
    """A request whose body has to be a JSON object."""

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """The object in the body; the flags are Flask's, and have no effect.

        Raises:
            werkzeug.exceptions.HTTPException: 415, 413 or 400.
        """
        if self.mimetype != "application/json":
            raise UnsupportedMediaType("The body must be of the type application/json.")
        data = self.get_data()
        try:
            body = json.loads(data.decode(), object_pairs_hook=_unique)
        except (ValueError, RecursionError):
            raise BadRequest("The body is not JSON.") from None
        if not isinstance(body, dict):
            raise BadRequest("The body is JSON, but not an object.")
        if len(body) > MAX_FIELDS:  # each would be explained
            raise UnprocessableEntity(f"The body must not have more than {MAX_FIELDS} fields.")
        return body


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    if len(body) < len(pairs):
        ((name, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise BadRequest(f"The field {name[:MAX_NAME_CHARACTERS]!r} is given more than once.")
    return body


def problem(status: int, detail: str, **more: Any) -> Response:
    """The response to a request that failed."""
    body = Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        request_id=g.request_id,
        **more,
    )
    text = json.dumps(body.model_dump(exclude_none=True))
    return Response(text, status, mimetype=MEDIA_TYPE)


def invalid(error: ValidationError) -> Response:
    """The response to a body with invalid fields: 422, with a fault for each of them."""
    faults = [
        Fault(
            field=".".join(map(str, each["loc"] or ["body"]))[:MAX_NAME_CHARACTERS],
            fault=PLAIN.get(each["msg"], each["msg"]),
        )
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    names = ", ".join(fault.field for fault in faults[:5])
    return problem(422, f"Invalid fields: {names}.", errors=faults[:MAX_FAULTS])


def responses(success: int, schema: type[BaseModel], *problems: int) -> dict[Any, Any]:
    """The responses of a route for the OpenAPI document; 500 is always one of them."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {success: schema} | {status: {"content": content} for status in (*problems, 500)}


def install(app: Flask) -> None:
    """Turn every error into problem details, and log those that are the service's own."""

    @app.errorhandler(HTTPException)
    def expected(error: HTTPException) -> Response:
        response = problem(error.code or 500, error.description or "")
        for name, value in error.get_headers(current.environ):
            if name.lower() not in ("content-type", "content-length"):
                response.headers[name] = value
        return response

    @app.errorhandler(RequestEntityTooLarge)
    def too_large(error: RequestEntityTooLarge) -> Response:
        limit = app.config["MAX_CONTENT_LENGTH"]
        return problem(413, f"The body must not have more than {limit} bytes.")

    @app.errorhandler(DBAPIError)
    @app.errorhandler(PoolTimeoutError)
    def database(error: Exception) -> Response:
        if isinstance(error, IntegrityError | DataError):
            return unexpected(error)
        log.error("database failed", exc_info=error)
        response = problem(503, "The database cannot be used at the moment.")
        response.headers["Retry-After"] = "1"
        return response

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        log.error("request failed", exc_info=error)
        return problem(500, "Something went wrong here.")
