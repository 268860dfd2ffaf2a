"""`make demo`: from nothing to predictions through the public API, on a database of its own."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

from contract import TARGET, Inputs, examples
from pair import DIRECT, ROOT, Pair, stop_on_signals

PLURAL = "{{ cookiecutter.__plural }}"
LOG = Path("var/demo.log")
DATABASE = Path("var/demo.db")


def post(url: str, body: dict[str, Any], key: str = "") -> dict[str, Any]:
    """The JSON of the service's response to this JSON."""
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with DIRECT.open(request, timeout=10) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """A port for one server; while it is bound here, no other process gets it."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        if sys.platform != "linux":  # where the server could not have it either
            holder.close()
        yield port


def show(value: object) -> str:
    """A value as it stands in a table."""
    return f"{value:,.6g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def judgement() -> str:
    """How good the model was on rows that it had not seen, unlike those shown here."""
    shown = subprocess.run(["model/.venv/bin/model", "show", "--json"], check=True, stdout=PIPE)
    manifest = json.loads(shown.stdout)
    if manifest["data"]["synthetic"]:
        return "SYNTHETIC data: these rows were made up, and the predictions mean nothing"
    evaluation = manifest["evaluation"]
    if evaluation is None:
        return "not judged: the earlier rows are of one class"
    name, value = next(iter(evaluation["metrics"].items()))
    baseline = evaluation["baseline"][name]
    return f"on rows it had not seen: {name} {show(value)}, and {show(baseline)} for a constant"


def main() -> None:
    """Train if there is no model yet, start the pair, ask it about rows of the history, stop."""
    stop_on_signals()
    os.chdir(ROOT)
    LOG.parent.mkdir(exist_ok=True)
    for old in DATABASE.parent.glob(f"{DATABASE.name}*"):
        old.unlink()
    settings = {
        "DATABASE_URL": f"sqlite:///{DATABASE}",
        "MODEL_URL": "http+unix://run/demo.sock",
        "MODEL_STORE": "artifacts",
        "MODEL_DEADLINE": "5",  # seconds; the machine may be busy
        "HOST": "127.0.0.1",
    }
    with reserved_port() as port, reserved_port() as ops_port:
        settings |= {"PORT": str(port), "OPS_PORT": str(ops_port)}
        run(settings)
    print(f"\nboth have stopped; their log is in {LOG}. `make up` runs them for you.")


def run(settings: dict[str, str]) -> None:
    """Ask the pair about the examples, and record how each turned out."""
    with Pair(settings, LOG, synthetic=True) as pair:
        print(f"\nboth are ready: POST {pair.url}/{PLURAL}\n")
        print(f"{'id':>6}  {'expected':>16}  {'turned out':>16}  served by")
        for example in examples():
            outcome = {TARGET.name: example[TARGET.name]}
            inputs = {name: example[name] for name in Inputs.model_fields if name in example}
            placed = post(f"{pair.url}/{PLURAL}", inputs)
            post(f"{pair.url}/{PLURAL}/{placed['id']}/outcome", outcome)
            metadata = placed["metadata"]
            if metadata["served_by"] != "model":
                sys.exit(f"the model did not answer; see {LOG}")
            expected = metadata[f"expected_{TARGET.name}"]
            print(
                f"{placed['id']:>6}  {show(expected):>16}  {show(outcome[TARGET.name]):>16}"
                f"  {metadata['served_by']} {metadata['model_version']}"
            )
        print(f"\n{judgement()}")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
