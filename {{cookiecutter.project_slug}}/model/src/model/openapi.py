"""The private API as an OpenAPI 3.1 document, made of the contract.

One thing JSON Schema cannot say: `shape` must count the values of `data`, and all tensors must have
equally many rows.
"""

from typing import Any

from contract import FEATURES, MODEL_NAME, TARGET, Column, golden
from contract.tensors import PROBABILITIES
from contract.types import EXACT
from model.artifact import Manifest

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
POSITIVE: Schema = {"type": "integer", "minimum": 1}
VALUES: dict[str, Schema] = {
    "FP64": {"type": "number"},
    "INT64": {"type": "integer", "minimum": -EXACT, "maximum": EXACT},
    "BOOL": {"type": "boolean"},
    "BYTES": {
        "type": "string",
        "minLength": 1,
        "maxLength": 200,
        "pattern": "^[^\\x00-\\x1f\\x7f]+$",
    },
}


def document(manifest: Manifest) -> Schema:
    """The document of a server of this version."""
    model = "/v2/models/{name}"
    name = _parameter("name", MODEL_NAME)
    version = _parameter("version", manifest.version)
    models = {model: [name], model + "/versions/{version}": [name, version]}
    paths: Schema = {
        "/v2": _get("server", _object(name=STRING, version=STRING, extensions=_array(STRING))),
        "/v2/health/live": _get("live", _health(), security=[]),
        "/v2/health/ready": _get("ready", _health(), security=[]),
        "/openapi.json": _get("openapi", {"type": "object"}),
    }
    for path, parameters in models.items():
        one = {"parameters": parameters}
        suffix = "Version" if version in parameters else ""
        ready = _object(name=STRING, ready={"type": "boolean"})
        paths[path] = one | _get(f"model{suffix}", _metadata(), 404)
        paths[f"{path}/ready"] = one | _get(f"modelReady{suffix}", ready, 404)
        paths[f"{path}/infer"] = one | _infer(f"infer{suffix}")
    return {
        "openapi": "3.1.0",
        "info": {"title": f"{MODEL_NAME}, private", "version": manifest.version},
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Error": _object(error=STRING),
                "InferRequest": _request(),
                "InferResponse": _response(manifest),
            },
        },
        "security": [{"token": []}],
    }


def _infer(operation: str) -> Schema:
    content = {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/InferRequest"},
            "example": golden()[-1].request,
        }
    }
    answer = {"$ref": "#/components/schemas/InferResponse"}
    post = _operation(operation, answer, 400, 401, 404, 413, 415)
    return {"post": post | {"requestBody": {"required": True, "content": content}}}


def _request() -> Schema:
    known = [TARGET.name, *([PROBABILITIES] if TARGET.datatype != "FP64" else [])]
    each_once = [
        {
            "contains": {"properties": {"name": {"const": each.name}}, "required": ["name"]},
            "minContains": 0 if each.optional else 1,
            "maxContains": 1,
        }
        for each in FEATURES
    ]
    wanted: Schema = {
        "type": "object",
        "properties": {"name": {"enum": known}},
        "required": ["name"],
    }
    tensors = {"oneOf": [_input(each) for each in FEATURES]}
    return {
        "type": "object",
        "properties": {
            "id": STRING,
            "parameters": {"type": "object"},
            "inputs": {
                "type": "array",
                "items": tensors,
                "minItems": max(1, sum(not each.optional for each in FEATURES)),
                "maxItems": len(FEATURES),
                "allOf": each_once,
            },
            "outputs": _array(wanted),
        },
        "required": ["inputs"],
    }


def _input(column: Column) -> Schema:
    value = VALUES[column.datatype]
    if column.optional:
        value = {
            "anyOf": [value, {"type": "null"}, *([{"const": ""}] * (value == VALUES["BYTES"]))]
        }
    rows = [{"prefixItems": [POSITIVE]}, {"prefixItems": [POSITIVE, {"const": 1}]}]
    shapes = [
        {"type": "array", "items": False, "minItems": len(each["prefixItems"]), **each}
        for each in rows
    ]
    return {
        "title": column.name,
        **_object(
            name={"const": column.name},
            datatype={"const": column.datatype},
            shape={"anyOf": shapes},
            data={
                "anyOf": [
                    _array(value, minItems=1),
                    _array(_array(value, minItems=1, maxItems=1), minItems=1),
                ]
            },
        ),
    }


def _response(manifest: Manifest) -> Schema:
    data: list[tuple[str, str, Schema]] = [(TARGET.name, TARGET.datatype, VALUES[TARGET.datatype])]
    if manifest.classes is not None:
        data.append((PROBABILITIES, "FP64", {"type": "number", "minimum": 0, "maximum": 1}))
    outputs = [
        _object(
            name={"const": name},
            datatype={"const": datatype},
            shape=_array(POSITIVE),
            data=_array(value, minItems=1),
        )
        for name, datatype, value in data
    ]
    response = _object(
        model_name={"const": MODEL_NAME},
        model_version=STRING,
        parameters=_object(signature=STRING),
        outputs=_array({"oneOf": outputs}, minItems=1),
    )
    response["properties"]["id"] = STRING
    return response


def _metadata() -> Schema:
    tensor = _object(name=STRING, datatype=STRING, shape=_array({"type": "integer"}))
    return _object(
        name=STRING,
        versions=_array(STRING),
        platform=STRING,
        inputs=_array(tensor),
        outputs=_array(tensor),
        parameters=_object(signature=STRING, version=STRING, fallback={"type": "object"}),
    )


def _health() -> Schema:
    return _object(live={"type": "boolean"}, ready={"type": "boolean"})


def _get(operation: str, schema: Schema, *errors: int, **more: Any) -> Schema:
    refused = () if "security" in more else (401,)
    return {"get": _operation(operation, schema, *refused, *errors) | more}


def _operation(operation: str, schema: Schema, *errors: int) -> Schema:
    responses = {"200": _json("what was asked for", schema)}
    for status in errors:
        responses[str(status)] = _json("refused", {"$ref": "#/components/schemas/Error"})
    return {"operationId": operation, "responses": responses}


def _json(description: str, schema: Schema) -> Schema:
    return {
        "description": description,
        "headers": {"X-Request-ID": {"schema": STRING}},
        "content": {"application/json": {"schema": schema}},
    }


def _parameter(name: str, value: str) -> Schema:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "schema": {"type": "string", "enum": [value]},
    }


def _array(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}
