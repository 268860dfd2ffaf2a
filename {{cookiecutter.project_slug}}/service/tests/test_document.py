"""The OpenAPI document tells the truth, and the page that shows it asks nothing of other hosts."""

import re

import pytest
import schemathesis
from conftest import Service
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import from_schema
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished
from support import NEW, OUTCOME, PATH

from contract import examples


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_every_answer_is_as_the_document_says(service: Service) -> None:
    for _ in range(20):
        service.post(NEW)
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
                if check.failure_info:
                    case = event.recorder.cases[number].value
                    faults.append(
                        f"{check.failure_info.failure}\n{case.as_curl_command()}\n"
                        f"{exchange.response.content.decode()[:500]}"
                    )
    assert not faults, "\n".join(faults)
    assert statuses >= {200, 201, 400, 404, 405, 409, 415, 422}
    assert 500 not in statuses


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_the_document_promises_what_each_route_may_answer(service: Service) -> None:
    document = service.client.get("/openapi.json").json
    assert document
    promised = {
        (method, path): " ".join(sorted(operation["responses"]))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert promised == {
        ("post", PATH): "201 400 413 415 422 500 503",
        ("get", PATH + "/{id}"): "200 404 500 503",
        ("post", PATH + "/{id}/outcome"): "200 400 404 409 413 415 422 500 503",
        ("get", "/livez"): "200 500",
        ("get", "/readyz"): "200 500 503",
    }


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_examples_come_from_the_history(service: Service) -> None:
    document = service.client.get("/openapi.json").json
    assert document
    row = examples()[0]
    schemas = document["components"]["schemas"]
    shown = [each["examples"] for each in schemas.values() if "examples" in each]
    assert len(shown) == 2
    for body in (NEW, OUTCOME):
        assert [{name: row[name] for name in body}] in shown


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_the_page_asks_nothing_of_other_hosts(service: Service) -> None:
    page = service.client.get("/docs")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "//" not in page.text
    assert "<script>" not in page.text
    links = re.findall(r'(?:href|src)="([^"]+)"', page.text)
    types = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    assert len(links) == 4
    for link in links:
        part = service.client.get(f"/{link}")
        assert (part.status_code, part.mimetype) == (200, types[link.rsplit(".")[-1]])
        assert len(part.data) > 50
        part.close()
    for link in ("docs/../../__init__.py", "docs/%2e%2e/%2e%2e/__init__.py", "docs/nothing.js"):
        assert service.client.get(f"/{link}").status_code == 404
