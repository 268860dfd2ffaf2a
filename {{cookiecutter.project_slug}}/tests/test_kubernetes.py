"""The Kubernetes manifests: valid, and what a team expects of them. No cluster takes part."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from conftest import CONTRACT, ROOT

SLUG = "{{ cookiecutter.project_slug }}"
KUBERNETES = ROOT / "deploy/kubernetes"
VERSIONS = ("1.33", "1.34", "1.35", "1.36", "1.37")
"""Of Kubernetes; native sidecars are stable from the first one on."""
POD = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "runAsGroup": 10001,
    "fsGroup": 10001,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
SECRET_SETTINGS = {"API_KEYS", "DATABASE_URL", "MODEL_TOKENS"}
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")

Object = dict[str, Any]


def render(folder: Path) -> list[Object]:
    """What `kubectl apply -k` would apply."""
    command = [str(ROOT / ".venv/bin/kubectl"), "kustomize", str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module")
def base() -> list[Object]:
    return render(KUBERNETES / "base")


@pytest.fixture(scope="module")
def separate() -> list[Object]:
    return render(KUBERNETES / "overlays/separate")


@pytest.fixture(scope="module")
def retrain() -> list[Object]:
    return render(KUBERNETES / "overlays/retrain")


@pytest.fixture(scope="module", params=["base", "separate", "retrain"])
def objects(request: pytest.FixtureRequest) -> list[Object]:
    found: list[Object] = request.getfixturevalue(request.param)
    return found


def of(objects: list[Object], kind: str) -> dict[str, Object]:
    """The objects of a kind by their names."""
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def templates(objects: list[Object]) -> list[Object]:
    """What the Pods are made from."""
    specs = [each.get("spec", {}) for each in objects]
    specs += [each["jobTemplate"]["spec"] for each in specs if "jobTemplate" in each]
    return [each["template"] for each in specs if "template" in each]


def containers(template: Object) -> list[Object]:
    """The containers of a Pod, its sidecar first."""
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]


def all_containers(objects: list[Object]) -> list[Object]:
    return [each for template in templates(objects) for each in containers(template)]


def side(container: Object) -> str:
    """Whose program a container runs: service or model."""
    return "model" if container["name"] in ("model", "train") else "service"


def settings(container: Object) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container["env"]}


def selects(labels: Object, template: Object) -> bool:
    """Whether a selector, `matchLabels` or a Service's, is for these Pods."""
    wanted = labels.get("matchLabels", labels)
    return bool(wanted) and wanted.items() <= template["metadata"]["labels"].items()


@pytest.mark.parametrize("version", VERSIONS)
def test_they_are_valid(objects: list[Object], version: str) -> None:
    for each in objects:
        kubernetes_validate.validate(each, version, strict=True)


