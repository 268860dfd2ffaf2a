"""Load from another process: wrk on keep-alive connections, its answers counted and timed."""

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from places import HERE
from processes import clean

ERRORS = ("connect", "read", "write", "status", "timeout")


@dataclass(frozen=True)
class Load:
    """What one run of the load generator found.

    Attributes:
        rps: answers a second.
        p50: milliseconds within which half of the answers came.
        p99: the same of 99 in 100.
        errors: how many requests failed, by kind; `status` is an answer of 400 or above.
    """

    rps: float
    p50: float
    p99: float
    errors: Mapping[str, int]


@dataclass(frozen=True)
class Target:
    """Where requests go and what they say."""

    url: str
    headers: Mapping[str, str]
    bodies: Sequence[bytes]


def version() -> str:
    """The version of wrk."""
    return subprocess.run(["wrk", "-v"], stdout=subprocess.PIPE, text=True).stdout.split()[1]


def press(target: Target, connections: int, seconds: int) -> Load:
    """Ask for so long, each connection one request at a time."""
    headers = {"Content-Type": "application/json", **target.headers}
    with tempfile.NamedTemporaryFile("wb", suffix=".jsonl") as file:
        file.write(b"".join(body + b"\n" for body in target.bodies))
        file.flush()
        command = ["wrk", "--threads", "1", "--connections", str(connections)]
        command += ["--duration", f"{seconds}s", "--timeout", "10s", "--latency"]
        command += [f"--header={name}: {value}" for name, value in headers.items()]
        command += ["--script", str(HERE / "load.lua"), target.url, "--", file.name]
        done = subprocess.run(command, env=clean({}), stdout=subprocess.PIPE, text=True, check=True)
    return parse(done.stdout)


def parse(output: str) -> Load:
    """What wrk printed with load.lua."""
    found = json.loads(output.rstrip().rpartition("\n")[2])
    return Load(
        rps=found["requests"] / found["microseconds"] * 1e6,
        p50=found["p50"] / 1e3,
        p99=found["p99"] / 1e3,
        errors={name: found[name] for name in ERRORS if found[name]},
    )
