"""What each server runs: a Starlette application that does nothing but read and answer JSON."""

import json

from starlette.applications import Starlette  # type: ignore[import-not-found]
from starlette.requests import Request  # type: ignore[import-not-found]
from starlette.responses import Response  # type: ignore[import-not-found]
from starlette.routing import Route  # type: ignore[import-not-found]

ANSWER = {"model_name": "wait_seconds", "outputs": ["x" * 250]}


async def infer(request: Request) -> Response:
    """About 300 bytes of JSON for a body of JSON."""
    json.loads(await request.body())
    return Response(json.dumps(ANSWER), media_type="application/json")


app = Starlette(routes=[Route("/", infer, methods=["POST"])])
