"""The default project, watched by a real Prometheus: metrics, rules, alerts, the dashboard."""

import json
import math
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pytest
import yaml
from conftest import Stamp, reserved_port
from test_projects import environment

MONITORING = "deploy/monitoring"
SERVICE, MODEL = "order-wait-times-service", "order-wait-times-model"
ORDER = {"hour": 11.9, "day": "Thu", "distance": 3.15, "items": 4}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
PATIENCE_SECONDS = 120
pytestmark = pytest.mark.xdist_group("monitoring")


def program(name: str) -> str:
    """The path of a program of Debian's package prometheus."""
    if found := shutil.which(name):
        return found
    give_up = pytest.fail if os.environ.get("CI") else pytest.skip
    give_up(f"{name} is not installed (the package prometheus)")


def wait_until(holds: Callable[[], Any], what: object) -> Any:
    """The first true result."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with suppress(httpx.TransportError):
            if found := holds():
                return found
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


@contextmanager
def running(*command: str | Path, log: Path, **options: Any) -> Iterator[None]:
    """A program, for as long as the block runs."""
    with log.open("a") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, **options)
    try:
        yield
    except BaseException:
        print(log.read_text()[-5000:])
        raise
    finally:
        process.terminate()
        process.wait(60)


@dataclass(frozen=True)
class Watched:
    """A pair under a little load, and the Prometheus that watches it.

    Attributes:
        service: the address of its public port.
        operations: the address of its operations port.
        prometheus: the address of Prometheus.
    """

    project: Path
    service: str
    operations: str
    prometheus: str

    def api(self, path: str, **parameters: str) -> Any:
        """What Prometheus answers."""
        answer = httpx.get(f"{self.prometheus}/api/v1/{path}", params=parameters, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def values(self, expression: str) -> list[float]:
        """The values of an expression now, those that are numbers."""
        found = self.api("query", query=expression)["result"]
        return [value for each in found if not math.isnan(value := float(each["value"][1]))]

    def model_is(self, up: bool) -> bool:
        """Whether orders are answered accordingly, and Prometheus has seen it."""
        placed = httpx.post(f"{self.service}/orders", json=ORDER, timeout=30).json()
        by = "model" if up else "fallback"
        seen = self.values('up{job="' + MODEL + '"}')
        return placed["metadata"]["served_by"] == by and seen == [float(up)]


def load(service: str, stop: Event) -> None:
    """A few orders a second, looked up, and some that are wrong."""
    # A connection for each, so that every worker has some of them, whichever is asked for metrics.
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=service, timeout=30, limits=limits) as client:
        while not stop.wait(0.05):
            with suppress(httpx.TransportError, KeyError):  # before it is there, or of a 503
                placed = client.post("/orders", json=ORDER, headers=TRACEPARENT).json()
                client.get(f"/orders/{placed['id']}")
                client.post(f"/orders/{placed['id']}/outcome", json={"wait_seconds": 600})
                client.post("/orders", json={"nobody": 1})


def configuration(project: Path, folder: Path, target: str) -> Path:
    """The project's own configuration, but for the address, and with a second between scrapes."""
    text = (project / MONITORING / "prometheus.yml").read_text()
    assert (text.count("service:8100"), text.count(": 15s")) == (2, 2)
    shutil.copy(project / MONITORING / "rules.yml", folder)
    path = folder / "prometheus.yml"
    path.write_text(text.replace("service:8100", target).replace(": 15s", ": 1s"))
    return path


