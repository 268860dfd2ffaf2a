"""Whatever callers send: problem details that name the field, and nothing is stored."""

import json
import math
from typing import Any

import pytest
from conftest import Service
from support import NEW, OUTCOME, PATH, SENT
from werkzeug.test import TestResponse

from contract import TARGET

WRONG: dict[str, list[Any]] = {
    "FP64": [True, "1.5", [1.5], {}, math.nan, math.inf, -math.inf, 10**400],
    "INT64": [True, 1.5, "3", [3], {}, math.nan, math.inf, 2**53 + 1, -(2**70), 10**400],
    "BOOL": [1, 0.0, "true", [], {}, math.nan, 10**400],
    "BYTES": [1, True, "", "a\x00b", "\x7f", "x" * 201, "🚀" * 10_000, "\ud800", ["a"], math.nan],
}


def check(response: TestResponse, status: int, *fields: str) -> None:
    """The answer is a problem with this status that names these fields."""
    assert response.status_code == status
    assert response.mimetype == "application/problem+json"
    problem = json.loads(response.data)
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["X-Request-ID"]
    assert [fault["field"] for fault in problem.get("errors", [])] == list(fields)
    assert "Traceback" not in response.text


def test_a_wrong_value_is_named(service: Service) -> None:
    for column in SENT:
        for value in WRONG[column.datatype] + ([] if column.optional else [None]):
            check(service.post({**NEW, column.name: value}), 422, column.name)
    assert service.stored() == 0
    assert service.predictor.asked == []


def test_a_missing_field_is_named(service: Service) -> None:
    for column in SENT:
        body = {name: value for name, value in NEW.items() if name != column.name}
        if column.optional:
            assert service.post(body).status_code == 201
        else:
            check(service.post(body), 422, column.name)
    assert service.stored() == 2 * sum(column.optional for column in SENT)


def test_a_wrong_outcome_is_named(service: Service) -> None:
    service.post(NEW)
    path = f"{PATH}/1/outcome"
    before = service.rows(PATH[1:])
    for value in [*WRONG[TARGET.datatype], None]:
        check(service.post({TARGET.name: value}, path), 422, TARGET.name)
    check(service.post({}, path), 422, TARGET.name)
    check(service.post({**OUTCOME, "more": 1}, path), 422, "more")
    assert service.rows(PATH[1:]) == before


def test_every_fault_is_named(service: Service) -> None:
    required = [column.name for column in SENT if not column.optional]
    check(service.post({"more": 1}), 422, *required, "more")
    assert service.stored() == 0


@pytest.mark.parametrize("name", ["more", "", "id", "type", "metadata", TARGET.name, "é 🚀"])
def test_an_unknown_field_is_named(service: Service, name: str) -> None:
    check(service.post({**NEW, name: 1}), 422, name)
    assert service.stored() == 0


def test_half_a_character_in_a_name_is_refused(service: Service) -> None:
    response = service.post({**NEW, "\ud800": 1})
    check(response, 422, "body")
    assert "half a character" in response.text
    assert service.stored() == 0


def test_a_field_that_is_given_twice_is_refused(service: Service) -> None:
    for name, shown in (("more", "more"), ("é", "é"), ("\ud800", "ud800"), ("x" * 999, "x")):
        once = json.dumps({name: 1})[1:-1]
        for before, after in (("", ""), ('"a": [{', "}]")):
            body = "{" + before + f"{once}, {once}" + after + "}"
            response = service.client.post(PATH, data=body, content_type="application/json")
            check(response, 400)
            assert shown in json.loads(response.data)["detail"]
            assert len(response.data) < 500
    assert service.stored() == 0


def test_control_characters_are_refused_in_plain_words(service: Service) -> None:
    for column in SENT:
        if column.datatype == "BYTES":
            assert "control characters" in service.post({**NEW, column.name: "a\nb"}).text


def test_a_flood_of_faults_gets_a_short_answer(service: Service) -> None:
    response = service.post({f"{number}" * 50: 1 for number in range(1000)})
    assert response.status_code == 422
    assert len(response.data) < 50_000


