"""What the front costs, what its cache saves, and what a model that is gone costs the others.

It prints one line of JSON. Start, memory and packages are those of the front alone: it adds them to
those of the model server behind it, which is there when it starts. All else is in milliseconds, and
the ratios that the README promises. The machine should be quiet.
"""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import aiohttp
from conftest import (
    DISH,
    MODEL,
    PROJECT,
    TOKEN,
    Fake,
    Front,
    Process,
    Server,
    asking,
    listens,
    private_folder,
    reserved_port,
    wait_until,
)
from measuring import Caller, Running, measure, packages_mb, show
from test_parity import request_of

ROUNDS, REQUESTS, CALLERS, STRANDED = 3, 1500, 4, 20
SLOW_SECONDS = 0.01
"""A model that is not compiled takes so long for a row, or longer."""


async def ask(session: aiohttp.ClientSession, name: str, request: dict[str, Any]) -> float:
    """Seconds until the answer."""
    start = time.perf_counter()
    async with session.post(f"http://x/v2/models/{name}/infer", json=request) as response:
        await response.read()
    return time.perf_counter() - start


def connect(socket: Path, token: str) -> aiohttp.ClientSession:
    """Callers of a server at a socket."""
    headers = {"Authorization": f"Bearer {token}"}
    connector = aiohttp.UnixConnector(str(socket), limit=0)
    return aiohttp.ClientSession(connector=connector, headers=headers)


async def one_by_one(socket: Path, token: str, name: str, requests: list[Any]) -> float:
    """The median of requests one after the other, in milliseconds."""
    async with connect(socket, token) as session:
        return 1000 * median([await ask(session, name, each) for each in requests])


async def p99_beside(socket: Path, name: str, requests: list[Any], other: str) -> float:
    """The 99th percentile for some callers of a model, while others call another one."""
    async with connect(socket, TOKEN) as session:

        async def call(mine: list[Any]) -> list[float]:
            return [await ask(session, name, each) for each in mine]

        async def call_the_other() -> None:
            while True:
                await ask(session, other, asking(1))
                await asyncio.sleep(0.5)

        stranded = [asyncio.create_task(call_the_other()) for _ in range(STRANDED)]
        await asyncio.sleep(1)
        shares = [requests[number::CALLERS] for number in range(CALLERS)]
        found = await asyncio.gather(*map(call, shares))
        for each in stranded:
            each.cancel()
        return 1000 * quantiles([second for times in found for second in times], n=100)[98]


def main() -> None:
    """Measure, and print."""
    with ExitStack() as stack:
        folder = private_folder(stack)
        own = Server(folder, "own", [MODEL, "serve"], LOG_LEVEL="error")
        slow, other = Fake(folder, "slow", seconds=SLOW_SECONDS), Fake(folder, "other")
        for each in (own, slow, other):
            stack.callback(each.stop)
        own.wait("/v2/health/ready")
        redis = shutil.which("redis-server") or sys.exit("redis-server is not installed")
        where = ["--port", "0", "--unixsocket", folder / "redis.sock", "--dir", folder]
        quiet = ["--save", "", "--logfile", folder / "redis.log"]
        stack.callback(Process([redis, *where, *quiet], folder).stop)
        wait_until(lambda: listens(folder / "redis.sock"), "Redis does not start")
        cache = {"redis": f"unix://{folder}/redis.sock", "seconds": 600}
        run: dict[str, Any] = {"cwd": PROJECT, "check": True, "capture_output": True}
        manifest = json.loads(subprocess.run([MODEL, "show", "--json"], **run).stdout)
        name = manifest["model"]
        limits: dict[str, Any] = {"at_once": 2, "waiting": 2}
        sections = [
            own.section(name, name=name),
            own.section(name, name="kept", cache=cache),
            slow.section(cache=cache),
            other.section(**limits),
        ]
        subprocess.run([MODEL, "parity", folder / "rows"], **run)
        lines = (folder / "rows").read_text("utf-8").splitlines()[:REQUESTS]
        requests = [request_of([json.loads(line)["features"]], manifest) for line in lines]
        found = measure(partial(start, sections[:1], requests[0]))
        found["shipped_mb"] = packages_mb(DISH / ".venv", DISH / "requirements.txt")
        front = Front(folder, sections)
        stack.callback(front.stop)
        front.wait(name, "kept", "slow", "other")
        show(found | costs(front, own, other, name, requests))


@contextmanager
def start(sections: list[dict[str, Any]], request: dict[str, Any]) -> Iterator[Running]:
    """A front at a port, before one model."""
    with ExitStack() as stack:
        port = stack.enter_context(reserved_port())
        front = Front(private_folder(stack), sections, port)
        stack.callback(front.stop)
        path, body = f"/v2/models/{sections[0]['name']}/infer", json.dumps(request).encode()
        headers = {"Authorization": f"Bearer {TOKEN}"}
        yield Running(front.process.pid, lambda: Caller(port, path, body, headers))


def costs(
    front: Front, own: Server, other: Fake, name: str, requests: list[Any]
) -> dict[str, float]:
    """Milliseconds of a row, and what is promised of them."""
    socket = front.folder / "front.sock"
    few = [asking(number + 0.5) for number in range(200)]

    def alone(model: str, asked: list[Any]) -> float:
        return asyncio.run(one_by_one(socket, TOKEN, model, asked))

    found = {
        "direct_ms": asyncio.run(one_by_one(own.socket, own.token, name, requests)),
        "front_ms": alone(name, requests),
        "compiled_miss_ms": alone("kept", requests),
        "compiled_hit_ms": alone("kept", requests),
        "slow_miss_ms": alone("slow", few),
        "slow_hit_ms": alone("slow", few),
    }
    well, gone = [], []
    for _ in range(ROUNDS):  # in turns, since the machine has its moods
        well.append(asyncio.run(p99_beside(socket, name, requests, "other")))
        other.process.send(signal.SIGSTOP)
        gone.append(asyncio.run(p99_beside(socket, name, requests, "other")))
        other.process.send(signal.SIGCONT)
    found |= {"p99_all_well_ms": median(well), "p99_one_stopped_ms": median(gone)}
    found |= {
        "p99_one_stopped_to_all_well": found["p99_one_stopped_ms"] / found["p99_all_well_ms"],
        "hit_to_miss_of_10_ms": found["slow_hit_ms"] / found["slow_miss_ms"],
        "hit_to_miss_compiled": found["compiled_hit_ms"] / found["compiled_miss_ms"],
    }
    return found


if __name__ == "__main__":
    main()
