"""Every command of the runbook is run, in its order, against a pair with two versions.

kubectl is real and finds no cluster: what it is told has to be a command. For want of a manager of
services `systemctl` and `journalctl` are stand-ins, and what a unit would do is done to the pair.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, Pair, current, run, wait_until
from test_kubernetes import containers, of, render

SLUG = "{{ cookiecutter.project_slug }}"
RUNBOOK = (ROOT / "docs/runbook.md").read_text("utf-8")
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"^```console\n(.*?)^```", RUNBOOK, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]
STAND_INS = {
    "kubectl": f'exec {ROOT}/.venv/bin/kubectl --server=http://127.0.0.1:1 "$@"',
    "deploying": "echo Complete pod/newest",  # a kubectl that finds all done
    "systemctl": 'echo "$*" >> "$CALLS"',
    "journalctl": 'case "$*" in *-model*) cat "$MODEL_LOG";; *) cat "$SERVICE_LOG";; esac',
}


@pytest.fixture
def versions(store: Path, tmp_path: Path) -> tuple[Path, str, str]:
    """A store, its version before the current one, and that one: of a history a row shorter."""
    folder, history = tmp_path / "artifacts", tmp_path / "history.csv"
    shutil.copytree(store, folder)
    before = current(folder)
    lines = (ROOT / "data/history.csv").read_text("utf-8").splitlines(keepends=True)
    history.write_text("".join(lines[:-1]), "utf-8")
    run("model", "train", "--force", "--data", history, MODEL_STORE=str(folder))
    return folder, before, current(folder)


@pytest.fixture
def pair(versions: tuple[Path, str, str], tmp_path: Path) -> Iterator[Pair]:
    """The pair, with the later of the versions."""
    with Pair(tmp_path, versions[0], f"sqlite:///{tmp_path / 'test.db'}").running() as pair:
        yield pair


def version_of(pair: Pair) -> str:
    """The version that answers."""
    found: str = pair.place()["metadata"]["model_version"]
    return found


def test_every_command_runs(pair: Pair, versions: tuple[Path, str, str], tmp_path: Path) -> None:
    _, before, latest = versions
    tools, calls = tmp_path / "bin", tmp_path / "calls"
    tools.mkdir()
    for name, script in STAND_INS.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    database_url = tmp_path / "database_url"
    database_url.write_text(pair.service.environment["DATABASE_URL"])
    real = {
        "http://127.0.0.1:8100": str(pair.operators.base_url),
        "3f2a9c0d1e5b": before,
        "sha256:…": f"sha256:{'0' * 64}",
        f"/etc/{SLUG}/database_url": str(database_url),
    }
    environment = {
        **os.environ,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "CALLS": str(calls),
        "KUBECTL": "deploying",
        "MODEL_LOG": str(pair.model.log),
        "SERVICE_LOG": str(pair.service.log),
        "MODEL_STORE": pair.service.environment["MODEL_STORE"],
    }
    assert version_of(pair) == latest
    followed = []
    for command in COMMANDS:
        for written, meant in real.items():
            command = command.replace(written, meant)
        calls.write_text("")
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if command.startswith("kubectl"):
            assert "was refused" in done.stdout, f"{command}: {done.stdout}"
        elif "make retrain" in command:  # whether it is good enough is not the question here
            assert "store, test and judge" in done.stdout, f"{command}: {done.stdout}"
        else:
            assert done.returncode == 0, f"{command}: {done.stdout}"
        followed.append(follow(command, calls.read_text(), pair))
        if "model rollback" in command:
            wait_until(lambda: version_of(pair) == before, pair.model.log.read_text, 30)
    done_to_it = ["checked", "stopped", "moved"]
    assert [*filter(None, followed)] == done_to_it


def follow(command: str, asked: str, pair: Pair) -> str | None:
    """Do to the pair what systemd, or Kubernetes, does after a command; see that it helps.

    What was done to it, if anything.
    """
    if asked == f"start {SLUG}-check\n":
        run("service", "check", **pair.service.environment)
        return "checked"
    if asked == f"stop {SLUG}-model\n":
        pair.model.stop()
        assert pair.place()["metadata"]["served_by"] == "fallback"
        pair.model.start()
        pair.wait("ok")
        return "stopped"
    if moved := re.search("kubectl .* set env .* MODEL_URL=(.+)", command):
        restart(pair, moved[1])
        pair.wait("degraded")
        assert pair.place()["metadata"]["served_by"] == "fallback"
        restart(pair, pair.model_url)
        pair.wait("ok")
        return "moved"
    return None


def restart(pair: Pair, model_url: str) -> None:
    """Start the service again, with the model elsewhere."""
    pair.service.stop()
    pair.service.environment["MODEL_URL"] = model_url
    pair.service.start()


def test_what_commands_are_about_is_there() -> None:
    base = render(ROOT / "deploy/kubernetes/base")
    deployments = of(base, "Deployment")
    units = {f"{SLUG}-{path.stem}" for path in (ROOT / "deploy/systemd").glob("*.service")}
    for command in COMMANDS:
        assert set(re.findall("kubectl -n (\\S+)", command)) <= of(base, "Namespace").keys()
        for name, container in re.findall("deployment/(\\S+)(?: -c (\\S+))?", command):
            pod = deployments[name]["spec"]["template"]
            assert container in ("", *(each["name"] for each in containers(pod)))
        assert set(re.findall("(?:systemctl \\w+|journalctl -u) (\\S+)", command)) <= units
    assert units == {f"{SLUG}-{name}" for name in ("service", "model", "check")}


def test_every_alert_leads_to_a_section() -> None:
    rules = yaml.safe_load((ROOT / "deploy/monitoring/rules.yml").read_text("utf-8"))
    alerts = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    titles = re.findall("^## (.+)$", RUNBOOK, re.MULTILINE)
    sections = {title.lower().replace(" ", "-") for title in titles}
    led_to = {each["annotations"]["runbook_url"].partition("#")[2] for each in alerts}
    assert led_to <= sections
    assert len(COMMANDS) > 20
