"""The private API: the Open Inference Protocol V2 over HTTP/JSON, for one caller with a token.

Importing this does nothing; `create_app` loads the current version once.
"""

import asyncio
import hmac
import json
import random
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import anyio
import orjson
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contract import MODEL_NAME, ContractError
from model import protocol
from model.answer import Answer
from model.batching import Worker
from model.engine import Engine
from model.errors import ModelError
from model.openapi import document
from model.settings import Settings
from model.store import Store

OPEN = {"/v2/health/live", "/v2/health/ready"}
"""What is answered without a token."""
LINGER = 1.0  # seconds to read on for, before a refusal
SHORT = 64 * 1024  # bytes of a body that the event loop reads itself, in less than a millisecond
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
log = structlog.get_logger()


def create_app(settings: Settings) -> Starlette:
    """The application that serves the store's current version.

    Raises:
        ModelError: there is no token, or no version that may be served.
    """
    if not settings.model_tokens:
        raise ModelError("MODEL_TOKENS: is empty; `make setup` puts one into .env")
    engine = Engine.load(Store(settings.model_store).folder())
    api = Api(engine, int(settings.model_max_body))
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
            Route("/openapi.json", api.openapi),
        ],
        exception_handlers={HTTPException: refuse},
    )
    app.router.redirect_slashes = False
    app.add_middleware(Front, tokens=settings.model_tokens)
    return app


class Api:
    """The routes; all they share is the engine."""

    def __init__(self, engine: Engine, max_body: int) -> None:
        self._engine = engine
        self._max_body = max_body
        self._worker = Worker(engine)

    async def server(self, request: Request) -> Response:
        """What the server is."""
        return answer(protocol.SERVER)

    async def health(self, request: Request) -> Response:
        """Live and ready at once: nothing is listened to before the model is loaded."""
        return answer({"live": True, "ready": True})

    async def model(self, request: Request) -> Response:
        """What the model is."""
        self._check_model(request)
        return answer(protocol.metadata(self._engine))

    async def model_ready(self, request: Request) -> Response:
        """Whether the model answers, which it does once it is loaded."""
        self._check_model(request)
        return answer({"name": MODEL_NAME, "ready": True})

    async def infer(self, request: Request) -> Response:
        """The predictions for a batch of rows.

        A long body is read in the thread, so that health and refusals stay prompt.
        """
        self._check_model(request)
        body = await self._read(request)
        try:
            if len(body) > SHORT:
                content, rows = await self._worker.run(self._infer, body)
            else:
                question = protocol.question_of(parse(body))
                prediction = await self._worker.predict(question.columns)
                content, rows = self._respond(question, prediction), question.rows
        except ContractError as error:
            raise HTTPException(400, str(error)) from None
        request.state.rows = rows
        return Response(content, media_type="application/json")

    async def openapi(self, request: Request) -> Response:
        """The description of all this."""
        return answer(document(self._engine.manifest))

    def _infer(self, body: bytes) -> tuple[bytes, int]:
        question = protocol.question_of(parse(body))
        return self._respond(question, self._engine.predict(question.columns)), question.rows

    def _respond(self, question: protocol.Question, prediction: Answer) -> bytes:
        return dump(protocol.response_of(self._engine.manifest, question, prediction))

    def _check_model(self, request: Request) -> None:
        name, version = request.path_params["name"], request.path_params.get("version")
        if name != MODEL_NAME:
            raise HTTPException(404, f"unknown model {name!r:.80}; this is {MODEL_NAME}")
        if version not in (None, self._engine.manifest.version):
            raise HTTPException(
                404, f"unknown version {version!r:.80}; this is {self._engine.manifest.version}"
            )

    async def _read(self, request: Request) -> bytes:
        """The body of a request whose headers allow for JSON, no longer than it may be."""
        headers: dict[bytes, bytes] = dict(request.scope["headers"])
        if b"inference-header-content-length" in headers:
            raise HTTPException(
                400, "binary tensor data is not spoken here; send JSON (binary_data=False)"
            )
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise HTTPException(415, "compressed bodies are not spoken here")
        kind = headers.get(b"content-type", b"application/json").partition(b";")[0]
        if kind.strip().lower() != b"application/json":
            raise HTTPException(415, "the content type is not application/json")
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self._max_body:
                raise HTTPException(413, f"the body is longer than {self._max_body} bytes")
        return bytes(body)


class Front:
    """What every request passes: its id, the token, the log line, and the last line of defence."""

    def __init__(self, app: ASGIApp, tokens: tuple[str, ...]) -> None:
        self._app = app
        self._tokens = [token.encode() for token in tokens]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        start = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        request_id = given if REQUEST_ID.fullmatch(given) else new_id()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        state: dict[str, Any] = {}  # what the routes add to the log line
        scope["state"] = state
        status, unread = 0, b"expect" not in headers

        async def receive_on() -> Message:
            nonlocal unread
            message = await receive()
            unread = message.get("more_body", False)
            return message

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"x-request-id", request_id.encode()))
                if unread:
                    # An answer before the end of the body would cut the caller off as it sends.
                    with anyio.move_on_after(LINGER):
                        while unread:
                            await receive_on()
            await send(message)

        try:
            if scope["path"] in OPEN or self._is_known(headers.get(b"authorization", b"")):
                await self._app(scope, receive_on, send_with_id)
            else:
                refusal = answer(
                    {"error": "a bearer token is needed"}, 401, {"WWW-Authenticate": "Bearer"}
                )
                await refusal(scope, receive_on, send_with_id)
        except ClientDisconnect:
            status = 499
        except asyncio.CancelledError:  # the caller has left; the worker does not wait for this
            status = status or 499
            raise
        except Exception:
            log.exception("failed")
            if not status:
                await answer({"error": "internal error"}, 500)(scope, receive, send_with_id)
        finally:
            duration = round(1000 * (time.perf_counter() - start), 2)
            write = log.debug if scope["path"] in OPEN and status == 200 else log.info
            write(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                duration_ms=duration,
                **state,
            )

    def _is_known(self, authorization: bytes) -> bool:
        scheme, _, token = authorization.partition(b" ")
        # Every token is compared, so that the time taken tells nothing.
        matches = [hmac.compare_digest(token.strip(), known) for known in self._tokens]
        return scheme.lower() == b"bearer" and any(matches)


async def refuse(request: Request, error: Exception) -> Response:
    """An HTTPException in the protocol's words."""
    refusal = cast(HTTPException, error)
    return answer({"error": refusal.detail}, refusal.status_code, refusal.headers)


def new_id() -> str:
    """An id for a request that came without one, which is no secret."""
    return f"{random.getrandbits(64):016x}"


def parse(body: bytes) -> object:
    """The JSON of a body.

    Raises:
        ContractError: it is none that anybody can read.
    """
    with suppress(orjson.JSONDecodeError):
        return orjson.loads(body)
    # Either it is no JSON, and this tells better why; or it holds NaN, as some clients write it.
    try:
        return json.loads(body)
    except RecursionError:
        raise ContractError("the body is nested too deeply") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ContractError(f"the body is not JSON: {error}") from None
    except ValueError:  # of an integer of more than 4,300 digits
        raise ContractError("the body holds an integer of too many digits") from None


def dump(content: Any) -> bytes:
    """As JSON."""
    try:
        return orjson.dumps(content)
    except TypeError:  # of half a surrogate pair in the caller's id, which JSON can only escape
        return json.dumps(content, allow_nan=False).encode()


def answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response in JSON."""
    return Response(dump(content), status, headers, "application/json")
