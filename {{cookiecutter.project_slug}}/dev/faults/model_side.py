"""What goes wrong with the model server."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

from faults.operating_system import wait_until
from faults.processes import SOCKET, System
from faults.scenarios import SCENARIOS, Limits, Scenario, scenario

IN_TIME = 0.25 + 0.05
"""Seconds: the deadline of a prediction, and what the service may take beyond it."""

MODEL = Limits(seconds=IN_TIME)
"""A fault of the model fails no request of the product."""

FAKES = {
    "hangs": "The model hangs for 15 s",
    "slow": "The model answers in 0.9 s",
    "late": "The model answers in 5 s",
    "drips": "The model answers a byte every 50 ms",
    "garbage": "The model answers with garbage",
    "nan": "The model answers NaN",
    "range": "The model answers what no training saw",
    "cut": "The model closes in the middle of an answer",
    "id": "The model answers another request",
    "signature": "The model speaks another contract",
}
QUICK = {"hangs", "garbage", "cut"}


def fake_model(system: System) -> Iterator[None]:
    """Begin the fault of the fake model server, which the service has to notice, and end it."""
    system.model.send(signal.SIGUSR1)
    wait_until(lambda: system.place()[1] == "fallback", "the service notices what is wrong")
    yield
    system.model.send(signal.SIGUSR1)


for fault, line in FAKES.items():
    limits = Limits(seconds=IN_TIME, ready=503 if fault == "signature" else 200)
    name = f"model-{fault}"
    SCENARIOS[name] = Scenario(name, line, fake_model, limits, fake=fault, quick=fault in QUICK)


@scenario(MODEL, quick=True)
def model_worker_killed(system: System) -> Iterator[None]:
    """A worker of the model server is killed (-9)."""
    system.model.kill_worker()
    yield


@scenario(MODEL)
def model_master_killed(system: System) -> Iterator[None]:
    """The model server's master is killed (-9), and started again."""
    system.kill_master(system.model)
    yield
    system.model.start()
    system.wait_for_model()


@scenario(MODEL)
def model_stopped(system: System) -> Iterator[None]:
    """The model server is frozen (SIGSTOP)."""
    system.model.send_all(signal.SIGSTOP)
    yield
    system.model.send_all(signal.SIGCONT)


@scenario(MODEL)
def model_restarted(system: System) -> Iterator[None]:
    """The model server is restarted 20 times."""
    for _ in range(20):
        system.model.stop()
        system.model.start()
        system.wait_for_model()
    yield


@scenario(MODEL)
def model_socket_removed(system: System) -> Iterator[None]:
    """Somebody removes the model server's socket, and the connections break."""
    SOCKET.unlink()
    system.model.kill_worker()
    yield


@scenario(MODEL)
def artifact_corrupted(system: System) -> Iterator[None]:
    """The artifact is corrupted, and the worker that had loaded it is killed."""
    kept = corrupt(system.versions()[0])
    system.model.kill_worker()
    yield
    restore(kept)


@scenario(MODEL)
def corrupt_version_promoted(system: System) -> Iterator[None]:
    """A corrupt version is made current, and the model server sees it."""
    folder = system.versions()[1]
    corrupt(folder)
    force = ("--force", "--reason", "chaos")
    promoted = system.does("model/.venv/bin/model", "promote", folder.name, *force)
    system.expect(not promoted, "promote took a corrupt version")
    with (system.store / "log.jsonl").open("r+", encoding="utf-8") as log:
        last = json.loads(log.readlines()[-1])
        log.write(json.dumps({**last, "from": last["to"], "to": folder.name}) + "\n")
    yield
    system.expect(system.place()[1] == "model", "a reload that cannot load lost the old version")


@scenario(MODEL, settings={"MODEL_WORKERS": "2"})
def two_versions(system: System) -> Iterator[None]:
    """Another version is served after a reload, side by side with the first, and back again."""
    first, second = (folder.name for folder in system.versions())
    system.serve_version(second)
    yield
    system.serve_version(first)


def corrupt(folder: Path) -> dict[Path, bytes]:
    """Change a byte of each artifact; what they were."""
    artifacts = [each for each in folder.iterdir() if each.suffix in {".onnx", ".joblib"}]
    kept = {each: each.read_bytes() for each in artifacts}
    for path, data in kept.items():
        path.chmod(0o600)
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    return kept


def restore(kept: dict[Path, bytes]) -> None:
    """Write the artifacts as they were."""
    for path, data in kept.items():
        path.write_bytes(data)
