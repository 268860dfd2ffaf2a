"""The private API: the Open Inference Protocol V2 over HTTP/JSON, for one caller with a token.

Importing this does nothing; `create_app` loads the current version once.
"""

from typing import Any, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contract import MODEL_NAME, ContractError
from model.artifacts.store import Store
from model.engines.loading import Model
from model.errors import ModelError
from model.serving import protocol
from model.serving.batching import Batcher, quick_rows
from model.serving.messages import dump, json_response, parse
from model.serving.middleware import RequestMiddleware
from model.settings import Settings

LOOP_BYTES = 64 * 1024
"""The longest body that the event loop parses itself, in less than a millisecond."""


def create_app(settings: Settings) -> Starlette:
    """The application for the current version; raises ModelError without a version or a token."""
    if not settings.model_tokens:
        raise ModelError("MODEL_TOKENS: is empty; `make setup` puts one into .env")
    model = Model.load(Store(settings.model_store).folder(), settings.model_verify_keys)
    api = Api(model, int(settings.model_max_body))
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
        ],
        exception_handlers={HTTPException: error_response},
    )
    app.router.redirect_slashes = False
    app.add_middleware(RequestMiddleware, tokens=settings.model_tokens)
    return app


class Api:
    """The routes; all that they share is the model."""

    def __init__(self, model: Model, max_body_bytes: int) -> None:
        self._model = model
        self._max_body_bytes = max_body_bytes
        self._batcher = Batcher(model, quick_rows(model))

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

    async def infer(self, request: Request) -> Response:
        """The predictions for a batch of rows.

        A long body is parsed, and answered, in the thread, so that the event loop stays prompt.
        """
        self._check_model(request)
        body = await self._read(request)
        in_thread = len(body) > LOOP_BYTES
        try:
            inference = await self._batcher.run(_parse, body) if in_thread else _parse(body)
        except ContractError as error:
            raise HTTPException(400, str(error)) from None
        predictions = await self._batcher.predict(inference.columns)
        parts = self._model, inference, predictions
        content = await self._batcher.run(_dump, *parts) if in_thread else _dump(*parts)
        request.state.rows = inference.rows
        return Response(content, media_type="application/json")

    def _check_model(self, request: Request) -> None:
        name, version = request.path_params["name"], request.path_params.get("version")
        if name != MODEL_NAME:
            raise HTTPException(404, f"unknown model {name!r:.80}; this is {MODEL_NAME}")
        current = self._model.manifest.version
        if version not in (None, current):
            raise HTTPException(404, f"unknown version {version!r:.80}; this is {current}")

    async def _read(self, request: Request) -> bytes:
        """The body of a request whose headers allow for JSON, no longer than it may be."""
        headers: dict[bytes, bytes] = dict(request.scope["headers"])
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
            if len(body) > self._max_body_bytes:
                raise HTTPException(413, f"the body is longer than {self._max_body_bytes} bytes")
        return bytes(body)


def _parse(body: bytes) -> protocol.InferenceRequest:
    return protocol.read_request(parse(body))


def _dump(*parts: Any) -> bytes:
    return dump(protocol.response_of(*parts))


async def error_response(request: Request, error: Exception) -> Response:
    """An HTTPException in the protocol's form."""
    exception = cast(HTTPException, error)
    return json_response({"error": exception.detail}, exception.status_code, exception.headers)
