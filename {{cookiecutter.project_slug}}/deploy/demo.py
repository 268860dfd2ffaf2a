"""`make demo`: from nothing to predictions through the public API, on a database of its own."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from subprocess import PIPE
from typing import Any

from contract import TARGET, examples
from pair import DIRECT, ROOT, Pair, stop_on_signals
from service.schemas import New{{ cookiecutter.__entity_class }}

PLURAL = "{{ cookiecutter.__plural }}"
TOLD = New{{ cookiecutter.__entity_class }}.model_fields
LOG = Path("var/demo.log")
DATABASE = Path("var/demo.db")


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """The JSON that the service answers to this JSON."""
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with DIRECT.open(request, timeout=10) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


def free_port() -> int:
    """A port that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def show(value: object) -> str:
    """A value as it stands in a table."""
    return f"{value:,.6g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def judgement() -> str:
    """How good the model was on rows that it had not seen; the rows shown are among its own."""
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
    demo = {
        "DATABASE_URL": f"sqlite:///{DATABASE}",
        "MODEL_URL": "http+unix://run/demo.sock",
        "MODEL_STORE": "artifacts",
        "MODEL_TIMEOUT": "5",  # seconds; the machine may be busy
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
    }
    with Pair(demo, LOG) as pair:
        print(f"\nboth are ready: POST {pair.url}/{PLURAL}\n")
        print(f"{'id':>6}  {'expected':>16}  {'turned out':>16}  served by")
        for example in examples():
            outcome = {TARGET.name: example[TARGET.name]}
            told = {name: example[name] for name in TOLD}
            placed = post(f"{pair.url}/{PLURAL}", told)
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
    print(f"\nboth have stopped; their log is in {LOG}. `make up` runs them for you.")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
