"""The private API: the Open Inference Protocol V2 over HTTP/JSON, for one caller with a token."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from time import monotonic
from typing import cast

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contract import MODEL_NAME, ContractError
from model.artifacts.opening import open_store
from model.engines.explaining import explain
from model.engines.loading import Model
from model.errors import ModelError
from model.serving import protocol
from model.serving.access import Tokens
from model.serving.admission import Overloaded, check_time
from model.serving.batching import Batch, Batcher, measure
from model.serving.messages import dump, json_response, parse
from model.serving.metrics import CONTENT_TYPE, Metrics
from model.serving.middleware import RequestMiddleware
from model.settings import Settings

LOOP_BYTES = 64 * 1024
"""The longest body that the event loop parses itself, in less than a millisecond."""
MILLISECONDS = re.compile(rb"[0-9]{1,9}")


def create_app(
    model: Model, tokens: Tokens | None, settings: Settings, metrics: Metrics
) -> Starlette:
    """The application that answers for a model those who have a token; all if there are none."""
    api = Api(model, settings, metrics)
    models = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
    app = Starlette(
        routes=[
            # The busiest route is the first, since they are tried one after the other.
            *(Route(f"{path}/infer", api.infer, methods=["POST"]) for path in models),
            Route("/v2", api.server),
            Route("/v2/health/live", api.health),
            Route("/v2/health/ready", api.health),
            *(Route(path, api.model) for path in models),
            *(Route(f"{path}/ready", api.model_ready) for path in models),
            *(Route(f"{path}/explain", api.explain, methods=["POST"]) for path in models),
            Route("/versions", api.versions),
            Route("/metrics", api.metrics),
        ],
        exception_handlers={HTTPException: error_response},
    )
    app.router.redirect_slashes = False
    app.add_middleware(RequestMiddleware, tokens=tokens, metrics=metrics)
    return app


class Api:
    """The routes; all that they share is the model."""

    def __init__(self, model: Model, settings: Settings, metrics: Metrics) -> None:
        self._model = model
        self._metrics = metrics
        self._settings = settings
        self._explaining = asyncio.Lock()
        self._predict = metrics.observed(model.predict)
        self._batcher = Batcher(self._predict, measure(model), metrics.waiting)

    async def server(self, request: Request) -> Response:
        """What the server is."""
        return json_response(protocol.SERVER)

    async def health(self, request: Request) -> Response:
        """Live and ready at once: nothing listens before the model is loaded."""
        return json_response({"live": True, "ready": True})

    async def model(self, request: Request) -> Response:
        """What the model is."""
        self._check_model(request)
        return json_response(protocol.metadata(self._model))

    async def model_ready(self, request: Request) -> Response:
        """Whether the model answers, which it does once it is loaded."""
        self._check_model(request)
        return json_response({"name": MODEL_NAME, "ready": True})

    async def metrics(self, request: Request) -> Response:
        """What all workers have measured."""
        self._metrics.flush()
        text = await run_in_threadpool(self._metrics.exposition)
        return Response(text, media_type=CONTENT_TYPE)

    async def infer(self, request: Request) -> Response:
        """The predictions for a batch of rows.

        A long body is parsed, and answered, in the thread, so that the event loop stays prompt.
        """
        self._check_model(request)
        headers: dict[bytes, bytes] = request.scope["header_by_name"]
        arrival = request.scope.get("arrival", monotonic())
        batch = Batch(arrival) if request.scope["trace"].is_sampled else None
        deadline = _deadline(request, headers)
        body = await self._read(request, headers)
        with self._rejecting():
            if len(body) > LOOP_BYTES:
                rows, content = await self._batcher.call(self._answer, body, deadline)
            else:
                inference = protocol.read_request(parse(body))
                predictions = await self._batcher.predict(inference.columns, deadline, batch)
                response = protocol.response_of(self._model, inference, predictions)
                if batch:
                    response["parameters"] |= batch.parameters()
                content = dump(response)
                rows = inference.rows
        request.state.rows = rows
        return Response(content, media_type="application/json")

    async def explain(self, request: Request) -> Response:
        """How the prediction for one row comes about; one at a time, so that predictions go on."""
        self._check_model(request)
        headers: dict[bytes, bytes] = request.scope["header_by_name"]
        deadline = _deadline(request, headers)
        body = await self._read(request, headers)
        with self._rejecting():
            async with self._explaining:
                check_time(deadline)
                content = await run_in_threadpool(self._explain, body)
        return Response(content, media_type="application/json")

    def _explain(self, body: bytes) -> str:
        return explain(self._model, protocol.read_request(parse(body)).columns).model_dump_json()

    async def versions(self, request: Request) -> Response:
        """What is known of all versions of the store."""
        try:
            known = await run_in_threadpool(lambda: open_store(self._settings).known())
        except ModelError as error:
            raise HTTPException(503, str(error)) from None
        return json_response(known)

    @contextmanager
    def _rejecting(self) -> Iterator[None]:
        """Answer 400 to what breaks the contract, and 503 to what comes too late."""
        try:
            yield
        except ContractError as error:
            raise HTTPException(400, str(error)) from None
        except Overloaded as error:
            self._metrics.refused(error.reason)
            raise HTTPException(503, str(error), {"Retry-After": "1"}) from None

    def _answer(self, body: bytes) -> tuple[int, bytes]:
        """How many rows a body holds, and the response to it."""
        inference = protocol.read_request(parse(body))
        predictions = self._predict(inference.columns)
        return inference.rows, dump(protocol.response_of(self._model, inference, predictions))

    def _check_model(self, request: Request) -> None:
        name, version = request.path_params["name"], request.path_params.get("version")
        if name != MODEL_NAME:
            raise HTTPException(404, f"unknown model {name!r:.80}; this is {MODEL_NAME}")
        current = self._model.manifest.version
        if version not in (None, current):
            raise HTTPException(404, f"unknown version {version!r:.80}; this is {current}")

    async def _read(self, request: Request, headers: dict[bytes, bytes]) -> bytes:
        """The body of a request whose headers allow for JSON, no longer than it may be."""
        if b"inference-header-content-length" in headers:
            fault = "binary tensor data is not supported; send JSON (binary_data=False)"
            raise HTTPException(400, fault)
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise HTTPException(415, "compressed bodies are not supported")
        kind = headers.get(b"content-type", b"application/json").partition(b";")[0]
        if kind.strip().lower() != b"application/json":
            raise HTTPException(415, "the content type is not application/json")
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > (limit := int(self._settings.model_max_body)):
                raise HTTPException(413, f"the body is longer than {limit} bytes")
        return bytes(body)


def _deadline(request: Request, headers: dict[bytes, bytes]) -> float:
    """By when the caller needs the answer, by `time.monotonic`; infinite if it does not say.

    The time that is left is counted from when the request's head had been read.
    """
    left = headers.get(b"x-request-timeout-ms")
    if left is None:
        return inf
    if not MILLISECONDS.fullmatch(left):
        fault = (
            f"X-Request-Timeout-Ms is {left.decode('latin-1')!r:.40}, expected whole milliseconds"
        )
        raise HTTPException(400, fault)
    return float(request.scope.get("arrival", monotonic())) + int(left) / 1000


async def error_response(request: Request, error: Exception) -> Response:
    """An HTTPException in the protocol's form."""
    exception = cast(HTTPException, error)
    return json_response({"error": exception.detail}, exception.status_code, exception.headers)
