"""`make deploy`: two images, by their digests, to Kubernetes: migrate, roll out, then check."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

NAME = "{{ cookiecutter.project_slug }}"
RELEASE = Path("deploy/kubernetes/release")
IMAGE = re.compile(r"(.+)@(sha256:[0-9a-f]{64})")
JOB = f"{NAME}-migrate"
ALL = f"--selector=app.kubernetes.io/name={NAME}"
PART = "--selector=app.kubernetes.io/component="
PATIENCE_SECONDS = 600
PATIENCE = f"--timeout={PATIENCE_SECONDS}s"


def main() -> None:
    """Apply the manifests with the images that SERVICE and MODEL name; see to it that they run."""
    write_release()
    kubectl("delete", "job", JOB, "--ignore-not-found")
    kubectl("apply", f"--kustomize={RELEASE}", PART + "migrate")
    wait_for_migrations()
    if "separate" in os.environ.get("OVERLAY", ""):  # its model goes first (ADR 36)
        kubectl("apply", f"--kustomize={RELEASE}", PART + "model")
        kubectl("rollout", "status", "deployment", PART + "model", PATIENCE)
    kubectl("apply", f"--kustomize={RELEASE}")
    kubectl("rollout", "status", "deployment", ALL, PATIENCE)
    kubectl("exec", newest_pod(), "--container=service", "--", "service", "check")


def wait_for_migrations() -> None:
    """Return once they are applied; `kubectl wait` would sit out its time when they have failed."""
    deadline = monotonic() + PATIENCE_SECONDS
    conditions = "--output=jsonpath={.status.conditions[*].type}"
    while "Complete" not in (found := kubectl("get", f"job/{JOB}", conditions).split()):
        if "Failed" in found or monotonic() > deadline:
            kubectl("logs", f"--selector=job-name={JOB}", "--prefix", "--tail=20")
            sys.exit("the migrations were not applied; the release before goes on")
        sleep(2)


def newest_pod() -> str:
    """A Pod of this release: those before may not have ended yet, and `deployment/` takes any."""
    running = "--field-selector=status.phase=Running"
    newest_last = "--sort-by=.metadata.creationTimestamp"
    pods = kubectl("get", "pods", PART + "service", running, newest_last, "--output=name").split()
    if not pods:
        sys.exit("no Pod of the service runs")
    return pods[-1]


def write_release() -> None:
    """Write the kustomization of this release, upon the base or OVERLAY."""
    lines = ["resources:", f"  - ../{os.environ.get('OVERLAY') or 'base'}", "images:"]
    for unit in ("service", "model"):
        found = IMAGE.fullmatch(os.environ.get(unit.upper(), ""))
        if not found:
            sys.exit(f"{unit.upper()}: say which image, as image@sha256:… ; `make push` prints it")
        name, digest = found.groups()
        lines += [f"  - name: {NAME}-{unit}", f"    newName: {name}", f"    digest: {digest}"]
    RELEASE.mkdir(exist_ok=True)
    (RELEASE / "kustomization.yaml").write_text("\n".join(lines) + "\n")


def kubectl(*arguments: str) -> str:
    """What kubectl prints, in the project's namespace; this program fails as it does."""
    command = [os.environ.get("KUBECTL") or "kubectl", f"--namespace={NAME}", *arguments]
    print(f"$ {shlex.join(command)}", flush=True)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        lines = []
        for line in running.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    if running.returncode:
        sys.exit(running.returncode)
    return "".join(lines)


if __name__ == "__main__":
    main()
