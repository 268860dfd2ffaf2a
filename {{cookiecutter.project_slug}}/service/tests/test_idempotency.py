"""`Idempotency-Key`: a request that is repeated is answered as it was the first time."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from conftest import Service
from sqlalchemy import update
from support import GONE, NEW, OUTCOME, PATH, PLURAL, SPARSE
from werkzeug.test import TestResponse

from service import idempotency
from service.tables import IdempotencyKey, now

KEY = "8e03978e-40d5-43e8-bc93-6894a57f9324"


def post(service: Service, key: str = KEY, body: object = NEW) -> TestResponse:
    """Place with a key, on a connection of its own."""
    return service.app.test_client().post(PATH, json=body, headers={"Idempotency-Key": key})


def test_a_repeated_request_gives_the_first_answer(service: Service) -> None:
    first = post(service)
    service.post(OUTCOME, f"{PATH}/1/outcome")
    service.predictor.error = GONE
    for key in (KEY, f'"{KEY}"'):
        again = post(service, key)
        assert (again.status_code, again.headers["Location"]) == (201, first.headers["Location"])
        assert again.data == first.data
    assert service.stored() == 2
    assert post(service, "another").json != first.json


def test_requests_with_the_same_key_at_once_store_one(service: Service) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda each: post(service, f"k{each % 20}"), range(200)))
    assert {each.status_code for each in answers} == {201}
    assert len({each.data for each in answers}) == len(service.rows(PLURAL)) == 20
    assert service.stored() == 40


def test_another_body_under_the_same_key_is_a_fault(service: Service) -> None:
    post(service)
    other = post(service, body=SPARSE)
    assert (other.status_code, other.mimetype) == (422, "application/problem+json")
    assert "Idempotency-Key" in other.text
    assert service.stored() == 2


@pytest.mark.parametrize(
    "key", ["", " ", '"', '""', '"a', "a b", "a, b", '"a", "b"', '"a";b', "é", "a" * 256]
)
def test_a_malformed_key_is_rejected(service: Service, key: str) -> None:
    response = post(service, key)
    assert (response.status_code, response.mimetype) == (400, "application/problem+json")
    assert service.stored() == 0


@pytest.mark.parametrize("key", ["a" * 255, '"a b\\"\\\\, c"', "!#$%&'()*+-./:<=>?@[]^_`{|}~"])
def test_a_key_may_have_any_visible_character(service: Service, key: str) -> None:
    assert [post(service, key).status_code for _ in range(2)] == [201, 201]
    assert service.stored() == 2


def test_keys_of_different_callers_do_not_meet(service: Service) -> None:
    from flask import g

    callers = iter("aab")
    service.app.before_request_funcs[None].append(lambda: setattr(g, "caller", next(callers)))
    assert [post(service).headers["Location"][-1] for _ in range(3)] == ["1", "1", "2"]


def test_a_key_expires_and_is_deleted(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "PRUNE_EVERY", 2)
    for key in "abc":
        post(service, key)
    with service.database.engine.begin() as connection:
        connection.execute(update(IdempotencyKey).values(created_at=now() - timedelta(hours=25)))
    assert post(service, "a", SPARSE).status_code == 201  # deletes all that have expired
    assert [row["key"] for row in service.rows("idempotency_keys")] == ["a"]
    assert len(service.rows(PLURAL)) == 4


def test_what_nobody_waits_for_is_not_stored(service: Service) -> None:
    gone = {"service.abandoned": lambda: True}
    headers = {"Idempotency-Key": KEY}
    response = service.post(NEW, headers=headers, environ_overrides=gone)
    assert (response.status_code, service.stored()) == (408, 0)
    assert post(service).status_code == 201
