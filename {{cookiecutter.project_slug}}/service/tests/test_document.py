"""The OpenAPI document tells the truth."""

from typing import Any

import pytest
import schemathesis
from conftest import Service
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import from_schema
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished
from support import EXAMPLES, NEW, PATH

from contract import TARGET, examples

pytestmark = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


@pytest.fixture
def document(service: Service) -> Any:
    return service.client.get("/openapi.json").json


@pytest.mark.slow
def test_every_answer_is_as_the_document_says(service: Service) -> None:
    for _ in range(20):
        service.place()
    service.app.extensions["readiness"].check_now()
    config = SchemathesisConfig()
    config.projects.default.generation.update(max_examples=30, deterministic=True, database="none")
    schema = schemathesis.openapi.from_wsgi("/openapi.json", service.app, config=config)
    faults: list[str] = []
    statuses: set[int] = set()
    for event in from_schema(schema).execute():
        if isinstance(event, FatalError | NonFatalError):
            faults.append(repr(event))
        if not isinstance(event, ScenarioFinished):
            continue
        for number, exchange in event.recorder.interactions.items():
            assert exchange.response
            statuses.add(exchange.response.status_code)
            for check in event.recorder.checks.get(number, []):
                body = exchange.response.content.decode()[:500]
                if check.failure_info and "came with another body" not in body:
                    case = event.recorder.cases[number].value
                    faults.append(f"{check.failure_info.failure}\n{case.as_curl_command()}\n{body}")
    assert not faults, "\n".join(faults)
    assert statuses >= {200, 201, 400, 404, 405, 409, 415, 422}
    assert 500 not in statuses


def test_the_document_promises_what_each_route_may_answer(document: Any) -> None:
    promised = {
        (method, path): " ".join(sorted(operation["responses"]))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert promised == {
        ("post", PATH): "201 400 408 413 415 422 500 503",
        ("get", PATH + "/{id}"): "200 404 500 503",
        ("post", PATH + "/{id}/outcome"): "200 400 404 409 413 415 422 500 503",
        ("get", "/livez"): "200 500",
        ("get", "/readyz"): "200 500 503",
    }


def test_the_root_leads_to_the_page_which_tells_what_else_there_is(
    service: Service, document: Any
) -> None:
    response = service.client.get("/")
    assert (response.status_code, response.location) == (302, "docs")
    assert "Cache-Control" not in response.headers
    page = service.client.get("/", follow_redirects=True)
    assert (page.request.path, page.mimetype) == ("/docs", "text/html")
    assert "`/readyz`" in document["info"]["description"]


def test_an_answer_has_every_field_and_the_examples_come_from_the_history(document: Any) -> None:
    schemas = document["components"]["schemas"]
    fields = {"id", "type", *NEW, TARGET.name, "metadata"}
    assert any(fields <= {*schema.get("required", ())} for schema in schemas.values())
    shown = [schema["examples"] for schema in schemas.values() if "examples" in schema]
    outcome = {TARGET.name: examples()[0][TARGET.name]}
    assert shown in ([[EXAMPLES[0]], [outcome]], [[outcome], [EXAMPLES[0]]])
