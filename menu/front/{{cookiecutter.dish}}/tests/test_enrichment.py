"""Features that a request leaves out come from the table of the model."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from conftest import Fake, Front, wait_until

PATH = "/v2/models/visits/infer"
INPUTS = [
    {"name": "age", "datatype": "INT64", "shape": [-1]},
    {"name": "dose", "datatype": "FP64", "shape": [-1]},
    {"name": "ward", "datatype": "BYTES", "shape": [-1]},
    {"name": "since", "datatype": "BYTES", "shape": [-1]},
    {"name": "smoker", "datatype": "BOOL", "shape": [-1]},
]
TABLE = """
    CREATE SCHEMA features;
    CREATE TABLE features.patients (
      patient_id bigint PRIMARY KEY,
      age int, dose numeric, ward text, since timestamptz, smoker bool
    );
    INSERT INTO features.patients VALUES
      (1, 40, 0.1, 'Süd "A"', '2026-01-02 03:04:05+01', true),
      (2, 50, 2, 'b', '2026-01-02', false),
      (3, NULL, 2, 'b', '2026-01-02', false);
"""


def tensor(name: str, datatype: str, *data: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [len(data)], "data": list(data)}


def by_key(*keys: Any) -> dict[str, Any]:
    datatype = "BYTES" if isinstance(keys[0], str) else "INT64"
    return {"inputs": [tensor("patient_id", datatype, *keys)]}


@pytest.fixture
def connection(database: str) -> Any:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(TABLE)
        yield connection


@pytest.fixture
def settings(database: str, connection: Any) -> dict[str, Any]:
    columns = [each["name"] for each in INPUTS]
    known = {"table": "features.patients", "key": "patient_id", "columns": columns}
    return {"database": f"{database}?options=-ctimezone%3DUTC", **known}


def test_what_is_left_out_is_looked_up(
    fake: Callable[..., Fake], front: Callable[..., Front], settings: dict[str, Any]
) -> None:
    server = fake("visits", inputs=INPUTS)
    behind = front([server.section(features=settings)])
    assert behind.client.post(PATH, json=by_key("1")).status_code == 200
    answer = behind.client.post(PATH, json=by_key(2, 1, 2))
    assert answer.status_code == 200, answer.text
    inputs = server.seen()[1]["body"]["inputs"]
    assert {each["name"]: each["data"] for each in inputs} == {
        "age": [50, 40, 50],
        "dose": [2, 0.1, 2],
        "ward": ["b", 'Süd "A"', "b"],
        "since": [f"2026-01-02T{at}+00:00" for at in ("00:00:00", "02:04:05", "00:00:00")],
        "smoker": [False, True, False],
    }
    assert {each["datatype"] for each in inputs} == {"INT64", "FP64", "BYTES", "BOOL"}


def test_what_the_request_holds_is_taken_as_it_is(
    fake: Callable[..., Fake], front: Callable[..., Front], settings: dict[str, Any]
) -> None:
    server = fake("visits", inputs=INPUTS)
    behind = front([server.section(features=settings)])
    request = by_key(1)
    request["inputs"].append(tensor("age", "INT64", 41))
    assert behind.client.post(PATH, json=request).status_code == 200
    assert {each["name"]: each["data"] for each in server.seen()[0]["body"]["inputs"]}["age"] == [
        41
    ]


def test_a_key_that_is_not_there_is_named(
    fake: Callable[..., Fake], front: Callable[..., Front], settings: dict[str, Any]
) -> None:
    server = fake("visits", inputs=INPUTS)
    behind = front([server.section(features=settings)])
    for request, fault in (
        (by_key(1, 17), "patient_id: 17 is not in features.patients"),
        (by_key("17"), "patient_id: '17' is not in features.patients"),
        (by_key("' OR true --"), "patient_id: does not fit features.patients: "),
        (by_key("\ud800"), "patient_id: does not fit features.patients: "),
        (by_key("\0"), "patient_id: does not fit features.patients: "),
        (by_key(2**70), "patient_id: "),
        (by_key(None), "patient_id: expected texts or whole numbers, one a row"),
        (by_key(1, "2"), "patient_id: expected texts or whole numbers, one a row"),
        (by_key(3), "age: row 0 is None, expected INT64"),
        ({"inputs": [tensor("age", "INT64", 1)]}, "dose: missing tensor of datatype FP64"),
    ):
        answer = behind.client.post(PATH, content=json.dumps(request))
        assert (answer.status_code, answer.json()["error"][: len(fault)]) == (400, fault)
    assert server.seen() == []


def test_a_database_that_is_gone_fails_only_who_needs_it(
    fake: Callable[..., Fake],
    front: Callable[..., Front],
    settings: dict[str, Any],
    database: str,
    connection: Any,
) -> None:
    server = fake("visits", inputs=INPUTS)
    behind = front([server.section(features=settings)])
    assert behind.client.post(PATH, json=by_key(1)).status_code == 200
    whole = {"inputs": server.seen()[0]["body"]["inputs"]}
    with psycopg.connect(database.rpartition("/")[0] + "/postgres", autocommit=True) as admin:
        name = database.rpartition("/")[2]
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        answer = behind.client.post(PATH, json=by_key(1))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert answer.json()["error"].startswith("features.patients: features cannot be looked up")
        assert behind.client.post(PATH, json=whole).status_code == 200
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    def is_back() -> bool:
        return behind.client.post(PATH, json=by_key(1)).status_code == 200

    wait_until(is_back, "the database is not used again")


def test_a_database_that_hangs_fails_at_the_deadline_and_slows_no_other_model(
    fake: Callable[..., Fake],
    front: Callable[..., Front],
    settings: dict[str, Any],
    connection: Any,
) -> None:
    server, other = fake("visits", inputs=INPUTS), fake("sizes")
    limits: dict[str, Any] = {"at_once": 2, "waiting": 1, "timeout_ms": 2000}
    behind = front([server.section(features=settings, **limits), other.section()])
    with connection.transaction(), ThreadPoolExecutor(5) as pool:
        connection.execute("LOCK TABLE features.patients IN ACCESS EXCLUSIVE MODE")
        asked = [pool.submit(behind.client.post, PATH, json=by_key(1)) for _ in range(5)]
        for value in range(20):
            assert behind.infer("sizes", value).status_code == 200
        answers = [each.result() for each in asked]
    assert [each.status_code for each in answers] == [503] * 5
    faults = sorted(each.json()["error"] for each in answers)
    assert faults[-2:] == ["visits: too many requests wait"] * 2
    assert server.seen() == []
    wait_until(lambda: behind.client.post(PATH, json=by_key(1)).status_code == 200, "hangs still")