BODIES: list[tuple[int, bytes]] = [
    (400, b""),
    (400, b"{"),
    (400, b"nonsense"),
    (400, b"\xff\xfe"),
    (400, b"[]"),
    (400, b"null"),
    (400, b"1"),
    (400, json.dumps(json.dumps(NEW)).encode()),
    (400, b"[" * 200_000),
    (400, b'{"a": ' * 100_000),
    (400, b'{"a": ' + b"9" * 5000 + b"}"),
    (413, b'{"a": "' + b"x" * 2**20 + b'"}'),
    (413, b" " * (2**20 + 1)),
]


@pytest.mark.parametrize("path", [PATH, f"{PATH}/1/outcome"])
def test_a_body_that_is_no_object(service: Service, path: str) -> None:
    for status, body in BODIES:
        check(service.client.post(path, data=body, content_type="application/json"), status)
    assert service.stored() == 0


def test_a_body_of_one_mebibyte_is_read(service: Service) -> None:
    body = json.dumps(NEW).encode().ljust(2**20)
    response = service.client.post(PATH, data=body, content_type="application/json")
    assert response.status_code == 201
    response = service.client.post(PATH, data=body + b" ", content_type="application/json")
    check(response, 413)
    assert str(2**20) in response.text


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "x", "text/json"]
)
def test_a_wrong_content_type(service: Service, content_type: str | None) -> None:
    body = json.dumps(NEW).encode()
    check(service.client.post(PATH, data=body, content_type=content_type), 415)
    assert service.stored() == 0


def test_a_charset_changes_nothing(service: Service) -> None:
    body = json.dumps(NEW, ensure_ascii=False).encode()
    response = service.client.post(
        PATH, data=body, content_type="application/json; charset=iso-8859-1"
    )
    assert response.status_code == 201
    (row,) = service.rows(PATH[1:])
    assert {name: row[name] for name in NEW} == NEW


NUMBERS = [
    "0",
    "2",
    "01",
    "-1",
    "+1",
    "1.0",
    "1e0",
    "x",
    "%20",
    "1%20",
    "%00",
    "é",
    "٣",
    "null",
    "1/",
    "9223372036854775807",
]


def test_an_unknown_number(service: Service) -> None:
    service.post(NEW)
    before = service.rows(PATH[1:])
    for number in (*NUMBERS, "", str(2**63), str(10**30), "1" * 5000):
        check(service.client.get(f"{PATH}/{number}"), 404)
        check(service.post(OUTCOME, f"{PATH}/{number}/outcome"), 404)
    assert service.rows(PATH[1:]) == before


@pytest.mark.parametrize("path", ["/", "/nowhere", f"{PATH}/", f"{PATH}/1/", "/livez/", "/%00"])
def test_an_unknown_path(service: Service, path: str) -> None:
    service.post(NEW)
    check(service.client.get(path), 404)
    check(service.post(NEW, path), 404)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (PATH, {"POST", "OPTIONS"}),
        (f"{PATH}/1", {"GET", "HEAD", "OPTIONS"}),
        (f"{PATH}/1/outcome", {"POST", "OPTIONS"}),
        ("/livez", {"GET", "HEAD", "OPTIONS"}),
        ("/readyz", {"GET", "HEAD", "OPTIONS"}),
        ("/metrics", {"GET", "HEAD", "OPTIONS"}),
        ("/openapi.json", {"GET", "HEAD", "OPTIONS"}),
        ("/docs", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_other_methods(service: Service, path: str, allowed: set[str]) -> None:
    service.post(NEW)
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "NONSENSE"):
        if method not in allowed:
            response = service.client.open(path, method=method)
            check(response, 405)
            assert set(response.headers["Allow"].split(", ")) == allowed
    options = service.client.options(path)
    assert (options.status_code, options.data) == (200, b"")
    assert set(options.headers["Allow"].split(", ")) == allowed
    if "HEAD" in allowed:
        head = service.client.head(path)
        assert (head.status_code, head.data) == (service.client.get(path).status_code, b"")
    else:
        assert service.client.head(path).status_code == 405


def test_a_fault_of_ours_is_a_500_that_says_nothing(service: Service) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("the secret of the house")

    service.predictor.predict = fail  # type: ignore
    response = service.post(NEW)
    check(response, 500)
    assert "secret" not in response.text
    assert service.stored() == 0
