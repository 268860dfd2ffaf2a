"""The container's process, as service.yaml has it: its command, its environment, and PORT."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from servers import DISH, JSON, ROOT, Server, running

from contract import MODEL_NAME

MANIFEST: dict[str, Any] = yaml.safe_load((DISH / "service.yaml").read_text("utf-8"))
TEMPLATE: dict[str, Any] = MANIFEST["spec"]["template"]
CONTAINER: dict[str, Any] = TEMPLATE["spec"]["containers"][0]
READY: str = CONTAINER["readinessProbe"]["httpGet"]["path"]
INFER = f"/v2/models/{MODEL_NAME}/infer"
TOKEN = secrets.token_urlsafe()
HEADERS = {"Authorization": f"Bearer {TOKEN}", **JSON}


@contextmanager
def container(folder: Path, port_name: str = "PORT", **more: str) -> Iterator[Server]:
    """The process, its files in a folder; ready or not."""
    tokens = folder / "model_tokens"
    tokens.write_text(TOKEN)
    environment = {
        **{each["name"]: each["value"] for each in CONTAINER["env"]},
        "PATH": f"{ROOT / 'model/.venv/bin'}:{os.environ['PATH']}",
        "MODEL_STORE": os.path.join(ROOT, os.environ.get("MODEL_STORE", "artifacts")),
        "MODEL_TOKENS_FILE": str(tokens),
        **more,
    }
    with running(CONTAINER["command"], folder, port_name, **environment) as server:
        yield server
