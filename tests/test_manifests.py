"""Each test of a project's manifests and units fails on one that is wrong in its respect."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from test_projects import environment, on_the_bench

Stamp = Callable[..., Path]

BASE, SEPARATE = "base/deployment.yaml", "overlays/separate/model/deployment.yaml"
NETWORK, SCALING = "base/network.yaml", "base/scaling.yaml"
PROMETHEUS = "../monitoring/kubernetes.yml"

Breaks = dict[str, list[tuple[str, str, str]]]

KUBERNETES: Breaks = {
    "they_are_valid": [
        (BASE, "sleep: {seconds: 5}", "sleep: {second: 5}"),
        (BASE, "restartPolicy: Always", "restartsPolicy: Always"),
        (SCALING, "unhealthyPodEvictionPolicy", "unhealthyEvictionPolicy"),
        (SEPARATE, "timeoutSeconds: 5", 'timeoutSeconds: "5"'),
    ],
    "a_container_can_do_nothing_but_its_work": [
        (BASE, "runAsNonRoot: true", "runAsNonRoot: false"),
        (BASE, "seccompProfile: {type: RuntimeDefault}", "seccompProfile: {type: Unconfined}"),
        (BASE, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"),
        (BASE, "drop: [ALL]", "drop: [NET_RAW]"),
        (BASE, "automountServiceAccountToken: false", "automountServiceAccountToken: true"),
        (BASE, "enableServiceLinks: false", "enableServiceLinks: true"),
        (BASE, "emptyDir: {medium: Memory, sizeLimit: 1Mi}", "hostPath: {path: /run}"),
        ("base/migrate.yaml", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true"),
        ("base/namespace.yaml", "restricted", "baseline"),
    ],
    "what_a_container_writes_is_in_memory_and_bounded": [
        (BASE, "{medium: Memory, sizeLimit: 16Mi}", "{medium: Memory}"),
        (SEPARATE, "medium: Memory, ", ""),
        (BASE, "{name: tmp, mountPath: /tmp}", "{name: tmp, mountPath: /var/tmp}"),
    ],
    "every_container_has_its_share": [
        (BASE, "limits: {memory: 512Mi}", "limits: {cpu: 500m}"),
        ("base/migrate.yaml", "requests: {cpu: 100m, memory: 64Mi}", "requests: {cpu: 100m}"),
    ],
    "a_release_says_which_images": [
        (BASE, "-service:unreleased", "-service:latest"),
        (SEPARATE, "-model:unreleased", "-models:unreleased"),
    ],
    "a_deploy_ends_with_a_check_in_the_newest_pod": [
        ("deploy.py", '"service", "check")', '"service", "migrate")'),
        ("deploy.py", "return pods[-1]", "return pods[0]"),
        ("deploy.py", "        sys.exit(running.returncode)", "        pass"),
    ],
    "a_deploy_ends_where_the_migrations_fail": [
        ("deploy.py", "            sys.exit(", "            return print("),
    ],
    "no_secret_is_in_a_manifest": [
        ("base/kustomization.yaml", "resources:", "secretGenerator: [{name: it}]\nresources:"),
        (BASE, "API_KEYS_FILE, value: /run/secrets/api_keys", "API_KEYS, value: it"),
    ],
    "a_container_is_given_settings": [
        (BASE, "GRACEFUL_TIMEOUT", "GRACE_TIMEOUT"),
        (BASE, "value: /run/secrets/model_tokens", "value: /run/secrets/tokens"),
        (SEPARATE, "value: /run/tls/ca.crt", "value: /run/ca.crt"),
        (BASE, "mountPath: /run/secrets", "mountPath: /run/secret"),
        (BASE, "{key: model_tokens, path: model_tokens}", "{key: model_tokens, path: it}"),
    ],
    "commands_are_there": [
        (BASE, "command: [model-check]", "command: [model-checks]"),
        ("base/migrate.yaml", "command: [service, migrate]", "command: [services, migrate]"),
    ],
    "what_a_schedule_trains": [
        ("overlays/retrain/cronjob.yaml", "concurrencyPolicy: Forbid", "concurrencyPolicy: Allow"),
    ],
    "the_sidecar_stops_nobody": [
        (BASE, "restartPolicy: Always", "restartPolicy: Never"),
        (BASE, "livenessProbe:\n            exec", "readinessProbe:\n            exec"),
        (BASE, "livenessProbe:\n            exec", "startupProbe:\n            exec"),
        (BASE, "/run/model/private/model.sock", "/run/model/model.sock"),
        (BASE, "{name: model, mountPath: /run/model}", "{name: model, mountPath: /run/models}"),
    ],
    "the_service_is_ready_while_it_can_answer": [
        (BASE, "path: /readyz", "path: /livez"),
        (BASE, "containerPort: 8100", "containerPort: 8000"),
    ],
    "a_rollout_loses_no_request": [
        (BASE, "maxUnavailable: 0", "maxUnavailable: 1"),
        (BASE, "minReadySeconds: 10", "minReadySeconds: 10\n  replicas: 2"),
        (BASE, "terminationGracePeriodSeconds: 40", "terminationGracePeriodSeconds: 30"),
        (BASE, 'GRACEFUL_TIMEOUT, value: "20"', 'GRACEFUL_TIMEOUT, value: "60"'),
        (SEPARATE, "sleep: {seconds: 5}", "sleep: {seconds: 10}"),
    ],
    "what_belongs_to_a_deployment_selects_its_pods": [
        ("base/service.yaml", "component: service\n  ports", "component: model\n  ports"),
        ("base/service.yaml", "targetPort: http", "targetPort: web"),
        (SCALING, "container: service", "container: web"),
        (SCALING, "kind: Deployment, name: ", "kind: Deployment, name: the-"),
        (SCALING, "maxUnavailable: 1", "maxUnavailable: 0"),
        (SCALING, "AlwaysAllow", "IfHealthyBudget"),
        (SCALING, "matchLabels:\n      app.kubernetes.io/component: service", "matchLabels: {}"),
        ("base/kustomization.yaml", "      team:", "      owner:"),
    ],
    "anybody_reaches_the_service_and_monitoring_its_metrics": [
        (NETWORK, "- {port: http}", "- {port: ops}"),
        (NETWORK, "from:\n        - namespaceSelector", "from: []\n      x:\n        - it"),
        (NETWORK, "component: service\n  policyTypes", "component: migrate\n  policyTypes"),
    ],
    "prometheus_finds_the_services_pods_alone": [
        (BASE, "{name: ops, containerPort", "{name: metrics, containerPort"),
        ("base/kustomization.yaml", "namespace: order", "namespace: the-order"),
        (PROMETHEUS, "regex: ops", "regex: ops|http"),
        (PROMETHEUS, "kubernetes.io/name=", "kubernetes.io/component="),
        (PROMETHEUS, "/metrics/model", "/metrics"),
        (PROMETHEUS, "rules.yml", "rule.yml"),
    ],
    "the_service_alone_reaches_a_separate_model": [
        ("overlays/separate/network.yaml", "component: service", "component: migrate"),
        ("overlays/separate/network.yaml", "- podSelector", "- namespaceSelector"),
        ("overlays/separate/network.yaml", "[Ingress, Egress]", "[Ingress]"),
        ("overlays/separate/service.yaml", "-model-1:9000", "-model:9000"),
        ("overlays/separate/service.yaml", "https://", "http://"),
        ("overlays/separate/service.yaml", "MODEL_CLIENT_CERT", "MODEL_CLIENT_CA"),
        ("overlays/separate/model/kustomization.yaml", 'contract: "1"', 'contract: "2"'),
        (SEPARATE, "MODEL_SERVER_KEY", "MODEL_KEY"),
        (SEPARATE, "exec: {command: [model-check]}", "tcpSocket: {port: https}"),
    ],
}


MODEL, SERVICE, CHECK = "model.service", "service.service", "check.service"
HARDENED = "hardened.conf"

SYSTEMD: Breaks = {
    "they_are_valid": [
        (MODEL, "MemoryMax=512M", "MemoryMax=much"),
        (HARDENED, "ProtectSystem=", "ProtectsSystem="),
        (SERVICE, "/bin/service migrate", "/bin/services migrate"),
        (CHECK, "service check", "service check\nRestart=always"),
    ],
    "a_unit_can_do_little_but_its_work": [
        (HARDENED, "SystemCallFilter=@system-service\n", ""),
        (HARDENED, "CapabilityBoundingSet=", "#"),
        (HARDENED, "RestrictNamespaces=yes\n", "AmbientCapabilities=CAP_SYS_ADMIN\n"),
        (MODEL, "PrivateNetwork=yes\n", "SystemCallFilter=@privileged\nNoNewPrivileges=no\n"),
    ],
    "the_model_server_has_no_network": [
        (MODEL, "PrivateNetwork=yes", "PrivateNetwork=no"),
        (MODEL, "RestrictAddressFamilies=AF_UNIX", "RestrictAddressFamilies=AF_UNIX AF_INET"),
        (MODEL, "http+unix:///run/", "http+unix:///tmp/"),
    ],
    "each_side_knows_the_user_of_the_other": [
        ("sysusers.conf", "m order", "#m order"),
        (SERVICE, "User=order-wait-times-service", "User=order-wait-times-model"),
        (MODEL, "MODEL_PEERS=order-wait-times-service", "MODEL_PEERS=order-wait-times"),
        (CHECK, "MODEL_PEERS=order-wait-times-model", "MODEL_PEERS=0"),
        (HARDENED, "PrivateTmp=yes", "PrivateTmp=yes\nPrivateUsers=yes"),
        (MODEL, "RuntimeDirectoryMode=0710", "RuntimeDirectoryMode=0711"),
    ],
    "secrets_are_files_that_systemd_hands_over": [
        (SERVICE, "DATABASE_URL_FILE=%d/database_url", "DATABASE_URL=postgresql://a:b@c/d"),
        (SERVICE, "LoadCredential=api_keys:/etc/order-wait-times/api_keys\n", ""),
        (MODEL, "%d/model_tokens", "/etc/order-wait-times/model_tokens"),
        (CHECK, "/etc/order-wait-times/api_keys", "/etc/order-wait-times/keys"),
        (
            MODEL,
            "RuntimeDirectory=order-wait-times\n",
            "LoadCredential=database_url:/etc/order-wait-times/database_url\n",
        ),
    ],
    "they_are_given_settings": [
        (MODEL, "MODEL_STORE", "MODEL_STORES"),
        (SERVICE, "/run/order-wait-times/model.sock", "/run/order-wait-times/other.sock"),
        (CHECK, "/run/order-wait-times/model.sock", "/run/order-wait-times/other.sock"),
    ],
    "what_is_under_way_is_finished_before_a_stop": [
        (MODEL, "TimeoutStopSec=15", "TimeoutStopSec=10"),
        (SERVICE, "GRACEFUL_TIMEOUT=20", "GRACEFUL_TIMEOUT=30"),
        (SERVICE, "KillMode=mixed", "KillMode=control-group"),
        (MODEL, "Restart=always", "Restart=on-failure"),
    ],
    "the_service_migrates_first_and_starts_without_its_model": [
        (SERVICE, "ExecStartPre", "ExecStartPost"),
        (SERVICE, "Wants=network-online.target ", "Requires="),
    ],
}

TRY = """
import contextlib, io, json, pathlib, sys
import pytest

