"""`make images`: builds both images, by docker, podman or buildah, and lists what is in them.

The same commit and the same version of the model give the same layers.
"""

import json
import os
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

NAME = "{{ cookiecutter.project_slug }}"
BUILDERS = {
    "docker": ["docker", "buildx", "build", "--output=type=docker,rewrite-timestamp=true"],
    "podman": ["podman", "build", "--timestamp={time}"],
    "buildah": ["buildah", "build", "--timestamp={time}"],
}
"""How each builds; `{time}` is the commit's, in seconds since 1970."""


def main() -> None:
    """Build the image of the service, and that of the model with its current version."""
    builder, (time, revision) = find_builder(), commit()
    os.environ["MODEL_STORE"] = "artifacts"  # from where the Dockerfile takes the version
    manifest = json.loads(run("model/.venv/bin/model", "show", "--json", stdout=subprocess.PIPE))
    serving = "requirements.txt" if manifest["compiled"]["reason"] else "requirements-serving.txt"
    tag = os.environ["TAG"]
    for unit, version, requirements in (
        ("service", tag, "requirements.txt"),
        ("model", manifest["version"], serving),
    ):
        arguments = {"VERSION": version, "REVISION": revision, "SOURCE_DATE_EPOCH": time}
        if unit == "model":
            arguments["REQUIREMENTS"] = requirements
        if base := os.environ.get("BASE"):
            arguments["BASE"] = base
        image = f"{os.environ.get('REGISTRY', '')}{NAME}-{unit}:{tag}"
        run(
            *(each.format(time=time) for each in BUILDERS[builder]),
            *(f"--build-arg={name}={value}" for name, value in arguments.items()),
            *shlex.split(os.environ.get("BUILD_FLAGS", "")),
            f"--file=deploy/images/{unit}.Dockerfile",
            f"--tag={image}",
            ".",
        )
        list_packages(unit, requirements, Path(f"build/{NAME}-{unit}.cdx.json"))
        print(f"built {image} by {builder}, version {version}", flush=True)


def find_builder() -> str:
    """The one that works here, BUILDER before all others; docker's client alone does not."""
    for name in filter(None, [os.environ.get("BUILDER"), *BUILDERS]):
        with suppress(OSError):
            if not subprocess.run([name, "info"], check=False, capture_output=True).returncode:
                return name
    sys.exit("make images: none of docker, podman and buildah works here")


def commit() -> list[str]:
    """When the commit was made, and its digest."""
    found = subprocess.run(
        ["git", "log", "-1", "--format=%ct %H"], check=False, capture_output=True, text=True
    )
    return found.stdout.split() or ["0", "uncommitted"]


def list_packages(unit: str, requirements: str, path: Path) -> None:
    """Write the packages that are installed in an image as a CycloneDX SBOM."""
    path.parent.mkdir(exist_ok=True)
    run(
        *(".venv/bin/cyclonedx-py", "requirements", f"{unit}/{requirements}"),
        "--output-reproducible",
        *("--output-file", str(path)),
    )


def run(*command: str, **options: Any) -> str:
    """What a command prints, if that is captured; if it fails, this program ends as it does."""
    done = subprocess.run(command, check=False, text=True, **options)
    if done.returncode:
        sys.exit(done.returncode)
    return str(done.stdout)


if __name__ == "__main__":
    main()
