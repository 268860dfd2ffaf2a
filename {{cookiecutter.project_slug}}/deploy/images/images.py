"""Both images: `make images` builds them by docker, podman or buildah, `make push` pushes them.

The same commit and the same version of the model give the same layers.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

NAME = "{{ cookiecutter.project_slug }}"
UNITS = ("service", "model")
BUILD = {
    "docker": ["docker", "buildx", "build", "--output=type=docker,rewrite-timestamp=true"],
    "podman": ["podman", "build", "--timestamp={time}"],
    "buildah": ["buildah", "build", "--layers", "--timestamp={time}"],
}
"""How each tool builds; `{time}` is the commit's, in seconds since 1970."""
OUTPUT = Path("build")
RELEASE = OUTPUT / "release.env"


def build() -> None:
    """Build the image of the service, and that of the model with its current version."""
    tool, (time, revision) = find_tool(), commit()
    os.environ["MODEL_STORE"] = "artifacts"  # from where the Dockerfile takes the version
    manifest = json.loads(run("model/.venv/bin/model", "show", "--json", stdout=subprocess.PIPE))
    is_whole = manifest["compiled"]["reason"] or os.environ.get("TRAIN")
    serving = "requirements.txt" if is_whole else "requirements-serving.txt"
    variables = {"REVISION": revision, "SOURCE_DATE_EPOCH": time}
    if base := os.environ.get("BASE"):
        variables["BASE"] = base
    extras = "requirements-extras.txt" if os.environ.get("EXTRAS") else "requirements.txt"
    of_unit = {
        "service": {"VERSION": os.environ["TAG"], "REQUIREMENTS": extras},
        "model": {"VERSION": manifest["version"], "REQUIREMENTS": serving},
    }
    for unit, more in of_unit.items():
        arguments = {**variables, **more}
        run(
            *(each.format(time=time) for each in BUILD[tool]),
            *(f"--build-arg={name}={value}" for name, value in arguments.items()),
            *shlex.split(os.environ.get("BUILD_FLAGS", "")),
            f"--file=deploy/images/{unit}.Dockerfile",
            f"--tag={image(unit)}",
            ".",
        )
        list_packages(unit, more["REQUIREMENTS"])
        print(f"built {image(unit)} by {tool}, version {more['VERSION']}", flush=True)


def push() -> None:
    """Push both, and write what they are deployed by into build/release.env."""
    tool, lines = find_tool(), []
    for unit in UNITS:
        options = shlex.split(os.environ.get("PUSH_FLAGS", ""))
        if tool == "docker":
            run("docker", "push", *options, image(unit))
            (told,) = json.loads(run("docker", "inspect", image(unit), stdout=subprocess.PIPE))
            repository = image(unit).rpartition(":")[0]
            (pushed,) = [each for each in told["RepoDigests"] if each.startswith(f"{repository}@")]
        else:
            with tempfile.NamedTemporaryFile("r") as digest:
                run(tool, "push", *options, f"--digestfile={digest.name}", image(unit))
                pushed = f"{image(unit).rpartition(':')[0]}@{digest.read().strip()}"
        lines.append(f"{unit.upper()}={pushed}\n")
    RELEASE.write_text("".join(lines))
    print(RELEASE.read_text(), end="")


def image(unit: str) -> str:
    """The name of a unit's image."""
    return f"{os.environ.get('REGISTRY', '')}{NAME}-{unit}:{os.environ['TAG']}"


def find_tool() -> str:
    """The first tool that works here, or BUILDER alone; a docker without its engine does not."""
    names = [name for name in BUILD if os.environ.get("BUILDER") in (None, "", name)]
    for name in names:
        with suppress(OSError):
            if not subprocess.run([name, "info"], check=False, capture_output=True).returncode:
                return name
    sys.exit(f"images: {', '.join(names) or 'BUILDER'}: does not work here; try {', '.join(BUILD)}")


def commit() -> list[str]:
    """When the commit was made, and its name."""
    found = subprocess.run(
        ["git", "log", "-1", "--format=%ct %H"], check=False, capture_output=True, text=True
    )
    return found.stdout.split() or ["0", "uncommitted"]


def list_packages(unit: str, requirements: str) -> None:
    """Write what is installed in an image as a list of the form CycloneDX (an SBOM)."""
    OUTPUT.mkdir(exist_ok=True)
    run(
        *(".venv/bin/cyclonedx-py", "requirements", f"{unit}/{requirements}"),
        *("--output-reproducible", "--output-file", str(OUTPUT / f"{NAME}-{unit}.cdx.json")),
    )


def run(*command: str, **options: Any) -> str:
    """What a command prints, if that is captured; if it fails, this program ends as it does."""
    done = subprocess.run(command, check=False, text=True, **options)
    if done.returncode:
        sys.exit(done.returncode)
    return str(done.stdout)


if __name__ == "__main__":
    {"build": build, "push": push}[sys.argv[1]]()
