"""Every error that a caller sees: problem details (RFC 9457) that name the field."""

import json
from collections import Counter
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Request, Response, g
from flask import request as current
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy.exc import InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    RequestEntityTooLarge,
    UnsupportedMediaType,
)

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
MOST_FAULTS = 100
"""Faults that one answer names at most, and characters of a field's name that it repeats."""


PLAIN = {
    r"String should match pattern '^[^\x00-\x1f\x7f]+$'": (
        "String should not contain control characters"
    ),
    "Input should be a valid string, unable to parse raw data as a unicode string": (
        "Text should not contain half a character (a lone surrogate)"
    ),
}
"""Pydantic's words for some faults, and those that callers are told instead."""


class Fault(BaseModel):
    """One field that is wrong."""

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
    """The number under which the service's logs speak of it."""

    errors: list[Fault] | None = None
    """The fields that are wrong."""

    checks: dict[str, str] | None = None
    """For readiness: what each check found."""


class StrictRequest(Request):
    """A request whose body is a JSON object, or is refused."""

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """The object, parsed by the book; the flags are Flask's, and change nothing here.

        Raises:
            werkzeug.exceptions.HTTPException: 415, 413 or 400.
        """
        if self.mimetype != "application/json":
            raise UnsupportedMediaType("The body must be of the type application/json.")
        data = self.get_data()
        if "wsgi.input_terminated" in self.environ and self.environ["wsgi.input"].read(1):
            # Werkzeug cuts a body of unknown length at the limit and says nothing.
            raise RequestEntityTooLarge
        try:
            body = json.loads(data.decode(), object_pairs_hook=_once)
        except (ValueError, RecursionError):
            raise BadRequest("The body is not JSON.") from None
        if not isinstance(body, dict):
            raise BadRequest("The body is JSON, but not an object.")
        return body


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    if len(body) < len(pairs):
        ((name, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise BadRequest(f"The field {name[:MOST_FAULTS]!r} is given more than once.")
    return body


def problem(status: int, detail: str, **more: Any) -> Response:
    """The answer to a request that failed."""
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
    """The answer to a body whose fields are wrong: 422, with each of them named."""
    faults = [
        Fault(
            field=".".join(map(str, each["loc"] or ["body"]))[:MOST_FAULTS],
            fault=PLAIN.get(each["msg"], each["msg"]),
        )
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    names = ", ".join(fault.field for fault in faults[:5])
    return problem(422, f"Not as it should be: {names}.", errors=faults[:MOST_FAULTS])


def responses(success: int, schema: type[BaseModel], *problems: int) -> dict[Any, Any]:
    """What a route may answer, for the OpenAPI document; 500 goes without saying."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {success: schema} | {status: {"content": content} for status in (*problems, 500)}


def install(app: Flask) -> None:
    """Turn every error into problem details, and log those that are ours."""

    @app.errorhandler(HTTPException)
    def expected(error: HTTPException) -> Response:
        answer = problem(error.code or 500, error.description or "")
        for name, value in error.get_headers(current.environ):
            if name.lower() not in ("content-type", "content-length"):
                answer.headers[name] = value
        return answer

    @app.errorhandler(RequestEntityTooLarge)
    def too_large(error: RequestEntityTooLarge) -> Response:
        most = app.config["MAX_CONTENT_LENGTH"]
        return problem(413, f"The body must not have more than {most} bytes.")

    @app.errorhandler(OperationalError)
    @app.errorhandler(InterfaceError)
    @app.errorhandler(ProgrammingError)  # a table is missing: not migrated
    @app.errorhandler(PoolTimeoutError)
    def database(error: Exception) -> Response:
        log.error("database failed", exc_info=error)
        return problem(503, "The database cannot be used at the moment.")

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        log.error("request failed", exc_info=error)
        return problem(500, "Something went wrong here.")
