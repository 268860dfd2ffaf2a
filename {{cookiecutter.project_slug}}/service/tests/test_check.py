"""`service check`: what is ok, what is not, and what to do about it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import Service, postgres_database
from sqlalchemy import create_engine, make_url, text
from support import EXPECTED, NEW, OTHER, PLURAL, TOKEN, VERSION, FakeServer, serving

from contract import TARGET, signature
from service import check
from service.cli import main
from service.database import Database

NAMES = ["database", "migrations", "writing", "model", "contract", "predictions"]

Check = Callable[..., dict[str, tuple[str, str]]]


@pytest.fixture
def model(tmp_path: Path) -> Iterator[tuple[FakeServer, str]]:
    """A model server that answers as it should, and its URL."""
    with serving(str(tmp_path / "model.sock")) as found:
        yield found


@pytest.fixture
def run(model: tuple[FakeServer, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Runs the command; by the name of each check its result, and what it found."""
    monkeypatch.chdir(tmp_path)

    def invoke(url: str, **settings: str) -> dict[str, tuple[str, str]]:
        variables = {"DATABASE_URL": url, "MODEL_URL": model[1], "MODEL_TOKENS": TOKEN, **settings}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        done = CliRunner().invoke(main, ["check"], catch_exceptions=False)
        header, *lines = done.stdout.splitlines()
        second, third = header.index("RESULT"), header.index("FOUND")
        found = {
            line[:second].strip(): (line[second:third].strip(), line[third:]) for line in lines
        }
        assert list(found)[: len(NAMES)] == NAMES
        assert done.exit_code == (0 if {each for each, _ in found.values()} == {"ok"} else 1)
        assert done.stderr == ""
        assert TOKEN not in done.stdout
        return found

    return invoke


def results(found: dict[str, tuple[str, str]]) -> list[str]:
    return [found[name][0] for name in NAMES]


def test_all_is_well(service: Service, run: Check, model: tuple[FakeServer, str]) -> None:
    service.place(NEW)
    before = service.stored()
    found = run(service.url)
    assert results(found) == ["ok"] * 6, found
    assert found["contract"][1] == f"{signature()} is understood"
    assert f"as version {VERSION} must" in found["predictions"][1]
    (asked,) = model[0].model.requests
    assert asked["id"] == "check-0"
    assert service.stored() == before
    service.place(NEW)
    assert [row["id"] for row in service.rows(PLURAL)] == [1, 2]  # it took no number


def test_a_database_that_is_not_there(run: Check, tmp_path: Path) -> None:
    for url in (
        "postgresql://somebody:a-password@localhost:1/nothing",
        "postgresql://somebody:a-password@no.such.host.invalid/nothing",
        f"sqlite:///{tmp_path}/var/nothing.db",
    ):
        found = run(url)
        assert results(found) == ["failed", "not tried", "not tried", "ok", "ok", "ok"]
        assert "a-password" not in str(found)
        assert "compare DATABASE_URL" in found["database"][1]
    assert not (tmp_path / "var").exists()  # SQLite would make it


def test_a_database_without_migrations(fresh_url: str, run: Check) -> None:
    database = Database(fresh_url)
    database.engine.connect().close()
    database.engine.dispose()
    found = run(fresh_url)
    assert results(found) == ["ok", "failed", "not tried", "ok", "ok", "ok"]
    assert "revision none" in found["migrations"][1]
    assert "run `service migrate`" in found["migrations"][1]


def at_revision(service: Service, revision: str) -> None:
    with service.database.engine.begin() as connection:
        connection.execute(text(f"UPDATE alembic_version SET version_num = '{revision}'"))


def test_a_later_release_has_migrated_the_database(service: Service, run: Check) -> None:
    with service.database.engine.begin() as connection:
        now = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    try:
        at_revision(service, "later")
        found = run(service.url)
        assert results(found) == ["ok"] * 6
        assert found["migrations"][1] == "at revision later"
        at_revision(service, "0001")
        assert run(service.url)["migrations"][0] == "failed"
    finally:
        at_revision(service, now)


