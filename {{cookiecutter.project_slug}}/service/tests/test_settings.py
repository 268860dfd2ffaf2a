"""Settings come from the environment and from `.env`; invalid ones stop the start."""

from pathlib import Path

import pytest
from conftest import settings

from service.app import create_app
from service.predictors.access import access_of
from service.settings import Settings, load

LONG = "a-token-of-more-than-32-characters-"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_every_setting_has_a_default_and_a_line_of_documentation() -> None:
    for field in Settings.model_fields.values():
        assert not field.is_required()
        assert field.description
    assert load().database_url == "sqlite:///var/service.db"
    assert load().model_url == "http+unix://run/model.sock"


def test_the_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text(f"MODEL_TOKENS={LONG}1, {LONG}2\nPORT=1\nSOMETHING_ELSE=x\n")
    monkeypatch.setenv("PORT", "2")
    found = load()
    assert [token.get_secret_value() for token in found.model_tokens] == [LONG + "1", LONG + "2"]
    assert found.port == 2
    assert LONG not in repr(found)


@pytest.mark.parametrize("url", ["postgresql://u:p@h/d", "postgresql+psycopg://u:p@h/d"])
def test_postgresql_is_reached_through_psycopg(url: str) -> None:
    assert settings(database_url=url).database_url == "postgresql+psycopg://u:p@h/d"


def test_peers_are_users_by_id_or_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_PEERS", "root, 7")
    assert load().model_peers == (0, 7)


def test_all_invalid_settings_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {
        "DATABASE_URL": "oracle://host",
        "MODEL_PEERS": "no-such-user",
        "MODEL_DEADLINE": "0",
        "PORT": "http",
        "LOG_LEVEL": "loud",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        load()
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == list(wrong)


def test_the_database_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("url").write_text("postgresql://u:p@h/d\n")
    monkeypatch.setenv("DATABASE_URL_FILE", "url")
    assert load().database_url == "postgresql+psycopg://u:p@h/d"
    monkeypatch.setenv("DATABASE_URL", "sqlite:///x.db")
    with pytest.raises(SystemExit, match=r"^DATABASE_URL_FILE: set it or DATABASE_URL, not both$"):
        load()


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"oracle://u:secret@h"])
def test_a_file_without_a_database_is_named(
    content: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        Path("url").write_bytes(content)
    monkeypatch.setenv("DATABASE_URL_FILE", "url")
    with pytest.raises(SystemExit, match=r"^DATABASE_URL") as caught:
        load()
    assert "secret" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


DATABASES = ["", "x", "mysql://h/d", "postgresql://u:p@h:x/d", "sqlite://", "sqlite:///:memory:"]


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        *(("DATABASE_URL", url, "(this|it) ") for url in DATABASES),
        *(
            ("MODEL_TOKENS", tokens, "a token is made of visible ASCII")
            for tokens in ("abSECRET\ncd", f"{LONG}, ab SECRET", "SECRETé", "SECRET\x7f")
        ),
        ("MODEL_TOKENS", f"{LONG},SECRET", "a token has at least 32 characters"),
        ("MODEL_TOKENS_FILE", "missing", ".*missing"),
        ("MODEL_URL", "somewhere", "it must begin with"),
        ("MODEL_URL", "http://model:9000", ".*MODEL_PLAINTEXT"),
        ("MODEL_CANARY_URL", "somewhere", "it must begin with"),
        ("MODEL_SHADOW_URL", "http://model:9000", ".*MODEL_PLAINTEXT"),
        ("MODEL_CANARY_SHARE", "1.1", ""),
        ("MODEL_CA", "ca.pem", ".*https://"),
        ("MODEL_CLIENT_CERT", "client.pem", ".*https://"),
        ("MODEL_CLIENT_KEY", "client.key", ".*https://"),
        ("PORT", "0", ""),
    ],
)
def test_an_invalid_setting_stops_the_start(
    name: str, value: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=f"^{name}: {fault}") as caught:
        create_app()
    assert "SECRET" not in str(caught.value)
    assert not list(Path().iterdir())


def test_a_file_of_tokens_takes_the_place_of_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    file = Path("tokens")
    monkeypatch.setenv("MODEL_TOKENS_FILE", str(file))
    for content, fault in (("", "no token"), ("SECRET", "32 characters")):
        file.write_text(content)
        with pytest.raises(SystemExit, match=f"^MODEL_TOKENS_FILE: .*{fault}") as caught:
            access_of(load())
        assert "SECRET" not in str(caught.value)
    file.write_text(f"{LONG}1\n{LONG}2\n")
    assert access_of(load()).tokens() == (LONG + "1", LONG + "2")
    monkeypatch.setenv("MODEL_TOKENS", LONG)
    with pytest.raises(SystemExit, match="not both"):
        access_of(load())


def test_https_needs_certificates_that_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_URL", "https://model")
    monkeypatch.setenv("MODEL_CLIENT_CERT", "client.pem")
    with pytest.raises(SystemExit, match=r"^MODEL_CLIENT_KEY: .*together"):
        access_of(load())
    monkeypatch.setenv("MODEL_CLIENT_KEY", "client.key")
    with pytest.raises(SystemExit, match=r"^MODEL_CLIENT_CERT: .*client\.pem"):
        access_of(load())
