"""The model server in a container of Vertex AI: the routes and the port that `AIP_…` name.

See https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements.
"""

import json
import os
import secrets
from itertools import chain
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contract import FEATURES, MODEL_NAME, ContractError
from contract.tensors import predictions_of
from model.serving.messages import dump, parse
from model.serving.server import Server, serve
from model.settings import load_settings

DATATYPES = {each.name: each.datatype for each in FEATURES}


class Routes:
    """Puts Vertex AI's two routes before the application; whoever predicts was let in by IAM."""

    def __init__(self, app: ASGIApp, token: str, max_body: int) -> None:
        self._app, self._authorization = app, b"Bearer " + token.encode()
        self._max_body = max_body
        self._health = os.environ.get("AIP_HEALTH_ROUTE", "/health")
        self._predict = os.environ.get("AIP_PREDICT_ROUTE", "/predict")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"] if scope["type"] == "http" else None
        if path == self._health:
            scope = {**scope, "path": "/v2/health/ready"}
        elif path == self._predict:
            headers = {**dict(scope["headers"]), b"authorization": self._authorization}
            inferred = {"path": f"/v2/models/{MODEL_NAME}/infer", "headers": [*headers.items()]}
            exchange = Exchange(receive, send, self._max_body)
            scope, receive, send = {**scope, **inferred}, exchange.receive, exchange.send
        await self._app(scope, receive, send)


class Exchange:
    """A request whose instances become tensors, and whose answer becomes predictions.

    The body of a `:rawPredict` may hold tensors, and is answered in kind.
    """

    def __init__(self, receive: Receive, send: Send, max_body: int) -> None:
        self._receive, self._send, self._max_body = receive, send, max_body
        self._is_read = self._has_instances = False
        self._fault = ""
        self._start: Message = {}

    async def receive(self) -> Message:
        """The body as a whole, or more of it than it may have."""
        if self._is_read:
            return await self._receive()
        body = bytearray()
        message: Message = {"more_body": True}
        while message.get("more_body") and len(body) <= self._max_body:
            message = await self._receive()
            body += message.get("body", b"")
        self._is_read = True
        if message["type"] == "http.request" and len(body) <= self._max_body:
            try:
                if tensors := await run_in_threadpool(tensors_of, bytes(body)):
                    self._has_instances, message["body"] = True, tensors
                    return message
            except ContractError as error:
                self._fault = str(error)
        return {**message, "body": bytes(body)}

    async def send(self, message: Message) -> None:
        """Pass the answer on, which comes as one start and one body."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        if self._has_instances and self._start["status"] == 200:
            message["body"] = await run_in_threadpool(predictions_in, message["body"])
        elif self._fault and self._start["status"] == 400:
            message["body"] = dump({"error": self._fault})
        headers = dict(self._start["headers"])
        headers[b"content-length"] = str(len(message["body"])).encode()
        await self._send({**self._start, "headers": [*headers.items()]})
        await self._send(message)


def tensors_of(body: bytes) -> bytes | None:
    """The inference request for the instances in a body; None if it has none.

    Raises:
        ContractError: it has something else.
    """
    try:
        message = parse(body)
    except ContractError:
        return None  # which the application explains
    if not isinstance(message, dict) or "instances" not in message:
        return None
    rows = message["instances"]
    if not isinstance(rows, list) or not all(isinstance(each, dict) for each in rows):
        raise ContractError("`instances` is not a list of objects")
    inputs: list[dict[str, Any]] = [
        {
            "name": name,
            "datatype": DATATYPES.get(name, ""),
            "shape": [len(rows)],
            "data": [each.get(name) for each in rows],
        }
        for name in dict.fromkeys(chain(DATATYPES, *rows))
    ]
    return dump({"inputs": inputs})


def predictions_in(body: bytes) -> bytes:
    """The predictions in an inference response, each with the version that it comes from."""
    message = json.loads(body)
    version = {"model_version": message["model_version"]}
    rows = [version | each.model_dump(mode="json") for each in predictions_of(message)]
    return dump({"predictions": rows})


class Container(Server):
    """The server with these routes."""

    def load(self) -> Routes:
        """The application, in the worker that will run it."""
        limit = int(load_settings().model_max_body)
        return Routes(super().load(), os.environ["MODEL_TOKENS"], limit)


def main() -> None:
    """Serve the current version of the store that was copied to AIP_STORAGE_URI, or the image's."""
    if store := os.environ.get("AIP_STORAGE_URI"):
        os.environ |= {"MODEL_STORE": store}
    os.environ |= {
        "MODEL_URL": f"http://0.0.0.0:{os.environ.get('AIP_HTTP_PORT', 8080)}",
        "MODEL_PLAINTEXT": "1",  # Google's own front ends TLS before the container
        "MODEL_TOKENS": secrets.token_urlsafe(32),
    }
    serve(load_settings(), Container)


if __name__ == "__main__":
    main()