def test_a_table_that_is_not_there(service: Service, run: Check) -> None:
    service.put_aside("model_versions")
    try:
        found = run(service.url)
    finally:
        service.put_back("model_versions")
    assert results(found) == ["ok", "ok", "failed", "ok", "ok", "ok"]
    assert "model_versions" in found["writing"][1]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_disk_that_is_full(url: str, run: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.database.FREE_BYTES", 2**80)
    found = run(url)
    assert results(found) == ["ok", "ok", "failed", "ok", "ok", "ok"]
    assert found["writing"][1] == "not writable: the disk is full"


def test_a_user_who_may_not_write_to_a_table(run: Check) -> None:
    with postgres_database() as url:
        database = Database(url)
        database.migrate()
        owner = create_engine(url, isolation_level="AUTOCOMMIT")
        role = f"reader_{make_url(url).database}"
        with owner.connect() as connection:
            connection.execute(text(f"CREATE ROLE {role} LOGIN PASSWORD 'a-password'"))
            try:
                grants = f"ON ALL TABLES IN SCHEMA public TO {role}"
                connection.execute(text(f"GRANT SELECT, INSERT {grants}"))
                connection.execute(text(f"REVOKE INSERT ON predictions FROM {role}"))
                reader = make_url(url).set(username=role, password="a-password")
                found = run(reader.render_as_string(hide_password=False))
                connection.execute(text(f"GRANT INSERT {grants}"))
                fine = run(reader.render_as_string(hide_password=False))
                wrong = run(reader.set(database="none").render_as_string(hide_password=False))
            finally:
                connection.execute(text(f"DROP OWNED BY {role}"))
                connection.execute(text(f"DROP ROLE {role}"))
        owner.dispose()
        database.engine.dispose()
    assert results(found) == ["ok", "ok", "failed", "ok", "ok", "ok"]
    assert found["writing"][1] == "permission denied for table predictions"
    assert results(fine) == ["ok"] * 6
    assert "compare DATABASE_URL" in wrong["database"][1]
    assert "a-password" not in f"{found} {wrong}"


def test_a_model_server_that_is_not_there(url: str, run: Check, tmp_path: Path) -> None:
    found = run(url, MODEL_URL=f"http+unix://{tmp_path}/other.sock")
    assert results(found) == ["ok", "ok", "ok", "failed", "not tried", "not tried"]
    assert found["model"][1].startswith("unreachable: ")
    assert "start the model server" in found["model"][1]


def test_a_canary_and_a_shadow_are_tried_as_well(
    url: str, run: Check, model: tuple[FakeServer, str], tmp_path: Path
) -> None:
    gone = f"http+unix://{tmp_path}/other.sock"
    found = run(url, MODEL_CANARY_URL=model[1], MODEL_SHADOW_URL=gone)
    assert results(found) == ["ok"] * 6
    assert [found[f"canary {name}"][0] for name in NAMES[3:]] == ["ok"] * 3
    assert [found[f"shadow {name}"][0] for name in NAMES[3:]] == ["failed", *["not tried"] * 2]


def test_a_model_server_that_knows_another_token(url: str, run: Check) -> None:
    other = "another-token-of-thirty-two-characters"
    found = run(url, MODEL_TOKENS=other)
    assert found["model"][0] == "failed"
    assert "compare MODEL_TOKENS" in found["model"][1]
    assert other not in str(found)


def test_another_contract(url: str, run: Check, model: tuple[FakeServer, str]) -> None:
    model[0].model.changes = {"parameters": {"signature": "0123456789abcdef"}}
    found = run(url)
    assert results(found) == ["ok", "ok", "ok", "ok", "failed", "not tried"]
    assert signature() in found["contract"][1]
    assert "deploy both sides from one commit" in found["contract"][1]


def wrong_value() -> Any:
    """What the fakes do not predict, as near as it can be for a number."""
    right = getattr(EXPECTED, TARGET.name)
    return right * (1 + 2e-5) if TARGET.kind == "float" else getattr(OTHER, TARGET.name)


def test_another_prediction(url: str, run: Check, model: tuple[FakeServer, str]) -> None:
    model[0].model.output = {"data": [wrong_value()]}
    found = run(url)
    assert results(found) == ["ok", "ok", "ok", "ok", "ok", "failed"]
    assert f"version {VERSION} predicts" in found["predictions"][1]


def test_a_version_that_changes_meanwhile(
    url: str, run: Check, model: tuple[FakeServer, str]
) -> None:
    model[0].model.changes = {"model_version": "later"}
    found = run(url)
    assert found["predictions"][0] == "failed"
    assert "try again" in found["predictions"][1]


def test_what_nobody_expected_stops_no_other_check() -> None:
    def fail() -> str:
        raise RuntimeError("a-password")

    found = check.run_all([check.Check("a", None, fail), check.Check("b", None, lambda: "fine")])
    assert [each.result for each in found] == ["failed", "ok"]
    assert found[0].found == "unexpected RuntimeError"


@pytest.mark.parametrize(
    ("name", "value"),
    [("MODEL_URL", "ftp://model"), ("DATABASE_URL", "postgresql://user:one@two@host/name")],
)
def test_invalid_settings_end_it(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    done = CliRunner().invoke(main, ["check"], catch_exceptions=False)
    assert done.exit_code == 1
    (line,) = done.output.splitlines()
    assert line.startswith(f"{name}: ")
    assert "two" not in line
