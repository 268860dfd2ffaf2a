"""The model server in the container of a SageMaker endpoint: `GET /ping`, `POST /invocations`.

See https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html.
"""

import os
import secrets
import sys
import tarfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Receive, Scope, Send

from contract import MODEL_NAME
from model.artifacts.manifest import VERSION
from model.artifacts.opening import open_store
from model.serving.server import Server, serve
from model.settings import load_settings

UNPACKED = Path(os.environ.get("SM_MODEL_DIR", "/opt/ml/model"))
ATTRIBUTES = b"x-amzn-sagemaker-custom-attributes"
FORWARDED = {"x-request-id", "x-request-timeout-ms", "traceparent"}
"""The first is the one header that SageMaker passes on, `name=value&…`; these become headers."""


class Routes:
    """Puts SageMaker's two routes before the application; whoever invokes was let in by IAM.

    The attribute `request` names another route of the application: `GET /v2/models/NAME`.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._authorization = app, b"Bearer " + token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            scope = {**scope, **self._translated(scope)}
        await self._app(scope, receive, send)

    def _translated(self, scope: Scope) -> dict[str, Any]:
        if scope["path"] == "/ping":
            return {"path": "/v2/health/ready"}
        if scope["path"] != "/invocations":
            return {}  # and there is no token either
        headers = dict(scope["headers"])
        attributes = headers.pop(ATTRIBUTES, b"").decode("latin-1")
        given = dict(parse_qsl(attributes, encoding="latin-1"))
        asked = given.get("request", f"POST /v2/models/{MODEL_NAME}/infer")
        method, _, path = asked.partition(" ")
        headers |= {
            name.encode(): given[name].encode("latin-1") for name in FORWARDED & given.keys()
        }
        headers[b"authorization"] = self._authorization
        return {"method": method, "path": path, "headers": [*headers.items()]}


class Container(Server):
    """The server with these routes."""

    def load(self) -> Routes:
        """The application, in the worker that will run it."""
        return Routes(super().load(), os.environ["MODEL_TOKENS"])


def run() -> None:
    """Serve the version that SageMaker has unpacked, or the one that came with the image."""
    found = [each.name for each in UNPACKED.glob("*") if VERSION.fullmatch(each.name)]
    if len(found) == 1:
        os.environ |= {"MODEL_STORE": str(UNPACKED), "MODEL_VERSION": found[0]}
    os.environ |= {
        "MODEL_URL": f"http://0.0.0.0:{os.environ.get('SAGEMAKER_BIND_TO_PORT', 8080)}",
        "MODEL_PLAINTEXT": "1",  # SageMaker's own agent ends TLS before the container
        "MODEL_TOKENS": secrets.token_urlsafe(32),
    }
    serve(load_settings(), Container)


def pack(path: Path) -> None:
    """Write the current version as `model.tar.gz`: of root, and for all to read."""

    def plain(file: tarfile.TarInfo) -> tarfile.TarInfo:
        mode = 0o755 if file.isdir() else 0o644
        return file.replace(mode=mode, mtime=0, uid=0, gid=0, uname="", gname="", deep=False)

    folder = open_store(load_settings()).folder()
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, folder.name, filter=plain)
    print(f"{path}: version {folder.name}")


if __name__ == "__main__":  # SageMaker starts it as `serve`
    pack(Path(sys.argv[2])) if sys.argv[1:2] == ["pack"] else run()
