"""Who may call, at which name, how often."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import Service, settings
from support import NEW
from werkzeug.test import TestResponse

from service import files
from service.access import Rates, keys_from, new_key
from service.cli import main

ON_SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


def ask(service: Service, key: str | None = None, scheme: str = "Bearer") -> TestResponse:
    """Place one with a key."""
    return service.post(NEW, headers={"Authorization": f"{scheme} {key}"} if key else {})


def check_unknown(response: TestResponse) -> None:
    assert (response.status_code, response.mimetype) == (401, "application/problem+json")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@ON_SQLITE
def test_a_key_lets_its_caller_in(service: Service, capfd: pytest.CaptureFixture[str]) -> None:
    (key, line), (other, other_line) = new_key("shop"), new_key("kiosk")
    service.restart(api_keys=f"{line}, {other_line}")
    for sent in (None, "", key[:-1], key.upper(), line, line.partition(":")[2]):
        check_unknown(ask(service, sent))
    check_unknown(ask(service, key, scheme="Basic"))
    check_unknown(service.client.get("/openapi.json"))
    assert service.stored() == 0
    capfd.readouterr()
    assert ask(service, key).status_code == ask(service, other, scheme="bearer").status_code == 201
    lines = [json.loads(each) for each in capfd.readouterr().err.splitlines()]
    assert [each["caller"] for each in lines] == ["shop", "kiosk"]
    for path in ("/livez", "/readyz"):
        assert service.client.get(path).status_code != 401


@ON_SQLITE
def test_callers_in_a_file_change_while_it_runs(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "CHECK_SECONDS", 0)
    (old, old_line), (new, new_line) = new_key("shop"), new_key("shop")
    file = tmp_path / "keys"
    file.write_text(f"# who may call\n{old_line}\n")
    service.restart(api_keys_file=file)
    assert (ask(service, old).status_code, ask(service, new).status_code) == (201, 401)
    file.write_text(f"{old_line}\n\n{new_line}  # both, until all send the new one\n")
    assert (ask(service, old).status_code, ask(service, new).status_code) == (201, 201)
    file.write_text("what is no line of a caller")
    assert ask(service, new).status_code == 201
    file.write_text(f"{new_line}\n")
    assert (ask(service, old).status_code, ask(service, new).status_code) == (401, 201)


@ON_SQLITE
def test_each_caller_has_a_rate_of_its_own(service: Service) -> None:
    (key, line), (other, other_line) = new_key("shop"), new_key("kiosk")
    service.restart(api_keys=f"{line},{other_line}", api_rate=0.001)
    assert ask(service, key).status_code == 201
    response = ask(service, key)
    assert (response.status_code, response.headers["Retry-After"]) == (429, "1")
    assert ask(service, other).status_code == 201
    assert {service.client.get("/livez").status_code for _ in range(5)} == {200}


def test_a_rate_allows_as_much_as_has_been_saved() -> None:
    now = 0.0
    rates = Rates(3, lambda: now)
    assert [rates.take("shop") for _ in range(4)] == [True, True, True, False]
    now = 0.5
    assert [rates.take("shop") for _ in range(2)] == [True, False]
    now = 100
    assert [rates.take("shop") for _ in range(4)] == [True, True, True, False]


@ON_SQLITE
def test_only_these_names_lead_here(service: Service) -> None:
    service.restart(allowed_hosts="service.example, localhost")
    assert ask(service).status_code == 201
    for host, status in (("service.example", 201), ("evil.example", 400)):
        assert service.post(NEW, base_url=f"http://{host}").status_code == status
    response = service.client.get("/nowhere", base_url="http://evil.example")
    assert (response.status_code, response.mimetype) == (400, "application/problem+json")
    for probe in ("/livez", "/readyz"):  # which come to an address
        assert service.client.get(probe, base_url="http://10.0.0.1").status_code != 400


@ON_SQLITE
def test_the_documentation_can_be_switched_off(service: Service) -> None:
    service.restart(docs=False)
    for path in ("/", "/docs", "/docs/start.js", "/openapi.json"):
        assert service.client.get(path).status_code == 404


LINE = new_key("shop")[1]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"host": "0.0.0.0"}, "HOST: others can reach 0.0.0.0"),
        ({"host": "::"}, "HOST: others can reach ::"),
        ({"host": "service.example"}, "HOST: others can reach service.example"),
        ({"api_keys": "shop:secret"}, "API_KEYS: each caller is name:sha256"),
        ({"api_keys": f"{LINE},kiosk:{LINE.partition(':')[2]}"}, "a key of its own"),
        ({"api_keys": LINE, "api_open": True}, "API_OPEN"),
        ({"api_keys": LINE, "api_keys_file": "keys"}, "API_KEYS_FILE"),
        ({"api_keys_file": "/nowhere/keys"}, "API_KEYS_FILE: /nowhere/keys"),
        ({"api_open": True, "api_rate": 10}, "API_RATE: callers are told apart by their keys"),
    ],
)
def test_a_door_that_nobody_closed_stops_the_start(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(SystemExit, match=fault):
        keys_from(settings(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "127.0.0.1"},
        {"host": "::1"},
        {"host": "localhost"},
        {"host": "0.0.0.0", "api_open": True},
        {"host": "0.0.0.0", "api_keys": LINE},
    ],
)
def test_a_door_with_a_reason_to_be_open_starts(changes: dict[str, Any]) -> None:
    assert (keys_from(settings(**changes)) is None) == ("api_keys" not in changes)


@ON_SQLITE
def test_the_command_makes_a_key(service: Service) -> None:
    done = CliRunner().invoke(main, ["key", "shop"])
    assert done.exit_code == 0
    words = done.output.split()
    line = next(word for word in words if word.startswith("shop:"))
    service.restart(api_keys=line)
    assert 201 in [ask(service, word).status_code for word in words]
    assert CliRunner().invoke(main, ["key", "a name"]).exit_code == 1
