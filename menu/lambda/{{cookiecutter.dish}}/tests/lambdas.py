"""Lambda as a stub: its Runtime API, and a Function URL in front of it."""

import base64
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from servers import DISH

PACKAGE = DISH / f"build/dist/python{sys.version_info.major}.{sys.version_info.minor}"
TOKEN = "a-token-of-thirty-two-characters-or-more"


class Server(ThreadingHTTPServer):
    """A server that runs until it is left."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.address = f"127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a function that is killed as it asks for the next event."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @contextmanager
    def running(self) -> Iterator[str]:
        """Its host and port, where it answers."""
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        with self:
            thread.start()
            try:
                yield self.address
            finally:
                self.shutdown()
                thread.join()


class Handler(BaseHTTPRequestHandler):
    """What both have in common."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


class RuntimeApi(Server):
    """Hands out one event at a time: docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.

    Attributes:
        process: the id of the process of the function.
    """

    def __init__(self) -> None:
        super().__init__(RuntimeHandler)
        self.events: queue.Queue[Any] = queue.Queue()
        self.results: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.one = threading.Lock()
        self.process = 0

    def invoke(self, event: Any) -> Any:
        """What the function answers; there is one environment, so one event at a time."""
        with self.one:
            self.events.put(event)
            kind, result = self.results.get(timeout=180)
        assert kind == "response", result
        return result


class RuntimeHandler(Handler):
    server: RuntimeApi

    def do_GET(self) -> None:
        assert self.path == "/2018-06-01/runtime/invocation/next"
        event = self.server.events.get()
        if event is None:
            return
        headers = {
            "Lambda-Runtime-Aws-Request-Id": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
            "Lambda-Runtime-Deadline-Ms": "4102444800000",
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:123:function:f",
            "Content-Type": "application/json",
        }
        self.answer(200, json.dumps(event).encode(), headers)

    def do_POST(self) -> None:
        self.server.results.put((self.path.rpartition("/")[2], json.loads(self.body())))
        self.answer(202, b'{"status": "OK"}', {"Content-Type": "application/json"})


@contextmanager
def function(package: Path = PACKAGE, **environment: str) -> Iterator[RuntimeApi]:
    """The package with the real runtime client, and nothing else to import."""
    api = RuntimeApi()
    variables = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(package), str(DISH / "build/dist/runtime")]),
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "LAMBDA_TASK_ROOT": str(package),
        "MODEL_TOKENS": TOKEN,
        **environment,
    }
    python = getattr(sys, "_base_executable", sys.executable)
    command = [python, "-S", "-m", "awslambdaric", "handler.handler"]
    with api.running():
        process = subprocess.Popen(command, cwd=package, env=variables)
        api.process = process.pid
        try:
            yield api
        finally:
            api.events.put(None)
            process.kill()
            process.wait()


def event_of(
    method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
) -> dict[str, Any]:
    """The event of a Function URL for a request (payload 2.0), as the documentation has it."""
    named = {name.lower(): value for name, value in (headers or {}).items()}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": "x.lambda-url.eu-central-1.on.aws", **named},
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "x",
            "domainName": "x.lambda-url.eu-central-1.on.aws",
            "domainPrefix": "x",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "agent",
            },
            "requestId": "id",
            "routeKey": "$default",
            "stage": "$default",
            "time": "12/Mar/2026:19:03:58 +0000",
            "timeEpoch": 1583348638390,
        },
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


class FunctionUrl(Server):
    """HTTP in front of a function."""

    def __init__(self, api: RuntimeApi) -> None:
        super().__init__(UrlHandler)
        self.api = api


class UrlHandler(Handler):
    server: FunctionUrl

    def do_POST(self) -> None:
        event = event_of(self.command, self.path, dict(self.headers.items()), self.body())
        result = self.server.api.invoke(event)
        body = result["body"].encode()
        if result.get("isBase64Encoded"):
            body = base64.b64decode(body)
        headers = {k: v for k, v in result["headers"].items() if k != "content-length"}
        self.answer(result["statusCode"], body, headers)

    do_GET = do_POST
