"""A container's process, and a stub of SageMaker's runtime in front of it."""

import json
import re
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials  # type: ignore[import-untyped]
from servers import DISH, ROOT, Server, running

from service.predictors import Access, Predictor, from_url

PYTHON = ROOT / "model/.venv/bin/python"
REGION = "eu-central-1"
URL = f"sagemaker://waits?region={REGION}"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "not-a-secret"}
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


def unpack(folder: Path) -> None:
    """Unpack `model.tar.gz` into a folder, as SageMaker does."""
    archive = folder.parent / "model.tar.gz"
    subprocess.run(
        [PYTHON, DISH / "container.py", "pack", archive], cwd=ROOT, check=True, stdout=sys.stderr
    )
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="fully_trusted")


@contextmanager
def container(unpacked: Path, **more: str) -> Iterator[Server]:
    """The image's process, started as SageMaker does; ready or not."""
    command = [str(PYTHON), str(DISH / "container.py"), "serve"]
    environment = {"SM_MODEL_DIR": str(unpacked), **more}
    with running(command, unpacked.parent, "SAGEMAKER_BIND_TO_PORT", **environment) as server:
        yield server


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is in `/opt/ml/model`."""
    folder = tmp_path_factory.mktemp("opt-ml-model")
    unpack(folder)
    return folder


@pytest.fixture(scope="session")
def version(unpacked: Path) -> str:
    """The only one that was packed."""
    (folder,) = unpacked.iterdir()
    return folder.name


@pytest.fixture(scope="session")
def server(unpacked: Path) -> Iterator[Server]:
    """A container that is healthy, and ends well."""
    with container(unpacked) as started:
        started.wait("/ping")
        yield started
    assert started.process.returncode == 0


class Runtime(ThreadingHTTPServer):
    """InvokeEndpoint as SageMaker answers it: signature checked, the container's answer passed on.

    Attributes:
        fault: an error to answer with: status, code, and what else its body has.
        hanging: how many requests are not answered until the end.
        dropped: how many connections to close without an answer.
    """

    daemon_threads = True

    def __init__(self, container: Server) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.container = container
        self.fault: tuple[int, str, dict[str, Any]] | None = None
        self.hanging = 0
        self.ended = threading.Event()
        self.dropped = 0
        self.attributes: list[str] = []
        self.connections = 0


class Handler(BaseHTTPRequestHandler):
    """One connection to it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Runtime

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.dropped:
            self.server.dropped -= 1
            self.close_connection = True
            return
        if self.server.hanging:
            self.server.hanging -= 1
            self.server.ended.wait(60)
            self.close_connection = True
            return
        if self.server.fault:
            return self._fail(*self.server.fault)
        if not self._is_signed(body):
            return self._fail(403, "InvalidSignatureException", {})
        if self.path != "/endpoints/waits/invocations":
            return self._fail(400, "ValidationError", {})
        self.server.attributes.append(self.headers.get(ATTRIBUTES, ""))
        # SageMaker strips all other headers.
        passed = {
            "Content-Type": self.headers["Content-Type"],
            ATTRIBUTES: self.headers[ATTRIBUTES],
        }
        status, answer = self.server.container.call("POST", "/invocations", body, passed)
        if status >= 300:
            more = {"OriginalStatusCode": status, "OriginalMessage": answer.decode()}
            return self._fail(424, "ModelError", more)
        self._answer(200, answer)

    def _is_signed(self, body: bytes) -> bool:
        """Whether the signature is that of the one key, made again here."""
        found = re.fullmatch(
            "AWS4-HMAC-SHA256 Credential=(.*?)/(.*), SignedHeaders=(.*), Signature=(.*)",
            self.headers.get("Authorization", ""),
        )
        if found is None:
            return False
        key, scope, names, _ = found.groups()
        signer = SigV4Auth(Credentials(key, KEYS["AWS_SECRET_ACCESS_KEY"]), "sagemaker", REGION)
        headers = {name: self.headers[name] for name in names.split(";")}
        host, date = self.headers["Host"], self.headers["X-Amz-Date"]
        request = AWSRequest("POST", f"http://{host}{self.path}", headers, body)
        request.context["timestamp"] = date
        text = signer.string_to_sign(request, signer.canonical_request(request))
        is_ours = scope == f"{date[:8]}/{REGION}/sagemaker/aws4_request"
        return is_ours and found[4] == signer.signature(text, request)

    def _fail(self, status: int, code: str, more: dict[str, Any]) -> None:
        self._answer(status, json.dumps({"Message": "", **more}).encode(), code)

    def _answer(self, status: int, body: bytes, code: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        if code:
            self.send_header("x-amzn-ErrorType", code)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def runtime(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    with Runtime(server) as stub:
        thread = threading.Thread(target=stub.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        url = f"http://127.0.0.1:{stub.server_port}"
        for name, value in {**KEYS, "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": url}.items():
            monkeypatch.setenv(name, value)
        yield stub
        stub.ended.set()
        stub.shutdown()
        thread.join()


@pytest.fixture
def predictor(runtime: Runtime) -> Predictor:
    found = from_url(URL, access=Access(), connections=2)
    found.open()
    return found
