"""Whatever callers send: problem details that name the field, and nothing is stored."""

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Service
from support import NEW, OUTCOME, PATH, PLURAL, SENT
from werkzeug.test import TestResponse

from contract import TARGET

WRONG: dict[str, list[Any]] = {
    "float": [True, "1.5", [1.5], {}, math.nan, math.inf, -math.inf, 10**400],
    "int": [True, 1.5, "3", [3], {}, math.nan, math.inf, 2**53 + 1, -(2**70), 10**400],
    "bool": [1, 0.0, "true", [], {}, math.nan, 10**400],
    "datetime": [1, True, "noon", "2026-02-30", "2026-01-01T25:00", "0001-01-01T00:00+01:00", []],
    "category": [
        1,
        True,
        "",
        "a\x00b",
        "\x7f",
        "x" * 201,
        "🚀" * 10_000,
        "\ud800",
        ["a"],
        math.nan,
    ],
}
OUTCOME_PATH = f"{PATH}/1/outcome"


@pytest.fixture(autouse=True)
def nothing_is_stored(service: Service) -> Iterator[None]:
    """There is one row; after the test it is unchanged and still the only one."""
    service.place()
    before = service.rows(PLURAL)
    yield
    assert service.rows(PLURAL) == before
    assert service.stored() == 2


def check(response: TestResponse, status: int, *fields: str) -> str:
    """The answer is a problem with this status that names these fields; its text."""
    assert (response.status_code, response.mimetype) == (status, "application/problem+json")
    problem = json.loads(response.data)
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["X-Request-ID"]
    assert [fault["field"] for fault in problem.get("errors", [])] == list(fields)
    assert "Traceback" not in response.text
    return json.dumps(problem, ensure_ascii=False)


def test_an_invalid_value_is_named(service: Service) -> None:
    for column in SENT:
        for value in WRONG[column.kind] + ([] if column.optional else [None]):
            problem = check(service.post({**NEW, column.name: value}), 422, column.name)
            assert f"Invalid fields: {column.name}." in problem


def test_an_invalid_outcome_is_named(service: Service) -> None:
    for value in [*WRONG[TARGET.kind], None]:
        check(service.post({TARGET.name: value}, OUTCOME_PATH), 422, TARGET.name)
    check(service.post({}, OUTCOME_PATH), 422, TARGET.name)
    check(service.post({**OUTCOME, "more": 1}, OUTCOME_PATH), 422, "more")


def test_every_fault_is_named(service: Service) -> None:
    required = [column.name for column in SENT if not column.optional]
    check(service.post({"more": 1}), 422, *required, "more")


@pytest.mark.parametrize("name", ["more", "", "id", "type", "metadata", TARGET.name, "é 🚀"])
def test_an_unknown_field_is_named(service: Service, name: str) -> None:
    check(service.post({**NEW, name: 1}), 422, name)


IDS = "0 2 01 -1 +1 1.0 1e0 x %20 1%20 %00 é ٣ null 1/ 9223372036854775807 9223372036854775808"


def test_an_unknown_id(service: Service) -> None:
    for number in (*IDS.split(), "", "1" * 5000):
        check(service.client.get(f"{PATH}/{number}"), 404)
        check(service.post(OUTCOME, f"{PATH}/{number}/outcome"), 404)


@pytest.mark.parametrize("path", ["/nowhere", f"{PATH}/", f"{PATH}/1/", "/livez/", "/%00"])
def test_an_unknown_path(service: Service, path: str) -> None:
    check(service.client.get(path), 404)
    check(service.post(NEW, path), 404)


def test_a_fault_of_the_service_is_a_500_that_says_nothing(service: Service) -> None:
    service.predictor.error = RuntimeError("a secret")
    assert "secret" not in check(service.post(NEW), 500)
