"""The front: the Open Inference Protocol V2 to its callers, and to the model servers behind it."""

import asyncio
import hmac
import json
import logging
import os
import tomllib
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from front import inventory
from front.config import Config
from front.server import ModelServer
from front.validation import parse, rejected

ABOUT = {"name": "front", "version": "1", "extensions": ["model_repository"]}
PASSED_ON = ("x-request-id", "traceparent", "tracestate")
"""Headers that a model server gets as the caller sent them."""


def create_app() -> Starlette:
    """The application, for `uvicorn --factory`; FRONT_CONFIG names its configuration."""
    path = os.environ.get("FRONT_CONFIG", "front.toml")
    try:
        front = Front(Config.model_validate(tomllib.loads(Path(path).read_text("utf-8"))))
    except (OSError, ValueError) as error:
        raise SystemExit(f"{path}: {error}") from None
    routes = [
        *(Route("/", front.page), Route("/v2", front.about), Route("/v2/health/{x}", front.about)),
        Route("/v2/repository/index", front.index, methods=["POST"]),
    ]
    for path in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        routes += [Route(f"{path}/{{verb}}", front.infer, methods=["POST"])]
        routes += [Route(path, front.metadata), Route(f"{path}/ready", front.ready)]
    handlers: Any = {HTTPException: front.error}
    return Starlette(routes=routes, exception_handlers=handlers, lifespan=front.lifespan)


class Front:
    """The routes, and the model servers that they share."""

    def __init__(self, config: Config) -> None:
        self._config, self._servers = config, list[ModelServer]()
        callers = config.callers.values()
        self._tokens = {token: each for each in callers for token in each.tokens}

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Ask the model servers again and again what they serve, until the end."""
        self._servers += map(ModelServer, self._config.models)
        following = [asyncio.create_task(each.follow()) for each in self._servers]
        yield
        for each in following:
            each.cancel()

    async def about(self, request: Request) -> Response:
        """What this is; it is ready whatever the models do, each of which has a readiness."""
        return JSONResponse({**ABOUT, "live": True, "ready": True})

    async def metadata(self, request: Request) -> Response:
        """What the model server tells of the model."""
        server = self._server(request)
        if not server.is_fresh:
            raise HTTPException(503, f"{server.model.name}: its model server does not answer")
        return JSONResponse(server.metadata)

    async def ready(self, request: Request) -> Response:
        """Whether the model answers."""
        await self.metadata(request)
        return JSONResponse({"name": request.path_params["name"], "ready": True})

    async def index(self, request: Request) -> Response:
        """The models and versions that there are."""
        return JSONResponse(inventory.index(self._visible(request)))

    async def page(self, request: Request) -> Response:
        """The same for people."""
        return HTMLResponse(inventory.page(self._visible(request)), headers=inventory.POLICY)

    async def infer(self, request: Request) -> Response:
        """The answer for a batch of rows, from the cache or from the model; or its explanation."""
        server, now = self._server(request), asyncio.get_running_loop().time
        request.state.server, verb = server, request.path_params["verb"]
        left = request.headers.get("x-request-timeout-ms", str(server.model.timeout_ms))
        if not (left.isascii() and left.isdecimal() and len(left) < 10):
            raise rejected("X-Request-Timeout-Ms", f"is {left!r:.40}, expected whole milliseconds")
        by = now() + min(int(left), server.model.timeout_ms) / 1000
        if verb not in ("infer", "explain"):
            raise HTTPException(404, f"there is no {verb!r:.40}")
        if not server.metadata:
            raise HTTPException(503, f"{server.model.name}: its model server was not seen yet")
        if int(request.headers.get("content-length", 2**63)) > (most := self._config.max_body):
            raise HTTPException(413, f"expected a body of at most {most} bytes, and its length")
        message, tensors = parse(await request.body())
        if server.enrichment:
            with server.admitted():
                await server.enrichment.fill(tensors, server.contract, by)
        server.contract.check(tensors, message["parameters"].get("signature"))
        identity = {"id": message.pop("id")} if "id" in message else {}
        message["inputs"] = [tensors[name] for name in sorted(tensors)]
        content = json.dumps(message, sort_keys=True).encode()
        key = f"front:{server.model.name}:%s:{sha256(content).hexdigest()}"
        cache = server.cache if verb == "infer" else None
        if cache and server.is_fresh and (kept := await cache.get(key % server.version)):
            server.outcomes["cached"] += 1
            return JSONResponse(kept | identity, headers={"X-Cache": "hit"})
        headers = {each: request.headers[each] for each in PASSED_ON if each in request.headers}
        pinned, asked = request.path_params.get("version"), now()
        path = f"/versions/{pinned}/{verb}" if pinned else f"/{verb}"
        with server.admitted():
            answer = await server.ask(path, content, headers, by)
        server.outcomes["200"] += 1
        if version := answer.get("model_version"):
            answer["model_name"] = server.model.name
            server.learn(version, asked)
            if cache and "batch_rows" not in (answer.get("parameters") or {}):
                await cache.put(key % version, answer)
        return JSONResponse(answer | identity, headers={"X-Cache": "miss"})

    async def error(self, request: Request, error: HTTPException) -> Response:
        """An error in the protocol's form."""
        if server := getattr(request.state, "server", None):
            server.outcomes[str(error.status_code)] += 1
        given = request.headers.get("x-request-id", "-")
        logging.getLogger("front").warning("%s %s %s", given, error.status_code, error.detail)
        headers = {"Retry-After": "1"} if error.status_code == 503 else error.headers
        return JSONResponse({"error": error.detail}, error.status_code, headers)

    def _visible(self, request: Request) -> list[ModelServer]:
        """The servers that the caller may ask; raises HTTPException 401 if it shows no token."""
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":  # of browsers, in which the token is the password
            with suppress(ValueError):
                shown = b64decode(shown).decode().partition(":")[2]
        for token, caller in self._tokens.items():
            if hmac.compare_digest(token.encode(), shown.encode()):
                names = caller.models
                return [each for each in self._servers if names is None or each.model.name in names]
        challenge = {"WWW-Authenticate": 'Bearer, Basic realm="front"'}
        raise HTTPException(401, "a bearer token is needed", challenge)

    def _server(self, request: Request) -> ModelServer:
        """The server for the name and version in the path; raises HTTPException 404."""
        name, version = request.path_params["name"], request.path_params.get("version")
        servers = [each for each in self._visible(request) if each.model.name == name]
        for each in servers:
            if version in (None, each.version):
                return each
        known = ", ".join(each.version for each in servers) or "none that you may ask"
        raise HTTPException(404, f"no model {name!r:.80} of this version; there is {known}")
