"""The service alone reaches the model."""

import stat
from pathlib import Path

import httpx
from conftest import GOLDEN, PLURAL, Pair

INFER = {"inputs": GOLDEN["request"]["inputs"]}


def test_the_socket_is_private(pair: Pair) -> None:
    assert stat.S_IMODE(pair.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(pair.socket.parent.stat().st_mode) == 0o700


def test_nothing_that_is_written_is_open_to_others(pair: Pair, store: Path, database: str) -> None:
    pair.place()
    folders = [store, pair.socket.parent]
    if database.startswith("sqlite:///"):
        folders.append(Path(database.removeprefix("sqlite:///")).parent)
    written = [path for folder in folders for path in folder.rglob("*")]
    assert {path.suffix for path in written} >= {".joblib", ".sock"}
    assert [path for path in written if path.lstat().st_mode & 0o077] == []


def test_no_answer_without_the_token(pair: Pair) -> None:
    with httpx.Client(
        transport=httpx.HTTPTransport(uds=str(pair.socket)), base_url="http://model"
    ) as stranger:
        for authorization in (None, "Bearer wrong", "Basic dXNlcjpwYXNz", "Bearer", "é"):
            value = authorization.encode() if authorization else None
            headers = [(b"Authorization", value)] if value else []
            for path in ("/v2", "/openapi.json", "/v2/models/nobody"):
                assert stranger.get(path, headers=headers).status_code == 401
            answer = stranger.post("/v2/models/nobody/infer", json=INFER, headers=headers)
            assert answer.status_code == 401
            assert set(answer.json()) == {"error"}


def test_the_product_shows_nothing_of_the_private_api(pair: Pair) -> None:
    assert pair.client.get("/v2").status_code == 404
    assert not any(
        path.startswith("/v2") for path in pair.client.get("/openapi.json").json()["paths"]
    )
    assert f"/{PLURAL}" in pair.client.get("/openapi.json").json()["paths"]
