"""The units for one machine, as far as it can be told without a manager that runs them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

SLUG = "{{ cookiecutter.project_slug }}"
SYSTEMD = ROOT / "deploy/systemd"
UNITS = ("model", "service", "check")
EXPOSURE = {"model": 10, "service": 20, "check": 20}
"""Tenths of what `systemd-analyze security` may find of a unit, of 100."""

Unit = dict[str, list[str]]


def unit(name: str) -> Unit:
    """The values of each option, in their order."""
    found: Unit = {}
    texts = [(SYSTEMD / file).read_text("utf-8") for file in (f"{name}.service", "hardened.conf")]
    for line in "".join(texts).splitlines():
        option, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(option, []).append(value)
    return found


def settings(name: str) -> dict[str, str]:
    """The variables that a unit sets."""
    pairs = (each.partition("=") for each in unit(name)["Environment"])
    return {variable: value for variable, _, value in pairs}


@pytest.fixture
def installed(tmp_path: Path) -> list[Path]:
    """The units by the names under which they are installed, and the project where it is here."""
    for name in UNITS:
        text = (SYSTEMD / f"{name}.service").read_text("utf-8")
        text = text.replace(f"/opt/{SLUG}/", f"{ROOT}/")
        (tmp_path / f"{SLUG}-{name}.service").write_text(text)
    for_all = tmp_path / f"{SLUG}-.service.d"
    for_all.mkdir()
    shutil.copy(SYSTEMD / "hardened.conf", for_all)
    return sorted(tmp_path.glob("*.service"))


def analyze(*arguments: object) -> str:
    """What systemd-analyze says; it only reads."""
    program = shutil.which("systemd-analyze")
    if program is None:
        reason = "systemd-analyze is not installed: the units were not analyzed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    command = [program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def test_they_are_valid(installed: list[Path]) -> None:
    said = analyze("verify", "--man=no", *installed)  # also of other units of this machine
    assert [line for line in said.splitlines() if SLUG in line] == []


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_can_do_little_but_its_work(name: str, installed: list[Path]) -> None:
    (path,) = (each for each in installed if each.stem == f"{SLUG}-{name}")
    analyze("security", "--offline=true", f"--threshold={EXPOSURE[name]}", path)


def test_the_model_server_has_no_network() -> None:
    found = unit("model")
    assert found["PrivateNetwork"] == ["yes"]
    assert found["RestrictAddressFamilies"] == ["AF_UNIX"]
    assert settings("model")["MODEL_URL"].startswith(f"http+unix:///run/{SLUG}/")


def test_each_side_knows_the_user_of_the_other() -> None:
    lines = (SYSTEMD / "sysusers.conf").read_text("utf-8").splitlines()
    entries = [line.split() for line in lines if line and not line.startswith("#")]
    users = {"model": entries[0][1], "service": entries[1][1]}
    assert [each[:2] for each in entries[:2]] == [["u", name] for name in users.values()]
    assert entries[2:] == [["m", users["service"], users["model"]]]
    assert all(len(name) <= 31 for name in users.values())
    for name, own, other in (
        ("model", "model", "service"),
        ("service", "service", "model"),
        ("check", "service", "model"),
    ):
        assert unit(name)["User"] == unit(name)["Group"] == [users[own]]
        assert settings(name)["MODEL_PEERS"] == users[other]
        assert "PrivateUsers" not in unit(name)  # it would see nobody's id in place of the other's
    # The service passes the folder by its group; others do not get as far as the socket.
    assert unit("model")["RuntimeDirectory"] == [SLUG]
    assert unit("model")["RuntimeDirectoryMode"] == ["0710"]


@pytest.mark.parametrize("name", UNITS)
def test_secrets_are_files_that_systemd_hands_over(name: str) -> None:
    loaded = dict(each.split(":") for each in unit(name)["LoadCredential"])
    files = {key: value for key, value in settings(name).items() if key.endswith("_FILE")}
    assert sorted(files.values()) == sorted(f"%d/{each}" for each in loaded)
    assert all(path == f"/etc/{SLUG}/{each}" for each, path in loaded.items())
    assert not {"DATABASE_URL", "MODEL_TOKENS", "API_KEYS"} & settings(name).keys()
    if name == "model":
        assert loaded.keys() == {"model_tokens"}


def test_they_are_given_settings_that_there_are_and_agree_on_them() -> None:
    for name in UNITS:
        side = "model" if name == "model" else "service"
        text = (ROOT / side / "src" / side / "settings.py").read_text("utf-8")
        known = {field.upper() for field in re.findall(r"^    (\w+): ", text, re.M)}
        assert settings(name).keys() <= known
    assert settings("model")["MODEL_URL"] == settings("service")["MODEL_URL"]
    assert settings("check").items() <= settings("service").items()


def test_what_is_under_way_is_finished_before_a_stop() -> None:
    text = (ROOT / "model/src/model/serving/server.py").read_text("utf-8")
    (model_seconds,) = re.findall(r"^STOP_SECONDS = (\d+)", text, re.M)
    graceful = {"model": model_seconds, "service": settings("service")["GRACEFUL_TIMEOUT"]}
    for name, seconds in graceful.items():
        assert unit(name)["KillMode"] == ["mixed"]  # the workers are told by their master
        assert int(unit(name)["TimeoutStopSec"][0]) >= int(seconds) + 5
        assert (unit(name)["Restart"], unit(name)["StartLimitIntervalSec"]) == (["always"], ["0"])


def test_the_service_migrates_first_and_starts_without_its_model() -> None:
    found = unit("service")
    assert [line.split()[1] for line in found["ExecStartPre"]] == ["migrate"]
    assert f"{SLUG}-model.service" in found["Wants"][0].split()
    assert not {"Requires", "BindsTo", "Requisite"} & found.keys()
