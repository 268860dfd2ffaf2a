"""JSON in and out."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson
from starlette.responses import Response

from contract import ContractError


def parse(body: bytes) -> object:
    """The JSON of a body; raises ContractError if it is invalid."""
    with suppress(orjson.JSONDecodeError):
        return orjson.loads(body)
    # Either it is invalid, and this tells better why; or it holds NaN, as some clients write it.
    try:
        return json.loads(body)
    except RecursionError:
        raise ContractError("the body is nested too deeply") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ContractError(f"the body is not JSON: {error}") from None
    except ValueError:  # of an integer of more than 4,300 digits
        raise ContractError("the body holds an integer of too many digits") from None


def dump(content: Any) -> bytes:
    """The content as JSON."""
    try:
        return orjson.dumps(content)
    except TypeError:  # of half a surrogate pair in the caller's id, which JSON can only escape
        return json.dumps(content, allow_nan=False).encode()


def json_response(
    content: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A response in JSON."""
    return Response(dump(content), status, headers, "application/json")
