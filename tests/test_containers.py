"""The default project in containers: its images, the pair by compose, and rolling updates."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from balancer import balanced
from conftest import reserved_port
from containers import PYTHON, Engine, engine, run
from test_projects import environment

Stamp = Callable[..., Path]
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("containers")]
NAME = "order-wait-times"
MEGABYTE = 1_000_000
MANIFESTS = ("oci.image.manifest.v1", "docker.distribution.manifest.v2")
ASK = """
import socket
with socket.socket(socket.AF_UNIX) as caller:
    try:
        caller.connect({path!r})
        caller.sendall(b"GET /v2/models/order-wait-times HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        print(caller.recv(12) or "closed without an answer")
    except (BrokenPipeError, ConnectionResetError):
        print("closed without an answer")
    except OSError as error:
        print(type(error).__name__)
"""


@dataclass(frozen=True)
class Stack:
    """The pair, running by compose.

    Attributes:
        url: of the service.
        prometheus: the address of Prometheus.
        grafana: the address of what stands in for Grafana.
        output: what `make compose-up` printed.
        tag: of the images.
    """

    project: Path
    engine: Engine
    url: str
    prometheus: str
    grafana: str
    output: str
    tag: str

    def image(self, unit: str) -> str:
        """The name of a unit's image."""
        return f"{NAME}-{unit}:{self.tag}"

    def container(self, unit: str) -> str:
        """The name of a unit's container."""
        return ("-" if self.engine.name == "docker" else "_").join((NAME, unit, "1"))

    def inspect(self, what: str, part: str) -> Any:
        """A part of what the engine tells about a container or an image."""
        return json.loads(self.engine("inspect", "--format", f"{{{{json {part}}}}}", what))


def make(project: Path, *targets: str, **settings: str) -> str:
    """What `make` prints, in a stamped-out project."""
    return run("make", *targets, cwd=project, env=environment(**settings))


@pytest.fixture(scope="module")
def project(stamp: Stamp, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default project, as it is cloned."""
    project = stamp(tmp_path_factory.mktemp("containers"))
    git = ("git", "-c", "user.name=x", "-c", "user.email=x@example.org")
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-qm", "first")):
        run(*git, *arguments, cwd=project)
    return project


@pytest.fixture(scope="module", params=["podman", "docker"])
def stack(request: pytest.FixtureRequest, project: Path) -> Iterator[Stack]:
    """What one command makes of a clone."""
    tag, use = run("git", "describe", "--always", cwd=project).strip(), engine(request.param)
    with reserved_port() as port, reserved_port() as prometheus, reserved_port() as grafana:
        ports = {"PORT": port, "PROMETHEUS_PORT": prometheus, "GRAFANA_PORT": grafana}
        settings = {**use.environment, **{name: str(each) for name, each in ports.items()}}
        try:
            start = time.monotonic()
            output = make(project, "compose-up", MONITORING="1", **settings)
            print(f"from a clone to the first order: {time.monotonic() - start:.0f} s")
            urls = [f"http://127.0.0.1:{each}" for each in ports.values()]
            yield Stack(project, use, urls[0], urls[1], urls[2], output, tag)
        finally:
            compose = [*use.environment["COMPOSE"].split(), "--file", "deploy/compose.yaml"]
            down = ["--profile", "monitoring", "down", "--volumes"]
            run(*compose, *down, cwd=project, env=environment(TAG=tag, **settings))


def test_one_command_goes_from_a_clone_to_the_first_order(stack: Stack) -> None:
    assert '"served_by": "model"' in stack.output
    key = (stack.project / "deploy/secrets/api_key").read_text().strip()
    found = httpx.get(f"{stack.url}/orders/1", headers={"Authorization": f"Bearer {key}"})
    assert found.json()["metadata"]["served_by"] == "model"
    assert httpx.get(f"{stack.url}/orders/1").status_code == 401


def test_the_pair_runs_with_no_more_rights_than_it_needs(stack: Stack) -> None:
    for unit in ("service", "model"):
        container = stack.container(unit)
        host = stack.inspect(container, ".HostConfig")
        assert host["ReadonlyRootfs"]
        assert host["Memory"]
        status = stack.engine("exec", container, "cat", "/proc/1/status")
        lines = dict(line.split(":", 1) for line in status.splitlines())
        assert int(lines["CapEff"], 16) == int(lines["CapBnd"], 16) == 0
        assert lines["NoNewPrivs"].strip() == "1"
        assert set(lines["Uid"].split()) == set(lines["Gid"].split()) == {"10001"}
        with pytest.raises(AssertionError, match="Read-only file system"):
            stack.engine("exec", container, "touch", "/app/here")


def test_the_pair_is_watched(stack: Stack) -> None:
    def up() -> dict[str, str]:
        found = httpx.get(f"{stack.prometheus}/api/v1/query", params={"query": "up"}).json()
        return {each["metric"]["job"]: each["value"][1] for each in found["data"]["result"]}

    wait_until_answers(f"{stack.prometheus}/-/ready")
    deadline = time.monotonic() + 60
    while up() != {f"{NAME}-service": "1", f"{NAME}-model": "1"}:
        assert time.monotonic() < deadline, up()
        time.sleep(0.5)
    rules = httpx.get(f"{stack.prometheus}/api/v1/rules").json()["data"]["groups"]
    assert {"objectives", "alerts"} <= {group["name"] for group in rules}


def test_grafana_has_what_it_shows(stack: Stack) -> None:
    """In the places that Grafana looks at; no Grafana can be had here to show it."""

    def read(path: str) -> Any:
        answer = httpx.get(f"{stack.grafana}{path}")
        assert answer.is_success, path
        return yaml.safe_load(answer.text)

    wait_until_answers(stack.grafana)
    environment = set(stack.inspect(stack.container("grafana"), ".Config.Env"))
    assert environment >= {
        "GF_PATHS_PROVISIONING=/etc/monitoring/grafana",
        # Nobody can log in, and least of all as admin.
        "GF_AUTH_BASIC_ENABLED=false",
        "GF_AUTH_DISABLE_LOGIN_FORM=true",
        "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION=true",
    }
    (source,) = read("/etc/monitoring/grafana/datasources/prometheus.yml")["datasources"]
    ask = f"from urllib.request import urlopen; urlopen('{source['url']}/-/ready')"
    stack.engine("exec", stack.container("grafana"), "python3", "-c", ask)
    (provider,) = read("/etc/monitoring/grafana/dashboards/files.yml")["providers"]
    assert read(f"{provider['options']['path']}/dashboard.json")["panels"]


def test_the_secrets_stand_in_files_alone(stack: Stack) -> None:
    secrets = [path.read_text().strip() for path in stack.project.glob("deploy/secrets/*")]
    assert len(secrets) == 5
    for unit in ("service", "model", "migrate"):
        told = json.dumps(stack.inspect(stack.container(unit), "."))
        assert not [each for each in secrets if each in told]
    tracked = run("git", "ls-files", "--others", "--exclude-standard", cwd=stack.project)
    assert "secrets" not in tracked


def test_nobody_but_the_service_reaches_the_model(stack: Stack) -> None:
    use, model, image = stack.engine, stack.container("model"), stack.image("service")
    # By a network: it has no interface but its own loopback, and listens at no address.
    interfaces = use("exec", model, "cat", "/proc/net/dev").splitlines()[2:]
    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]
    for table in ("tcp", "tcp6", "udp", "udp6"):
        assert use("exec", model, "cat", f"/proc/net/{table}").count("\n") == 1
    resolve = "import socket; socket.getaddrinfo('model', 80)"
    with pytest.raises(AssertionError, match="gaierror"):
        use("run", "--rm", f"--network={NAME}_data", image, "python", "-c", resolve)
    # By its socket, from the host: as somebody else, and as root.
    volume = f"{NAME}_socket"
    folder = use("volume", "inspect", "--format", "{{.Mountpoint}}", volume).strip()
    ask = [sys.executable, "-c", ASK.format(path=f"{folder}/model.sock")]
    stranger = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    assert "PermissionError" in run(*stranger, "/usr/bin/python3", *ask[1:])
    assert "closed without an answer" in run(*ask)
    # By its socket, from another container: of another user, and without the token.
    inside = ["run", "--rm", "--network=none", f"--volume={volume}:/run/model"]
    ask = ["python", "-c", ASK.format(path="/run/model/model.sock")]
    assert "PermissionError" in use(*inside, "--user=10002", image, *ask)
    assert "HTTP/1.1 401" in use(*inside, image, *ask)


def test_an_image_holds_what_it_runs_and_no_more(stack: Stack) -> None:
    base = stack.inspect(PYTHON, ".Size")
    for unit, limit in (("service", 180), ("model", 260)):
        image = stack.image(unit)
        size = (stack.inspect(image, ".Size") - base) / MEGABYTE
        print(f"{unit}: {size:.0f} MB over its base")
        assert size <= limit
        labels = stack.inspect(image, ".Config.Labels")
        assert labels["org.opencontainers.image.vendor"] == "orders"
        log = (stack.project / "artifacts/log.jsonl").read_text("utf-8")
        current = json.loads(log.splitlines()[-1])["to"]
        version = {"service": stack.tag, "model": current}[unit]
        assert labels["org.opencontainers.image.version"] == version
        commit = run("git", "rev-parse", "HEAD", cwd=stack.project).strip()
        assert labels["org.opencontainers.image.revision"] == commit
        look = ["run", "--rm", "--network=none", image, "sh", "-c"]
        own = "find /app ! -user root -o ! -type l -perm /022 | head"
        assert stack.engine(*look, own) == ""
        tools = (
            "for each in pip uv gcc cc; do command -v $each && exit; done; python -c 'import pip'"
        )
        with pytest.raises(AssertionError, match="No module named 'pip'"):
            stack.engine(*look, tools)
        compiled = "find /app/code /app/.venv -name '*.py' | wc -l; find /app -name '*.pyc' | wc -l"
        sources, byte_code = map(int, stack.engine(*look, compiled).split())
        assert byte_code >= 0.95 * sources
        installed = json.loads((stack.project / f"build/{NAME}-{unit}.cdx.json").read_text())
        listed = {each["name"].replace("_", "-") for each in installed["components"]}
        there = "from importlib.metadata import distributions as d; print(*(x.name for x in d()))"
        found = set(stack.engine("run", "--rm", image, "python", "-c", there).split())
        assert {each.lower().replace("_", "-") for each in found} - listed <= {
            *("contract", unit, "pip")
        }
        if unit == "model":
            assert not found & {"scikit-learn", "pandas", "joblib", "onnx", "pyarrow"}


@pytest.mark.parametrize("stack", ["podman"], indirect=True)  # docker here is too old for it
def test_the_same_commit_gives_the_same_layers_by_buildah_too(stack: Stack, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    run("git", "clone", "-q", stack.project, clone)
    shutil.copytree(stack.project / "artifacts", clone / "artifacts")
    for unit in (".venv", "service/.venv", "model/.venv"):
        (clone / unit).symlink_to(stack.project / unit)
    flags = stack.engine.environment["BUILD_FLAGS"] + " --no-cache"
    again = {"BUILDER": "buildah", "BUILD_FLAGS": flags, "TAG": "again"}
    settings = {**stack.engine.environment, **again}
    command = ("model/.venv/bin/python", "deploy/images/images.py", "build")
    run(*command, cwd=clone, env=environment(**settings))
    for unit in ("service", "model"):
        first = stack.inspect(stack.image(unit), ".RootFS.Layers")
        assert stack.inspect(f"{NAME}-{unit}:again", ".RootFS.Layers") == first


@pytest.mark.parametrize("stack", ["podman"], indirect=True)
def test_an_image_may_hold_what_tells_of_traces_and_errors(stack: Stack) -> None:
    make(stack.project, "images", EXTRAS="1", TAG="extras", **stack.engine.environment)
    python = ("run", "--rm", "--network=none", f"{NAME}-service:extras", "python", "-c")
    stack.engine(*python, "import opentelemetry.exporter.otlp.proto.http, sentry_sdk")


def test_what_is_pushed_is_deployed_by_its_digest(stack: Stack, tmp_path: Path) -> None:
    with registry(tmp_path) as host:
        names = {"REGISTRY": f"{host}/orders/", "TAG": stack.tag}
        for unit in ("service", "model"):
            stack.engine("tag", stack.image(unit), f"{names['REGISTRY']}{stack.image(unit)}")
        flags = "--tls-verify=false" if stack.engine.name == "podman" else ""
        make(stack.project, "push", PUSH_FLAGS=flags, **names, **stack.engine.environment)
        release = (stack.project / "build/release.env").read_text()
        images = dict(line.split("=", 1) for line in release.splitlines())
        for unit, image in (("service", images["SERVICE"]), ("model", images["MODEL"])):
            manifest = f"http://{host}/v2/orders/{NAME}-{unit}/manifests/{stack.tag}"
            kinds = ", ".join(f"application/vnd.{each}+json" for each in MANIFESTS)
            digest = httpx.head(manifest, headers={"Accept": kinds}).headers[
                "docker-content-digest"
            ]
            assert image == f"{host}/orders/{NAME}-{unit}@{digest}"
    told = tmp_path / "kubectl"
    told.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\necho Complete pod/one\n')
    told.chmod(0o755)
    make(stack.project, "deploy", KUBECTL=str(told), **images)
    calls = [line.split(" ", 1)[1] for line in (tmp_path / "calls").read_text().splitlines()]
    applied = "apply --kustomize=deploy/kubernetes/release"
    assert [call for call in calls if call.startswith("apply")] == [
        f"{applied} --selector=app.kubernetes.io/component=migrate",
        applied,
    ]
    assert calls[-3].startswith("rollout status deployment")
    assert calls[-1] == "exec pod/one --container=service -- service check"
    rendered = run(
        *(".venv/bin/kubectl", "kustomize", "deploy/kubernetes/release"), cwd=stack.project
    )
    assert set(re.findall(r"image: (.+)", rendered)) == set(images.values())
    with pytest.raises(AssertionError, match=r"MODEL: say which image"):
        make(
            stack.project, "deploy", KUBECTL=str(told), SERVICE=images["SERVICE"], MODEL="x:latest"
        )


@pytest.mark.parametrize("stack", ["podman"], indirect=True)
def test_rolling_updates_of_either_side_fail_no_request(stack: Stack) -> None:
    """Ten times each, under 100 requests a second, as Kubernetes does it.

    A new instance gets requests once it is ready; the old one is told to stop a moment after new
    connections have begun to go elsewhere.
    """
    use, secrets = stack.engine, stack.project / "deploy/secrets"

    def start(unit: str, name: str, **settings: str) -> None:
        hardened = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--detach", f"--name={name}"]
        names = ["model_tokens"] if unit == "model" else ["model_tokens", "database_url"]
        mounts = [f"--volume={secrets}/{each}:/run/secrets/{each}:ro" for each in names]
        mounts.append(f"--volume={NAME}_socket:/run/model")
        network = "none" if unit == "model" else f"{NAME}_data"
        variables = {
            "MODEL_URL": "http+unix:///run/model/model.sock",
            "MODEL_TOKENS_FILE": "/run/secrets/model_tokens",
            **settings,
        }
        options = [f"--env={name}={value}" for name, value in variables.items()]
        use("run", *hardened, *mounts, f"--network={network}", *options, stack.image(unit))

    def start_service(name: str) -> tuple[str, int]:
        url = "/run/secrets/database_url"
        start("service", name, HOST="0.0.0.0", API_OPEN="1", DATABASE_URL_FILE=url)
        address = ".NetworkSettings.Networks"
        (network,) = stack.inspect(name, address).values()
        host = network["IPAddress"]
        wait_until_ready(f"http://{host}:8000")
        return host, 8000

    def stop(name: str, seconds: int) -> None:
        use("stop", f"--time={seconds}", name)
        code = stack.inspect(name, ".State.ExitCode")
        use("rm", "--force", name)
        assert code == 0, f"{name} ended with status {code}"

    model = stack.container("model")
    with (
        removed(use, "roll-"),
        balanced(start_service("roll-0")) as balancer,
        load(stack.project, balancer.port) as report,
    ):
        for number in range(10):
            balancer.target = start_service(f"roll-{number + 1}")
            time.sleep(0.5)  # for which a proxy may not know of it yet
            stop(f"roll-{number}", 30)
        for number in range(10):
            stop(model, 15)
            model = f"roll-model-{number}"
            start("model", model)
            wait_until_ready(f"http://{balancer.target[0]}:8000", with_model=True)
        sent = report()
    by = [each["served_by"] for each in sent]
    shed = [each for each in sent if each["shed"]]  # a machine that is busy; told to come back
    failed = [each for each in sent if each["status"] != 201 and not each["shed"]]
    counted = f"{by.count('model')} by the model, {by.count('fallback')} by the fallback"
    print(f"{len(sent)} requests, {counted}, {len(shed)} shed, {len(failed)} failed")
    assert failed == []
    assert by.count("model") > 0


@pytest.mark.parametrize("stack", ["podman"], indirect=True)
def test_the_pod_of_the_manifests_answers_by_its_sidecar(stack: Stack, tmp_path: Path) -> None:
    """What podman 4.3 does not know of Kubernetes is taken out: sidecars, probes, Secrets."""
    base = (".venv/bin/kubectl", "kustomize", "deploy/kubernetes/base")
    objects = list(yaml.safe_load_all(run(*base, cwd=stack.project)))
    job, deployment = (
        next(each for each in objects if each["kind"] == kind) for kind in ("Job", "Deployment")
    )
    secrets = tmp_path / "secrets"
    shutil.copytree(stack.project / "deploy/secrets", secrets)
    secrets.chmod(0o755)  # for the containers' user
    with played(stack, tmp_path / "job.yaml", pod_of(job, stack.tag, secrets)) as container:
        status = stack.engine("wait", container("migrate")).strip()
        assert status == "0", stack.engine("logs", container("migrate"))
    pod = pod_of(deployment, stack.tag, secrets)
    with played(stack, tmp_path / "pod.yaml", pod) as container:
        network = f'(index .NetworkSettings.Networks "{NAME}_data")'
        infra = stack.inspect(container("service"), ".HostConfig.NetworkMode").partition(":")[2]
        host = stack.inspect(infra, network)["IPAddress"]
        wait_until_ready(f"http://{host}:8000", with_model=True)
        key = (stack.project / "deploy/secrets/api_key").read_text().strip()
        placed = httpx.post(
            f"http://{host}:8000/orders",
            json={"hour": 11.9, "day": "Thu", "distance": 3.15, "items": 4},
            headers={"Authorization": f"Bearer {key}"},
        )
        assert placed.json()["metadata"]["served_by"] == "model", placed.text
        stack.engine("exec", container("model"), "model-check")
        assert httpx.get(f"http://{host}:8100/metrics").status_code == 200


def pod_of(owner: dict[str, Any], tag: str, secrets: Path) -> dict[str, Any]:
    """The Pod that a Deployment or a Job makes, as far as podman can run it."""
    template = owner["spec"]["template"]
    spec = template["spec"]
    spec["containers"] = [*spec.pop("initContainers", []), *spec["containers"]]
    spec.pop("topologySpreadConstraints", None)
    for container in spec["containers"]:
        for name in ("startupProbe", "readinessProbe", "livenessProbe", "lifecycle", "ports"):
            container.pop(name, None)
        container.pop("restartPolicy", None)
        container["image"] = container["image"].replace(":unreleased", f":{tag}")
    for volume in spec["volumes"]:
        if volume.pop("secret", None):
            volume["hostPath"] = {"path": str(secrets), "type": "Directory"}
    metadata = {**template["metadata"], "name": f"played-{owner['metadata']['name']}"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@contextmanager
def played(stack: Stack, path: Path, pod: dict[str, Any]) -> Iterator[Callable[[str], str]]:
    """A Pod run by podman; gives the name of a container of it."""
    path.write_text(yaml.safe_dump(pod))
    try:
        stack.engine("kube", "play", f"--network={NAME}_data", path)
        yield lambda container: f"{pod['metadata']['name']}-{container}"
    finally:
        stack.engine("kube", "down", path)
        folders = (each["name"] for each in pod["spec"]["volumes"] if "emptyDir" in each)
        stack.engine("volume", "rm", "--force", *folders)


def wait_until_ready(url: str, with_model: bool = False) -> None:
    """Return once the service there is ready."""
    wait_until_answers(f"{url}/readyz", '"model":"ok"' if with_model else "")


def wait_until_answers(url: str, text: str = "") -> None:
    """Return once the answer there is good, and has this text."""
    deadline = time.monotonic() + 60
    while True:
        try:
            answer = httpx.get(url, timeout=5)
            found = answer.text.replace(" ", "")
            if answer.is_success and text in found:
                return
        except httpx.HTTPError as error:
            found = repr(error)
        assert time.monotonic() < deadline, f"{url}: {found}"
        time.sleep(0.1)


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Where a registry runs, Debian's."""
    with reserved_port() as port:
        address = f"127.0.0.1:{port}"
        config = folder / "registry.yml"
        config.write_text(
            f"version: 0.1\nhttp: {{addr: {address}}}\n"
            f"storage: {{filesystem: {{rootdirectory: {folder}/registry}}}}\n"
        )
        with subprocess.Popen(
            ["docker-registry", "serve", config], stderr=subprocess.DEVNULL
        ) as server:
            try:
                wait_until_answers(f"http://{address}/v2/")
                yield address
            finally:
                server.kill()


@contextmanager
def removed(use: Engine, prefix: str) -> Iterator[None]:
    """Remove the containers whose names begin so, at the end."""
    try:
        yield
    finally:
        names = use("ps", "--all", "--format", "{{.Names}}").split()
        use("rm", "--force", *(name for name in names if name.startswith(prefix)))


@contextmanager
def load(project: Path, port: int) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The project's own load, 100 requests a second; gives what came of each request."""
    example = json.loads((project / "contract/src/contract/examples.json").read_text())[0]
    del example["wait_seconds"]
    plan = {"port": port, "path": "/orders", "body": json.dumps(example), "name": "roll"}
    command = ["service/.venv/bin/python", "dev/faults/load.py", json.dumps({**plan, "rate": 100})]
    with subprocess.Popen(
        command, cwd=project, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()

        def report() -> list[dict[str, Any]]:
            sent: list[dict[str, Any]] = json.loads(process.communicate()[0])["sent"]
            return sent

        try:
            yield report
        finally:
            process.kill()
