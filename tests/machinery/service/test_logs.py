"""Request ids and log lines, in detail."""

import json
import re
from typing import Any

import pytest
from conftest import Service, settings
from structlog.contextvars import bind_contextvars, get_contextvars
from support import FakePredictor

from service.app import create_app

pytestmark = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


@pytest.fixture
def logged(service: Service, capfd: pytest.CaptureFixture[str]) -> Any:
    """A function that gives what the service has logged; it has to be restarted in the test."""
    return lambda: [json.loads(line) for line in capfd.readouterr().err.splitlines()]


@pytest.mark.parametrize("given", [None, "", "a b", "x" * 65, "é", "<script>", "a;b", '"'])
def test_a_strange_request_id_is_replaced(service: Service, given: str | None) -> None:
    headers = {} if given is None else {"X-Request-ID": given}
    seen = {service.client.get("/livez", headers=headers).headers["X-Request-ID"] for _ in "12"}
    assert len(seen) == 2
    assert all(len(each) == 32 and each.isalnum() for each in seen)


def test_a_line_has_nothing_of_the_request_before(service: Service, logged: Any) -> None:
    service.restart()
    bind_contextvars(left="over")
    service.client.get("/nowhere")
    (line,) = logged()
    assert "left" not in line
    assert get_contextvars() == {}


def test_lines_for_people(capfd: pytest.CaptureFixture[str], url: str) -> None:
    app = create_app(settings(database_url=url, log_format="console"), FakePredictor())
    app.test_client().get("/nowhere")
    text = re.sub(r"\x1b\[[0-9;]*m", "", capfd.readouterr().err)
    assert "path=/nowhere" in text