@pytest.fixture(scope="module")
def watched(stamp: Stamp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Two workers on each side; the model server was gone for a while."""
    prometheus = program("prometheus")
    folder = tmp_path_factory.mktemp("monitoring")
    project = stamp(folder)
    subprocess.run(["make", "setup", "train"], cwd=project, env=environment(), check=True)
    service, model = project / "service/.venv/bin/service", project / "model/.venv/bin/model"
    with ExitStack() as stack:
        ports = [stack.enter_context(reserved_port()) for _ in range(3)]
        found = Watched(project, *(f"http://127.0.0.1:{port}" for port in ports))
        port, ops_port, own_port = ports
        config = configuration(project, folder, f"127.0.0.1:{ops_port}")
        settings = environment(
            PORT=str(port), OPS_PORT=str(ops_port), WORKERS="2", MODEL_WORKERS="2"
        )

        def start(name: str, *command: str | Path) -> ExitStack:
            log = (folder / name).with_suffix(".log")
            each = stack.enter_context(ExitStack())
            each.enter_context(running(*command, log=log, cwd=project, env=settings))
            return each

        subprocess.run([service, "migrate"], cwd=project, env=settings, check=True)
        start("service", service, "serve")
        start(
            "prometheus",
            prometheus,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{own_port}",
            "--enable-feature=exemplar-storage",
        )
        stop = Event()
        stack.callback(stop.set)
        Thread(target=load, args=(found.service, stop), daemon=True).start()
        first = start("model", model, "serve")
        wait_until(lambda: found.model_is(True), "the model answers")
        first.close()
        wait_until(lambda: found.model_is(False), "the model is gone")
        start("model", model, "serve")
        wait_until(lambda: found.model_is(True), "the model answers again")
        yield found


@pytest.mark.slow
def test_each_panel_of_the_dashboard_has_data(watched: Watched) -> None:
    board = json.loads((watched.project / MONITORING / "dashboard.json").read_text("utf-8"))
    variables = {f"${each['name']}": each["query"] for each in board["templating"]["list"]}
    assert variables == {"$service": SERVICE, "$model": MODEL}
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert len(expressions) > 20
    for expression in expressions:
        for name, value in {**variables, "$__rate_interval": "30s"}.items():
            expression = expression.replace(name, value)
        wait_until(partial(watched.values, expression), expression)


@pytest.mark.slow
def test_the_rules_are_loaded_and_record_something(watched: Watched) -> None:
    def evaluated() -> list[dict[str, Any]]:
        groups = watched.api("rules")["groups"]
        found = [rule for group in groups for rule in group["rules"]]
        return [] if any(rule["health"] == "unknown" for rule in found) else found

    rules = wait_until(evaluated, "the rules")
    names = [rule.get("record") or rule["alert"] for rule in rules_of(watched.project)]
    assert sorted(rule["name"] for rule in rules) == sorted(names)
    assert {rule["health"] for rule in rules} == {"ok"}
    for rule in rules:
        if rule["type"] == "recording":
            wait_until(partial(watched.values, rule["name"]), rule["name"])


def rules_of(project: Path) -> list[dict[str, Any]]:
    """All rules in the project's file."""
    content = yaml.safe_load((project / MONITORING / "rules.yml").read_text("utf-8"))
    return [rule for group in content["groups"] for rule in group["rules"]]


@pytest.mark.slow
def test_a_database_that_is_gone_is_told_by_a_service_that_is_up(watched: Watched) -> None:
    def told(value: float) -> bool:
        found = (watched.values(f'{name}{{job="{SERVICE}"}}') for name in ("service_ready", "up"))
        return list(found) == [[value], [1.0]]

    def rename(table: str, name: str) -> None:
        with closing(sqlite3.connect(watched.project / "var/service.db", timeout=30)) as database:
            database.execute(f"ALTER TABLE {table} RENAME TO {name}")

    wait_until(lambda: told(1.0), "ready")
    rename("alembic_version", "aside")
    try:
        wait_until(lambda: told(0.0), "not ready")
    finally:
        rename("aside", "alembic_version")
    wait_until(lambda: told(1.0), "ready again")


@pytest.mark.slow
def test_traces_arrive_as_exemplars(watched: Watched) -> None:
    for name in ("http_request_duration_seconds_bucket", "model_request_duration_seconds_bucket"):

        def traces(name: str = name) -> set[str]:
            now = time.time()
            between = {"start": str(now - 600), "end": str(now + 60)}
            found = watched.api("query_exemplars", query=name, **between)
            return {each["labels"]["trace_id"] for one in found for each in one["exemplars"]}

        assert wait_until(traces, name) == {TRACE}


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/metrics", "/metrics/model"])
def test_every_metric_is_named_by_the_conventions(watched: Watched, path: str) -> None:
    text = httpx.get(f"{watched.operations}{path}", timeout=30).content
    assert b"build_info" in text
    samples = [line for line in text.splitlines() if not line.startswith(b"#")]
    assert all((b'server="' in line) == (path == "/metrics/model") for line in samples)
    check = [program("promtool"), "check", "metrics"]
    done = subprocess.run(check, input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    bad = text.replace(b"process_cpu_seconds_total", b"process_cpu_milliseconds")
    assert subprocess.run(check, input=bad, capture_output=True, check=False).returncode


@pytest.mark.slow
def test_nothing_else_of_the_private_api_is_passed_on(watched: Watched) -> None:
    for path in ("/v2", "/metrics/v2", "/metrics/model/v2", "/metrics/..%2fv2", "/metrics/model/"):
        assert httpx.get(f"{watched.operations}{path}", timeout=30).status_code == 404
    assert httpx.post(f"{watched.operations}/metrics/model", timeout=30).status_code == 405


def test_each_alert_says_what_to_do_and_is_tested(stamp: Stamp, tmp_path: Path) -> None:
    project = stamp(tmp_path, history="none")
    alerts = [rule for rule in rules_of(project) if "alert" in rule]
    for alert in alerts:
        assert alert["labels"]["severity"] in ("page", "ticket")
        assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
    tests = yaml.safe_load((project / MONITORING / "rules_test.yml").read_text("utf-8"))["tests"]
    expected = [
        sample["labels"]
        for test in tests
        for expression in test["promql_expr_test"]
        for sample in expression["exp_samples"]
    ]
    for alert in alerts:
        assert any(f'alertname="{alert["alert"]}"' in labels for labels in expected), alert


def test_a_clusters_configuration_is_valid_but_for_what_promtool_lacks(
    stamp: Stamp, tmp_path: Path
) -> None:
    folder = stamp(tmp_path, history="none") / MONITORING
    config = yaml.safe_load((folder / "kubernetes.yml").read_text("utf-8"))
    for job in config["scrape_configs"]:
        assert job.pop("kubernetes_sd_configs")
    (folder / "rest.yml").write_text(yaml.safe_dump(config))
    run = [program("promtool"), "check", "config", "rest.yml"]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_rules_that_cannot_be_checked_are_told_and_fail_in_ci(stamp: Stamp, tmp_path: Path) -> None:
    project = stamp(tmp_path / "out", history="none")
    make = shutil.which("make")
    assert make
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sh").symlink_to("/bin/sh")

    def rules(**settings: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [make, "--silent", "rules"],
            cwd=project,
            env={"PATH": str(tmp_path / "bin"), **settings},
            capture_output=True,
            text=True,
            check=False,
        )

    done = rules()
    assert done.returncode == 0
    assert done.stdout.startswith("ALERT RULES NOT CHECKED")
    assert rules(CI="true").returncode
    (tmp_path / "bin/promtool").symlink_to(program("promtool"))
    done = rules(CI="true")
    assert (done.returncode, done.stdout) == (0, "")
    broken = project / MONITORING / "rules.yml"
    broken.write_text(broken.read_text().replace("14.4", "1440"))
    done = rules()
    assert done.returncode
    assert "FAILED" in done.stdout
