"""Container engines for the tests, with stand-ins for the official images.

No registry can be reached where these tests run. So Debian's Python stands in for the image that
the Dockerfiles name, Debian's PostgreSQL, with a few lines to start it, for `postgres:17`, and
Debian's Prometheus for its own. Grafana is nowhere to be had: a server of its container's files
shows that they are where it looks for them.
"""

import functools
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "build/containers"
ROOT = FOLDER / "trixie"
PACKAGES = "python3,python3-venv,ca-certificates,postgresql,prometheus,docker-compose,docker-buildx"
PLUGINS = ROOT / "usr/libexec/docker/cli-plugins"
PYTHON, POSTGRES = "python:stand-in", "docker.io/library/postgres:17"
PROMETHEUS, GRAFANA = "docker.io/prom/prometheus:v3.13.3", "docker.io/grafana/grafana:12.4.4"
LEFT_OUT = [
    "usr/lib/llvm*",
    "var/cache",
    "var/lib/apt/lists",
    "usr/libexec/docker",
    "usr/share/doc",
    "usr/share/man",
]
POSTGRES_ALONE = ["usr/lib/postgresql", "usr/share/postgresql", "usr/lib/*/libLLVM*"]
PROMETHEUS_ALONE = ["usr/bin/prom*", "usr/share/prometheus"]
PATH = "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
START_POSTGRES = """#!/bin/sh
# What the official image does with these variables when its folder of data is empty.
set -eu
data=/var/lib/postgresql/data/pgdata
if [ ! -e $data/PG_VERSION ]; then
  initdb --pgdata=$data --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" \\
    --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 >/dev/null
  echo "host all all all scram-sha-256" >> $data/pg_hba.conf
  echo "CREATE DATABASE \\"$POSTGRES_USER\\"" | postgres --single -D $data postgres >/dev/null
fi
exec postgres -D $data -c listen_addresses='*' -c unix_socket_directories=/tmp -c jit=off
"""
CONTAINERS_CONF = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""
"""Has podman run without systemd, and without the right to raise limits."""


def run(*command: str | Path, **options: Any) -> str:
    """What a command prints."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-5000:]}"
    return str(done.stdout)


@dataclass(frozen=True)
class Engine:
    """A container engine that works here, and has the stand-ins.

    Attributes:
        name: `docker` or `podman`.
        environment: to run it with, and `make` where it builds.
    """

    name: str
    environment: dict[str, str]

    def __call__(self, *arguments: str | Path) -> str:
        """What a command of the engine prints."""
        return run(self.name, *arguments, env={**os.environ, **self.environment})


@functools.cache
def engine(name: str) -> Engine:
    """The engine of this name; without it a test is skipped, and in CI it fails."""
    environment = {"BASE": PYTHON, "BUILD_FLAGS": "--quiet --network=host", "BUILDER": name}
    environment["COMPOSE"] = str(Path(sys.executable).with_name("podman-compose"))
    FOLDER.mkdir(parents=True, exist_ok=True)
    if name == "podman" and not Path("/run/systemd/system").exists():
        (FOLDER / "containers.conf").write_text(CONTAINERS_CONF)
        environment["CONTAINERS_CONF"] = str(FOLDER / "containers.conf")
    if shutil.which(name) is None or subprocess.run([name, "info"], capture_output=True).returncode:
        _do_without(f"{name} does not work here")
    make_root()
    if name == "docker":
        (FOLDER / "docker").mkdir(exist_ok=True)
        shutil.copytree(PLUGINS, FOLDER / "docker/cli-plugins", dirs_exist_ok=True)
        environment |= {"DOCKER_CONFIG": str(FOLDER / "docker"), "COMPOSE": "docker compose"}
    found = Engine(name, environment)
    path, python = f"ENV {PATH}", [*LEFT_OUT, *POSTGRES_ALONE, *PROMETHEUS_ALONE]
    _import(found, PYTHON, python, path)
    start = ["USER postgres", 'CMD ["start-postgres"]', "VOLUME /var/lib/postgresql/data"]
    _import(
        found,
        POSTGRES,
        [*LEFT_OUT, *PROMETHEUS_ALONE],
        f"{path}:/usr/lib/postgresql/17/bin",
        *start,
    )
    start = ["USER nobody", 'ENTRYPOINT ["prometheus"]', "VOLUME /prometheus"]
    _import(found, PROMETHEUS, [*LEFT_OUT, *POSTGRES_ALONE], path, *start)
    start = ["USER nobody", 'CMD ["python3", "-m", "http.server", "3000"]', "WORKDIR /"]
    _import(found, GRAFANA, python, path, *start)
    return found


def make_root() -> None:
    """Make Debian with what the stand-ins need, and docker's plugins, in a folder, once."""
    if (ROOT / "usr/local/bin/start-postgres").exists():
        return
    if os.geteuid() or shutil.which("debootstrap") is None:
        _do_without("the images' stand-ins take debootstrap, and root")
    shutil.rmtree(ROOT, ignore_errors=True)
    options = ["--variant=minbase", f"--include={PACKAGES}"]
    run("debootstrap", *options, "trixie", ROOT)
    # This machine may reach its package index by certificates of its own.
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", ROOT / "etc/ssl/certs")
    for user, data in (("postgres", "var/lib/postgresql/data"), ("nobody", "prometheus")):
        (ROOT / data).mkdir()
        run("chroot", ROOT, "chown", user, f"/{data}")
    start = ROOT / "usr/local/bin/start-postgres"
    start.write_text(START_POSTGRES)
    start.chmod(0o755)


def _import(to: Engine, image: str, left_out: list[str], *changes: str) -> None:
    excludes = [f"--exclude=./{each}" for each in left_out]
    command = ["tar", "-C", str(ROOT), *excludes, "-c", "."]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as packing:
        options = [part for change in changes for part in ("--change", change)]
        subprocess.run(
            [to.name, "import", *options, "-", image],
            env={**os.environ, **to.environment},
            stdin=packing.stdout,
            check=True,
            capture_output=True,
        )


def _do_without(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
