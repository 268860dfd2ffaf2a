"""How a stamped-out service answers under one gunicorn setting after another, with wrk.

python threads.py PROJECT [--postgres URL] [--settings 1 2 4 8 16 sync] [--rounds 5]

A setting is a number of threads, or the name of another worker class. Every round starts one worker
with every setting, in another order each time, in front of a stand-in for the model that answers
at once, and of one that takes 10 ms. The database at URL must exist; its tables are made.
"""

import argparse
import itertools
import json
import os
import random
import signal
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PORT = 8765
URL = f"http://127.0.0.1:{PORT}"
CONNECTIONS = (1, 8, 32)
THINKING = (0.0, 0.01)  # seconds
LUA = """
wrk.method = "POST"
wrk.body = [[%s]]
wrk.headers["Content-Type"] = "application/json"
done = function(summary, latency)
  local failed = summary.errors
  io.write(string.format('{"rate": %%f, "p50": %%f, "p99": %%f, "failed": %%d}\\n',
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3,
    failed.connect + failed.read + failed.write + failed.status + failed.timeout))
end
"""

Result = dict[str, float]


@contextmanager
def running(*command: str, **environment: str) -> Iterator[None]:
    """A process, ended as a service manager would end it."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def wait_until_ready() -> None:
    """Wait for the service, and for all that it needs."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(f"{URL}/readyz", timeout=5):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def example() -> tuple[str, str]:
    """The path to which something new is posted, and the body of the document's own example."""
    with urllib.request.urlopen(f"{URL}/openapi.json", timeout=5) as answer:
        document = json.load(answer)
    (path,) = (
        each for each, does in document["paths"].items() if "{" not in each and "post" in does
    )
    content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    schema = document["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
    return path, json.dumps(schema["examples"][0])


def load(script: Path, path: str, connections: int, seconds: int) -> Result:
    """What wrk finds with so many connections."""
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), URL + path],
        check=True,
        capture_output=True,
        text=True,
    )
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(
    project: Path, database: str, thinking: float, setting: str, seconds: int
) -> dict[int, Result]:
    """One start of the service with one setting: a result for each number of connections."""
    threads = setting if setting.isdigit() else "1"
    kind = "gthread" if setting.isdigit() else setting
    programs = project / "service/.venv/bin"
    with tempfile.TemporaryDirectory() as folder:
        socket, script = f"{folder}/model.sock", Path(folder, "post.lua")
        environment = {
            "DATABASE_URL": database or f"sqlite:///{folder}/service.db",
            "MODEL_URL": f"http+unix://{socket}",
            "WORKERS": "1",
            "THREADS": threads,
            "PORT": str(PORT),
            "LOG_FORMAT": "json",
            "GUNICORN_CMD_ARGS": f"--worker-class={kind}",
        }
        with running(str(programs / "python"), str(HERE / "stand_in.py"), socket, str(thinking)):
            migrate = [str(programs / "service"), "migrate"]
            subprocess.run(
                migrate, check=True, capture_output=True, env={**os.environ, **environment}
            )
            with running(str(programs / "service"), "serve", **environment):
                wait_until_ready()
                path, body = example()
                script.write_text(LUA % body)
                load(script, path, 8, 1)
                return {each: load(script, path, each, seconds) for each in CONNECTIONS}


def spread(values: list[float]) -> str:
    """The median, and the quartiles behind it."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.3g} ({low:.3g} to {high:.3g})"


def main() -> None:
    """Measure, and print a table for each database and each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path)
    parser.add_argument("--postgres", default=None)
    parser.add_argument("--settings", nargs="+", default=["1", "2", "4", "8", "16", "sync"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    wanted = parser.parse_args()
    databases = {"SQLite": ""} | ({"PostgreSQL": wanted.postgres} if wanted.postgres else {})
    combinations = list(itertools.product(databases, THINKING, wanted.settings))
    found: dict[Any, list[Result]] = defaultdict(list)
    for _ in range(wanted.rounds):
        for database, thinking, setting in random.sample(combinations, len(combinations)):
            results = measure(
                wanted.project, databases[database], thinking, setting, wanted.seconds
            )
            for connections, result in results.items():
                found[database, thinking, setting, connections].append(result)
    for database, thinking in itertools.product(databases, THINKING):
        while_thinking = f"in {thinking * 1000:g} ms" if thinking else "at once"
        print(f"\n{database}, a model that answers {while_thinking}\n")
        titles = (f"{each}: requests/s | p50, ms | p99, ms" for each in CONNECTIONS)
        print(f"| threads | {' | '.join(titles)} | failed |")
        print("| --- " * (3 * len(CONNECTIONS) + 2) + "|")
        for setting in wanted.settings:
            rows = [found[database, thinking, setting, each] for each in CONNECTIONS]
            columns = itertools.product(rows, ("rate", "p50", "p99"))
            cells = [spread([one[key] for one in row]) for row, key in columns]
            failed = sum(int(one["failed"]) for row in rows for one in row)
            print(f"| {setting} | {' | '.join(cells)} | {failed} |", flush=True)


if __name__ == "__main__":
    main()
