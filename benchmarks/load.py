"""Load from another process: wrk with load.lua, on keep-alive connections."""

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paths import BENCHMARKS
from processes import clean, run_command

ERRORS = ("connect", "read", "write", "status", "timeout")


@dataclass(frozen=True)
class Target:
    """Where requests are posted, and their bodies.

    Attributes:
        socket: the path of a unix socket, in place of the URL's host.
    """

    url: str
    headers: Mapping[str, str]
    bodies: Sequence[bytes]
    socket: str = ""


def wrk_version() -> str:
    """The version of wrk, which prints it with its usage and exits with 1."""
    return subprocess.run(["wrk", "-v"], stdout=subprocess.PIPE, text=True).stdout.split()[1]


def put_load(target: Target, connections: int, seconds: int) -> dict[str, Any]:
    """Post the bodies in turn, each connection one request at a time.

    Returns:
        `rps`, answers a second; `p50_ms` and `p99_ms`, the percentiles of the latency; `errors`,
        the number of failed requests by kind, of which `status` is an answer of 400 or above.
    """
    headers = {"Content-Type": "application/json", **target.headers}
    with tempfile.TemporaryDirectory() as folder:
        bodies = Path(folder, "bodies.jsonl")
        bodies.write_bytes(b"".join(body + b"\n" for body in target.bodies))
        command = ["wrk", "--threads", "1", "--connections", f"{connections}"]
        command += ["--duration", f"{seconds}s", "--timeout", "10s", "--latency"]
        command += [f"--header={name}: {value}" for name, value in headers.items()]
        command += ["--script", f"{BENCHMARKS / 'load.lua'}", target.url, "--", f"{bodies}"]
        return parse(run_command(*command, environment=clean({})))


def parse(output: str) -> dict[str, Any]:
    """The numbers in the last line, which load.lua prints."""
    printed = json.loads(output.rstrip().rpartition("\n")[2])
    return {
        "rps": printed["requests"] / printed["duration_us"] * 1e6,
        "p50_ms": printed["p50_us"] / 1e3,
        "p99_ms": printed["p99_us"] / 1e3,
        "errors": {kind: printed[kind] for kind in ERRORS if printed[kind]},
    }
