"""Settings come from the environment and from `.env`; wrong ones stop the start."""

from pathlib import Path

import pytest
from conftest import settings

from service.app import create_app
from service.settings import Settings, load


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
    Path(".env").write_text("MODEL_TOKENS=first, second\nPORT=1\nSOMETHING_ELSE=x\n")
    monkeypatch.setenv("PORT", "2")
    found = load()
    assert [token.get_secret_value() for token in found.model_tokens] == ["first", "second"]
    assert found.port == 2
    assert "first" not in repr(found)


@pytest.mark.parametrize("url", ["postgresql://u:p@h/d", "postgresql+psycopg://u:p@h/d"])
def test_postgresql_is_spoken_to_by_psycopg(url: str) -> None:
    assert settings(database_url=url).database_url == "postgresql+psycopg://u:p@h/d"


def test_all_that_is_wrong_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "http")
    monkeypatch.setenv("MODEL_TIMEOUT", "0")
    monkeypatch.setenv("DATABASE_URL", "oracle://host")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    with pytest.raises(SystemExit) as caught:
        load()
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "DATABASE_URL",
        "MODEL_TIMEOUT",
        "PORT",
        "LOG_LEVEL",
    ]


@pytest.mark.parametrize(
    "url", ["", "x", "mysql://h/d", "postgresql://u:p@h:x/d", "sqlite://", "sqlite:///:memory:"]
)
def test_a_wrong_database(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(SystemExit, match=r"^DATABASE_URL: (this|it) "):
        load()


@pytest.mark.parametrize("tokens", ["abSECRET\ncd", "good, ab SECRET", "SECRETé", "SECRET\x7f"])
def test_a_token_that_cannot_be_sent(tokens: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_TOKENS", tokens)
    with pytest.raises(SystemExit, match=r"^MODEL_TOKENS: a token is made of") as caught:
        load()
    assert "SECRET" not in str(caught.value)


def test_port_0_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "0")
    with pytest.raises(SystemExit, match=r"^PORT: "):
        load()


def test_a_wrong_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_URL", "somewhere")
    with pytest.raises(SystemExit, match=r"^MODEL_URL: it must begin with"):
        create_app()
    assert not list(Path().iterdir())
