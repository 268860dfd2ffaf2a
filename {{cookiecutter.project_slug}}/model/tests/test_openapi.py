"""The document tells the truth: schemathesis tries it on the server."""

import copy
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from conftest import REQUEST, TOKENS
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.testclient import TestClient

from contract import FEATURES, MODEL_NAME
from model.openapi import document
from model.store import Store

AUTHORIZATION = {"Authorization": f"Bearer {TOKENS[0]}"}


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_server_does_what_the_document_says(mode: GenerationMode, client: TestClient) -> None:
    api = schemathesis.openapi.from_asgi("/openapi.json", client.app, headers=AUTHORIZATION)
    statuses: dict[str, set[int]] = {}
    for result in api.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        if mode is GenerationMode.POSITIVE or operation.body:
            statuses[operation.label] = _try(operation.as_strategy(mode))
    if mode is GenerationMode.POSITIVE:
        assert len(statuses) == 9  # all but the document itself
        # That a `shape` counts its `data` is luck; a request that does is asked further down.
        asked = [each for label, each in statuses.items() if not label.endswith("/infer")]
        assert len(asked) == 7
        assert all(200 in each for each in asked), statuses
    else:
        assert all(400 in each for each in statuses.values()), statuses


def _try(cases: SearchStrategy[Case[Any]]) -> set[int]:
    """The statuses of some cases, each of which went as the document says."""
    statuses: set[int] = set()

    @settings(
        max_examples=20,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def check(case: Case[Any]) -> None:
        # A `shape` that does not count its `data` fits the document, and is refused.
        response = case.call_and_validate(
            headers=AUTHORIZATION, excluded_checks=[positive_data_acceptance]
        )
        statuses.add(response.status_code)

    check()
    return statuses


@pytest.mark.parametrize("position", range(len(FEATURES)), ids=[each.name for each in FEATURES])
def test_the_document_knows_each_features_type(position: int, store: Store) -> None:
    schema = document(store.read())["components"]["schemas"]["InferRequest"]
    request = copy.deepcopy(REQUEST)
    tensor = request["inputs"][position]
    for value, fits in (({}, False), (None, FEATURES[position].optional)):
        tensor["data"][1] = value
        assert jsonschema_rs.is_valid(schema, request) is fits
    del request["inputs"][position]
    fits = FEATURES[position].optional and len(FEATURES) > 1
    assert jsonschema_rs.is_valid(schema, request) is fits


def test_the_document_fits_what_is_said(client: TestClient, store: Store) -> None:
    whole = document(store.read())
    schemas = whole["components"]["schemas"]
    jsonschema_rs.validate(schemas["InferRequest"], REQUEST)
    answer = client.post(f"/v2/models/{MODEL_NAME}/infer", json=REQUEST).json()
    jsonschema_rs.validate(schemas["InferResponse"], answer)
    assert not jsonschema_rs.is_valid(schemas["InferRequest"], {"inputs": []})
    assert client.get("/openapi.json").json() == whole