def test_a_container_can_do_nothing_but_its_work(objects: list[Object]) -> None:
    for template in templates(objects):
        pod = template["spec"]
        assert pod["securityContext"] == POD
        assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & pod.keys()
        assert all(each.keys() & {"emptyDir", "secret"} for each in pod["volumes"])
    for container in all_containers(objects):
        assert container["securityContext"] == CONTAINER
    (namespace,) = of(objects, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {each["metadata"].get("namespace") for each in objects if each is not namespace} == {
        namespace["metadata"]["name"]
    }


def test_what_a_container_writes_is_in_memory_and_bounded(objects: list[Object]) -> None:
    for template in templates(objects):
        folders = [each for each in template["spec"]["volumes"] if "emptyDir" in each]
        for each in folders:
            assert each["emptyDir"]["medium"] == "Memory"
            assert each["emptyDir"]["sizeLimit"]
        names = {each["name"] for each in folders}
        for container in containers(template):
            mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
            assert mounts["/tmp"] in names


def test_every_container_has_its_share(objects: list[Object]) -> None:
    for container in all_containers(objects):
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        # No limit of CPU: the number of processes is one, and does not hold up a request.
        assert container["resources"]["limits"].keys() == {"memory"}


def test_a_release_says_which_images(objects: list[Object], tmp_path: Path) -> None:
    for container in all_containers(objects):
        assert container["image"] == f"{SLUG}-{side(container)}:unreleased"  # which nobody has
    digests = {unit: f"sha256:{number:064x}" for number, unit in enumerate(("service", "model"))}
    overlay = "overlays/separate" if of(objects, "Deployment").keys() > {SLUG} else "base"
    release = {
        "resources": [os.path.relpath(KUBERNETES / overlay, tmp_path)],
        "images": [
            {"name": f"{SLUG}-{unit}", "newName": f"registry.example/{unit}", "digest": digest}
            for unit, digest in digests.items()
        ],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(release))
    for container in all_containers(render(tmp_path)):
        unit = side(container)
        assert container["image"] == f"registry.example/{unit}@{digests[unit]}"


KUBECTL = """#!/bin/sh
shift
echo "$*" >> calls
case "$1 $2" in
  "get job"*) echo "$JOB";;
  "get pods") echo pod/before; echo pod/newest;;
  "exec "*) exit "$CHECKED";;
esac
"""
"""Notes what it is asked to do; there are two Pods, JOB is what became of the migrations and
CHECKED what a check comes to."""


def deploy(folder: Path, **environment: str) -> tuple[int, list[str]]:
    """The exit status of a deploy in an empty folder, and what kubectl was asked to do."""
    (folder / "deploy/kubernetes").mkdir(parents=True)
    (folder / "kubectl").write_text(KUBECTL)
    (folder / "kubectl").chmod(0o755)
    image = f"registry.example/it@sha256:{'0' * 64}"
    variables = {"SERVICE": image, "MODEL": image, "OVERLAY": "", "KUBECTL": "./kubectl"}
    done = subprocess.run(
        [sys.executable, str(KUBERNETES / "deploy.py")],
        cwd=folder,
        env={**os.environ, **variables, **environment},
        check=False,
    )
    return done.returncode, (folder / "calls").read_text().splitlines()


@pytest.mark.parametrize("status", [0, 1])
def test_a_deploy_ends_with_a_check_in_the_newest_pod(status: int, tmp_path: Path) -> None:
    ended, (*_, rollout, pods, check) = deploy(tmp_path, JOB="Complete", CHECKED=str(status))
    assert ended == status
    assert rollout.startswith("rollout status deployment ")
    assert pods.startswith("get pods --selector=app.kubernetes.io/component=service ")
    assert "--sort-by=.metadata.creationTimestamp" in pods
    assert check == "exec pod/newest --container=service -- service check"


def test_a_deploy_ends_where_the_migrations_fail(tmp_path: Path) -> None:
    ended, calls = deploy(tmp_path, JOB="FailureTarget Failed")
    assert ended == 1
    assert calls[-1].startswith(f"logs --selector=job-name={SLUG}-migrate ")
    assert len([call for call in calls if call.startswith("apply")]) == 1  # the migrations


def test_no_secret_is_in_a_manifest(objects: list[Object]) -> None:
    assert not of(objects, "Secret")
    for container in all_containers(objects):
        assert not SECRET_SETTINGS & settings(container).keys()


def test_a_container_is_given_settings_that_there_are_and_the_secrets_that_it_needs(
    objects: list[Object],
) -> None:
    for template in templates(objects):
        files = {
            each["name"]: {item["path"] for item in each["secret"].get("items", [])}
            for each in template["spec"]["volumes"]
            if "secret" in each
        }
        for container in containers(template):
            unit = side(container)
            text = (ROOT / unit / "src" / unit / "settings.py").read_text("utf-8")
            known = {name.upper() for name in re.findall(r"^    (\w+): ", text, re.M)}
            assert settings(container).keys() <= known
            mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
            for setting, value in settings(container).items():
                if setting.endswith(("_FILE", "_CA", "_CERT", "_KEY")):
                    folder, _, name = value.rpartition("/")
                    assert name in (files[mounts[folder]] or {name})
            if container["name"] == "model":
                assert files[mounts["/run/secrets"]] == {"model_tokens"}


def test_commands_are_there(objects: list[Object]) -> None:
    for container in all_containers(objects):
        commands = [container["command"]]
        for probe in PROBES:
            commands += [it["command"] for it in [container.get(probe, {}).get("exec")] if it]
        for program, *_ in commands:
            assert (ROOT / side(container) / ".venv/bin" / program).is_file()


def test_what_a_schedule_trains_is_what_the_model_server_follows(retrain: list[Object]) -> None:
    (job,) = (each["spec"] for each in of(retrain, "CronJob").values())
    assert job["concurrencyPolicy"] == "Forbid"
    template = job["jobTemplate"]["spec"]["template"]
    export, train = containers(template)
    (served,) = (each for each in all_containers(retrain) if each["name"] == "model")
    for container in (train, served):
        assert settings(container)["MODEL_STORE"] == settings(train)["MODEL_STORE"]
        (folder,) = (it["mountPath"] for it in container["volumeMounts"] if "tmp" in it["name"])
        assert Path(settings(container)["MODEL_CACHE"]).parent == Path(folder)
        assert container["envFrom"] == train["envFrom"]
    # The database's password is not the trainer's business.
    assert "/run/secrets" in {each["mountPath"] for each in export["volumeMounts"]}
    assert "/run/secrets" not in {each["mountPath"] for each in train["volumeMounts"]}
    assert export["command"][-1] in train["command"]
    command = [str(ROOT / "model/.venv/bin/model"), *train["command"][1:]]
    done = subprocess.run([*command, "--help"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_sidecar_stops_nobody(base: list[Object]) -> None:
    (template,) = (each for each in templates(base) if "initContainers" in each["spec"])
    sidecar, service = containers(template)
    assert sidecar["restartPolicy"] == "Always"
    assert [probe for probe in PROBES if probe in sidecar] == ["livenessProbe"]
    # The folder of a volume belongs to root: the server makes one in it that is its own.
    url = settings(sidecar)["MODEL_URL"]
    assert url == settings(service)["MODEL_URL"]
    for container in (sidecar, service):
        (path,) = (it["mountPath"] for it in container["volumeMounts"] if it["name"] == "model")
        assert Path(url.removeprefix("http+unix://")).parent.parent == Path(path)


def test_the_service_is_ready_while_it_can_answer(objects: list[Object]) -> None:
    (service,) = (each for each in all_containers(objects) if each["name"] == "service")
    asked = {probe: service[probe]["httpGet"] for probe in PROBES}
    assert asked == {
        "startupProbe": {"path": "/livez", "port": "http"},
        "readinessProbe": {"path": "/readyz", "port": "http"},
        "livenessProbe": {"path": "/livez", "port": "http"},
    }
    ports = {each["name"]: str(each["containerPort"]) for each in service["ports"]}
    given = settings(service)
    assert ports == {"http": given["PORT"], "ops": given["OPS_PORT"]}


def test_a_rollout_loses_no_request(objects: list[Object]) -> None:
    text = (ROOT / "model/src/model/serving/server.py").read_text("utf-8")
    (model_seconds,) = re.findall(r"^STOP_SECONDS = (\d+)", text, re.M)
    for deployment in of(objects, "Deployment").values():
        assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        assert deployment["spec"]["minReadySeconds"] > 0
        assert "replicas" not in deployment["spec"]  # or each `apply` would undo what was scaled
        template = deployment["spec"]["template"]
        (main,) = template["spec"]["containers"]
        seconds = main["lifecycle"]["preStop"]["sleep"]["seconds"]
        for each in containers(template):  # a sidecar is stopped after the others
            known = {"GRACEFUL_TIMEOUT": model_seconds} if side(each) == "model" else settings(each)
            seconds += int(known["GRACEFUL_TIMEOUT"])
        assert template["spec"]["terminationGracePeriodSeconds"] >= seconds + 5


def test_what_belongs_to_a_deployment_selects_its_pods(objects: list[Object]) -> None:
    pods = templates(objects)
    for name, deployment in of(objects, "Deployment").items():
        template = deployment["spec"]["template"]
        (main,) = template["spec"]["containers"]
        service, budget, scaler = (
            of(objects, kind)[name]["spec"]
            for kind in ("Service", "PodDisruptionBudget", "HorizontalPodAutoscaler")
        )
        spread = template["spec"]["topologySpreadConstraints"]
        for selector in (
            deployment["spec"]["selector"],
            service["selector"],
            budget["selector"],
            *(each["labelSelector"] for each in spread),
        ):
            assert [each for each in pods if selects(selector, each)] == [template]
        assert {each["targetPort"] for each in service["ports"]} <= {
            each["name"] for each in main["ports"]
        }
        assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (
            1,
            "AlwaysAllow",
        )
        assert scaler["scaleTargetRef"]["name"] == name
        (metric,) = scaler["metrics"]
        assert metric["containerResource"]["container"] == main["name"]
        assert scaler["minReplicas"] > 1
    for each in objects:
        assert {"app.kubernetes.io/name", "team"} <= each["metadata"]["labels"].keys()


def test_anybody_reaches_the_service_and_monitoring_its_metrics(objects: list[Object]) -> None:
    policy = of(objects, "NetworkPolicy")[SLUG]["spec"]
    (service,) = (each for each in templates(objects) if selects(policy["podSelector"], each))
    assert service["spec"]["containers"][0]["name"] == "service"
    public, operations = policy["ingress"]
    assert public == {"ports": [{"port": "http"}]}
    assert operations["ports"] == [{"port": "ops"}]
    assert operations["from"]


def test_prometheus_finds_the_services_pods_alone(objects: list[Object]) -> None:
    config, cluster = (
        yaml.safe_load((ROOT / "deploy/monitoring" / name).read_text("utf-8"))
        for name in ("prometheus.yml", "kubernetes.yml")
    )
    jobs = cluster.pop("scrape_configs")
    asked = {each["job_name"]: each.get("metrics_path") for each in config.pop("scrape_configs")}
    assert {each["job_name"]: each.get("metrics_path") for each in jobs} == asked
    assert cluster == config
    (namespace,) = of(objects, "Namespace")
    for job in jobs:
        (discovered,) = job["kubernetes_sd_configs"]
        assert (discovered["role"], discovered["namespaces"]) == ("pod", {"names": [namespace]})
        (selector,) = discovered["selectors"]
        label, _, value = selector["label"].partition("=")
        port, instance = job["relabel_configs"]
        assert port["source_labels"] == ["__meta_kubernetes_pod_container_port_name"]
        found = [
            (container["name"], each["name"])
            for template in templates(objects)
            if selects({label: value}, template)
            for container in containers(template)
            for each in container.get("ports", [])
            if port["action"] == "keep" and re.fullmatch(port["regex"], each["name"])
        ]
        assert found == [("service", "ops")]
        assert instance["target_label"] == "instance"  # by which an alert compares both jobs


def test_the_service_alone_reaches_a_separate_model(separate: list[Object]) -> None:
    policy = of(separate, "NetworkPolicy")[f"{SLUG}-model"]["spec"]
    service, model = (each["spec"]["template"] for each in of(separate, "Deployment").values())
    assert [each for each in templates(separate) if selects(policy["podSelector"], each)] == [model]
    assert (policy["policyTypes"], "egress" in policy) == (["Ingress", "Egress"], False)
    (ingress,) = policy["ingress"]
    (caller,) = ingress["from"]
    assert caller.keys() == {"podSelector"}
    callers = [each for each in templates(separate) if selects(caller["podSelector"], each)]
    assert callers == [service]
    # It may have no effect. So both sides show a certificate as well.
    called, serving = (settings(each["spec"]["containers"][0]) for each in (service, model))
    assert serving.keys() >= {"MODEL_CA", "MODEL_SERVER_CERT", "MODEL_SERVER_KEY"}
    assert called.keys() >= {"MODEL_CA", "MODEL_CLIENT_CERT", "MODEL_CLIENT_KEY"}
    assert serving["MODEL_URL"] == "https://0.0.0.0:9000"
    # A model of another contract has another name, and serves beside the one before.
    number = max(int(path.stem) for path in (CONTRACT / "golden").glob("*.json"))
    name = f"{SLUG}-model-{number}"
    assert called["MODEL_URL"] == f"https://{name}:9000"
    assert of(separate, "Service")[name]["spec"]["selector"]["contract"] == str(number)
    main = model["spec"]["containers"][0]
    probes = [main[probe]["exec"]["command"] for probe in ("readinessProbe", "livenessProbe")]
    assert probes == [["model-check"]] * 2
