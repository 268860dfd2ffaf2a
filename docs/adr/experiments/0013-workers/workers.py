"""How fast each worker, event loop and HTTP parser answers, and how evenly, on this machine now.

All servers stand at once and idle while one of them is asked. In each round every server is asked
in a new order, so that what else the machine does hits all alike; beside the medians stand the
ratios of its CPU time to that of the first server in the same round, which is what to compare.

Needs `wrk` on the path, and the packages of requirements.txt (one is compiled: a C compiler).
"""

import argparse
import contextlib
import http.client
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
GUNICORN = "gunicorn --workers 1 --keep-alive 60 --no-control-socket --log-level error --bind"
ASGI = "--worker-class asgi --asgi-lifespan off"
UVICORN = "--worker-class uvicorn_worker_of.Worker"


@dataclass(frozen=True)
class Server:
    """One way to serve the application; `{at}` is the address and `{app}` the application."""

    name: str
    command: str
    loop: str = ""
    http: str = ""


@dataclass(frozen=True)
class Result:
    """One run: requests a second, milliseconds of latency, failed requests, microseconds of CPU.

    The CPU time is what the server's processes took for each request, and hardly depends on what
    else the machine does.
    """

    rate: float
    p50: float
    p99: float
    p999: float
    errors: int
    cpu: float


def servers() -> list[Server]:
    """All of them; the first is what the others are compared with."""
    under_asgi = [
        Server(
            f"gunicorn asgi, {loop}, {parser} parser",
            f"{GUNICORN} {{at}} {ASGI} --asgi-loop {loop} --http-parser {parser} {{app}}",
        )
        for parser in ("python", "fast")
        for loop in ("asyncio", "uvloop")
    ]
    under_uvicorn = [
        Server(
            f"gunicorn uvicorn-worker, {loop}, {http}",
            f"{GUNICORN} {{at}} {UVICORN} {{app}}",
            loop,
            http,
        )
        for http in ("h11", "httptools")
        for loop in ("asyncio", "uvloop")
    ]
    return [
        *under_asgi,
        *under_uvicorn,
        Server(
            "uvicorn alone, uvloop, httptools",
            "uvicorn --host {host} --port {port} --loop uvloop --http httptools --lifespan off"
            " --no-access-log --log-level error {app}",
        ),
        Server(
            "granian, uvloop",
            "granian --interface asginl --host {host} --port {port} --loop uvloop"
            " --no-access-log --log-level error {app}",
        ),
    ]


@contextlib.contextmanager
def running(server: Server, app: str) -> Iterator["Running"]:
    """The server, until the end of the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    at = f"127.0.0.1:{port}"
    program, *arguments = server.command.format(at=at, host="127.0.0.1", port=port, app=app).split()
    environment = {**os.environ, "LOOP": server.loop, "HTTP": server.http}
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [Path(sys.executable).with_name(program), *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait(process, port)
        yield Running(port, process.pid)
    finally:
        process.send_signal(signal.SIGINT)  # which waits for nobody
        process.wait(timeout=60)


@dataclass(frozen=True)
class Running:
    """A server that runs: its port, and its first process."""

    port: int
    pid: int

    def cpu(self) -> float:
        """Seconds of CPU time that its processes have taken so far (proc_pid_stat(5))."""
        parents, seconds = {}, {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                pid = int(stat.parent.name)
                parents[pid] = int(fields[1])
                seconds[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return sum(
            each
            for pid, each in seconds.items()
            if pid == self.pid or parents[pid] == self.pid or parents.get(parents[pid]) == self.pid
        )


def wait(process: subprocess.Popen[bytes], port: int) -> None:
    """Until something answers, whatever it says.

    Raises:
        RuntimeError: it ended instead, or took half a minute.
    """
    for _ in range(300):
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/")
            connection.getresponse().read()
            connection.close()
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"did not start: {process.args!r}")


def ask(server: Running, path: str, connections: int, seconds: float) -> Result:
    """One run of wrk."""
    cpu = server.cpu()
    command = ["wrk", "--threads", "1", "--connections", str(connections)]
    command += ["--duration", f"{seconds}s", "--script", str(HERE / "wrk.lua")]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{server.port}{path}"],
        check=True,
        capture_output=True,
        text=True,
    )
    cpu = server.cpu() - cpu
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    requests, rate, p50, p99, p999 = map(float, line.split()[1:6])
    errors = int(line.split()[6])
    return Result(rate, p50, p99, p999, errors, cpu / requests * 1e6)


def spread(values: Sequence[float], digits: int) -> str:
    """The median, and the lowest and the highest."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def table(results: dict[str, list[Result]]) -> Iterator[str]:
    """The lines of a Markdown table."""
    titles = ["CPU µs a request", "ratio", "requests/s", "p50 ms", "p99 ms", "p99.9 ms", "failed"]
    yield f"| | {' | '.join(titles)} |"
    yield "| --- " * (len(titles) + 1) + "|"
    first = next(iter(results.values()))
    for name, runs in results.items():
        ratios = [run.cpu / other.cpu for run, other in zip(runs, first, strict=True)]
        cells = [
            name,
            spread([run.cpu for run in runs], 0),
            spread(ratios, 2),
            spread([run.rate for run in runs], 0),
            spread([run.p50 for run in runs], 2),
            spread([run.p99 for run in runs], 2),
            spread([run.p999 for run in runs], 1),
            str(sum(run.errors for run in runs)),
        ]
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure, and print a table for each number of connections."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--app", default="app:app", help="module:application")
    parser.add_argument("--path", default="/")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2, help="per server, connections and round")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--only", default="", help="servers whose name holds one of these, a|b")
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not on the path")
    wanted = [each for each in servers() if any(it in each.name for it in given.only.split("|"))]
    results: dict[int, dict[str, list[Result]]] = {
        connections: {server.name: [] for server in wanted} for connections in given.connections
    }
    with contextlib.ExitStack() as stack:
        all_ = {each.name: stack.enter_context(running(each, given.app)) for each in wanted}
        for server in all_.values():  # to warm it up
            ask(server, given.path, 8, 1)
        for round_ in range(given.rounds):
            print(f"round {round_ + 1} of {given.rounds}", file=sys.stderr)
            for connections in given.connections:
                for name in random.sample(sorted(all_), len(all_)):
                    run = ask(all_[name], given.path, connections, given.seconds)
                    results[connections][name].append(run)
    for connections, by_server in results.items():
        print(f"\n{connections} connections, {given.rounds} rounds of {given.seconds} s\n")
        print("\n".join(table(by_server)))


if __name__ == "__main__":
    main()