def run(name):
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = pytest.main([f"tests/test_{sys.argv[1]}.py", "-k", name])
    return int(status), said.getvalue()

print(json.dumps(["", *run("")]), flush=True)
for name, file, old, new in json.load(sys.stdin):
    path = pathlib.Path("deploy", sys.argv[1], file)
    text = path.read_text("utf-8")
    assert old in text, (file, old)
    path.write_text(text.replace(old, new), "utf-8")
    print(json.dumps([(file, old, new), *run(name)]), flush=True)
    path.write_text(text, "utf-8")
"""
"""Runs the tests of a suite, then those of each break's name with the break; in one process, since
starting takes nine tenths of the time."""

SUITES = [("kubernetes", KUBERNETES), ("systemd", SYSTEMD)]


@pytest.mark.slow
@pytest.mark.parametrize(("suite", "breaks"), SUITES, ids=["kubernetes", "systemd"])
def test_a_wrong_manifest_is_found(
    suite: str, breaks: Breaks, stamp: Stamp, tmp_path: Path
) -> None:
    project = on_the_bench(stamp(tmp_path / "out"))
    subprocess.run(["make", "--silent", "setup"], cwd=project, env=environment(), check=True)

    every = [(name, *change) for name, changes in breaks.items() for change in changes]
    done = subprocess.run(
        [".venv/bin/python", "-c", TRY, suite],
        cwd=project,
        input=json.dumps(every),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    for line in done.stdout.splitlines():
        change, status, said = json.loads(line)
        assert status == (1 if change else 0), (change, said)
        assert "CalledProcessError" not in said, (change, said)  # it could be rendered


@pytest.mark.parametrize(("suite", "breaks"), SUITES, ids=["kubernetes", "systemd"])
def test_every_test_is_tried(suite: str, breaks: Breaks, stamp: Stamp, tmp_path: Path) -> None:
    text = (stamp(tmp_path) / f"tests/test_{suite}.py").read_text("utf-8")
    names = [line.partition("(")[0] for line in text.splitlines() if line.startswith("def test_")]
    assert len(names) == len(breaks)
    assert all(any(name.startswith(f"def test_{each}") for each in breaks) for name in names)
