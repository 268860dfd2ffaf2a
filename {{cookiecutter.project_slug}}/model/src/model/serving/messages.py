"""JSON in and out."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson
from starlette.responses import Response

from contract import ContractError


def parse(body: bytes) -> object:
    """The JSON of a body; raises ContractError if it is invalid, or holds a key twice."""
    with suppress(orjson.JSONDecodeError):
        content = orjson.loads(body)
        # Each key has its colon. When there are no more of them, no key was lost for being repeated.
        if body.count(b":") == _count_keys(content):
            return content
    # A text holds a colon, or a key is there twice; or it holds NaN, as some clients write it; or
    # it is invalid, and this tells better why.
    try:
        return json.loads(body, object_pairs_hook=_unique)
    except RecursionError:
        raise ContractError("the body is nested too deeply") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ContractError(f"the body is not JSON: {error}") from None
    except ContractError:
        raise
    except ValueError:  # of an integer of more than 4,300 digits
        raise ContractError("the body holds an integer of too many digits") from None


def _count_keys(content: object) -> int:
    """How many keys there are where a request has them; any others are not counted."""
    if not isinstance(content, dict):
        return 0
    tensors = content.get("inputs")
    if not isinstance(tensors, list):
        return len(content)
    return len(content) + sum(len(each) for each in tensors if isinstance(each, dict))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for name, value in pairs:
        if name in content:
            raise ContractError(f"the key {name!r:.80} is there twice")
        content[name] = value
    return content


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
