"""service.yaml: what Knative allows, and what the server and the project say."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from container import CONTAINER, MANIFEST, TEMPLATE
from servers import DISH, ROOT

KNATIVE = {"containerConcurrency", "timeoutSeconds"}
"""What Knative adds to a Pod's fields."""
ALLOWED = {"automountServiceAccountToken", "enableServiceLinks", "containers", "volumes"}
"""Of a Pod's fields, those used here that need no feature flag of Knative."""
DEPLOYMENT = ROOT / "deploy/kubernetes/overlays/separate/model/deployment.yaml"


def deployed() -> dict[str, Any]:
    """The container of the project's own deployment of the model server."""
    template = yaml.safe_load(DEPLOYMENT.read_text("utf-8"))["spec"]["template"]
    found: dict[str, Any] = template["spec"]["containers"][0]
    return found


def test_it_is_a_knative_service() -> None:
    assert (MANIFEST["apiVersion"], MANIFEST["kind"]) == ("serving.knative.dev/v1", "Service")
    assert MANIFEST.keys() == {"apiVersion", "kind", "metadata", "spec"}
    assert MANIFEST["spec"].keys() == {"template"}
    assert TEMPLATE["spec"].keys() == KNATIVE | ALLOWED
    assert all(isinstance(each, str) for each in TEMPLATE["metadata"]["annotations"].values())
    assert 0 <= TEMPLATE["spec"]["containerConcurrency"] <= 1000
    assert len(CONTAINER["ports"]) == 1
    assert CONTAINER["ports"][0]["name"] in ("http1", "h2c")
    assert not {"lifecycle", "stdin", "tty"} & CONTAINER.keys()
    assert all(each.keys() & {"secret", "emptyDir"} for each in TEMPLATE["spec"]["volumes"])


@pytest.mark.parametrize("version", ["1.33", "1.37"])
def test_the_pod_is_valid(version: str, tmp_path: Path) -> None:
    spec = {name: each for name, each in TEMPLATE["spec"].items() if name not in KNATIVE}
    # Knative fills in the port of a probe.
    spec = json.loads(json.dumps(spec).replace('"httpGet": {', '"httpGet": {"port": "http1", '))
    metadata = {**TEMPLATE["metadata"], "name": "pod"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    (tmp_path / "pod.json").write_text(json.dumps(pod))
    command = [str(ROOT / ".venv/bin/kubernetes-validate"), "--strict", "-k", version]
    subprocess.run([*command, str(tmp_path / "pod.json")], check=True)


def test_it_can_do_no_more_than_the_deployment_of_the_project() -> None:
    context = CONTAINER["securityContext"]
    assert context.items() >= deployed()["securityContext"].items()
    assert (context["runAsNonRoot"], context["runAsUser"]) == (True, 10001)
    tokens = {"MODEL_TOKENS_FILE": "/run/secrets/model_tokens"}
    assert tokens.items() <= {each["name"]: each["value"] for each in CONTAINER["env"]}.items()
    assert CONTAINER["image"] == deployed()["image"]
    assert MANIFEST["metadata"]["labels"]["networking.knative.dev/visibility"] == "cluster-local"


def test_the_proxy_lets_in_fewer_than_the_server() -> None:
    code = "from model.serving.worker import MAX_CONNECTIONS; print(MAX_CONNECTIONS)"
    command = [str(ROOT / "model/.venv/bin/python"), "-c", code]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    concurrency = TEMPLATE["spec"]["containerConcurrency"]
    assert int(TEMPLATE["metadata"]["annotations"]["autoscaling.knative.dev/target"]) < concurrency
    assert concurrency < int(found)  # some are left for the probes


def test_a_stop_has_the_time_that_the_server_takes() -> None:
    code = "from model.serving.server import STOP_SECONDS; print(STOP_SECONDS)"
    command = [str(ROOT / "model/.venv/bin/python"), "-c", code]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert TEMPLATE["spec"]["timeoutSeconds"] > int(found)


def test_the_image_is_filled_in() -> None:
    image = "registry.example.org/team/model@sha256:0123"
    command = ["make", "--silent", "manifest"]
    done = subprocess.run(
        [*command, f"IMAGE={image}"], cwd=DISH, check=True, capture_output=True, text=True
    )
    made = yaml.safe_load(done.stdout)
    assert made["spec"]["template"]["spec"]["containers"][0].pop("image") == image
    expected = json.loads(json.dumps(MANIFEST))
    del expected["spec"]["template"]["spec"]["containers"][0]["image"]
    assert made == expected
    without = subprocess.run(command, cwd=DISH, check=False, capture_output=True, text=True)
    assert without.returncode
    assert "IMAGE" in without.stderr
