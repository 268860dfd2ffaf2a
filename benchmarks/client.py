"""A prediction as the service asks for it: of a server at a socket, and of its own child."""

import json
from pathlib import Path

from paths import BENCHMARKS, PROJECT
from processes import clean, run_command, running
from project import MODEL
from servers import OURS, STORES, TOKEN

SOCKET, CHILD = "http+unix://run/client.sock", "subprocess:"
SCRIPT = BENCHMARKS / "project_scripts/client_latencies.py"


def measure_child(seconds: int) -> dict[str, float]:
    """One round: the p50 of both, measured in turn, and that of the child over the other."""
    settings = {"MODEL_URL": SOCKET, "MODEL_TOKENS": TOKEN, "MODEL_STORE": STORES[OURS]}
    with running("client-model", [MODEL, "serve"], settings, PROJECT):
        python: Path = PROJECT / "service/.venv/bin/python"
        command = (python, SCRIPT, f"{seconds}", SOCKET, CHILD)
        unix, child = json.loads(run_command(*command, environment=clean(settings), cwd=PROJECT))
    return {"unix_p50_ms": unix, "subprocess_p50_ms": child, "share": child / unix}
