"""A model server of any contract, which does what a test tells it: `python fake.py SOCKET NAME`.

Beside the Open Inference Protocol it has `POST /told`, which changes what it is, and `GET /seen`,
which tells the inference requests that have come, and gives the bodies and headers of them.
"""

import asyncio
import sys
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

told: dict[str, Any] = {
    "version": "1",
    "inputs": [{"name": "size", "datatype": "FP64", "shape": [-1]}],
    "parameters": {},
    "status": 200,
    "seconds": 0.0,
    "token": "",
}
seen: list[dict[str, Any]] = []


async def tell(request: Request) -> Response:
    told.update(await request.json())
    return JSONResponse({})


async def show(request: Request) -> Response:
    return JSONResponse(seen)


async def metadata(request: Request) -> Response:
    kept = {key: told[key] for key in ("inputs", "parameters")}
    return JSONResponse({"name": sys.argv[2], "versions": [told["version"]], "outputs": [], **kept})


async def infer(request: Request) -> Response:
    message = await request.json()
    seen.append({"path": request.url.path, "headers": dict(request.headers), "body": message})
    version = told["version"]
    await asyncio.sleep(told["seconds"])
    if request.headers["authorization"] != f"Bearer {told['token']}" and told["token"]:
        return JSONResponse({"error": "no"}, 401)
    if told["status"] != 200:
        return JSONResponse({"error": "as told"}, told["status"])
    rows = message["inputs"][0]["shape"][0]
    data = [float(len(seen))] * rows
    output = {"name": "y", "datatype": "FP64", "shape": [rows], "data": data}
    answer = {"model_name": sys.argv[2], "model_version": version, "outputs": [output]}
    return JSONResponse({**answer, **({"id": message["id"]} if "id" in message else {})})


app = Starlette(
    routes=[
        Route("/told", tell, methods=["POST"]),
        Route("/seen", show),
        Route("/v2/models/{name}", metadata),
        Route("/v2/models/{name}/infer", infer, methods=["POST"]),
        Route("/v2/models/{name}/versions/{version}/infer", infer, methods=["POST"]),
    ]
)

if __name__ == "__main__":
    options = dict(zip(sys.argv[3::2], sys.argv[4::2], strict=True))
    where: Any = {"host": "127.0.0.1", "port": int(options["port"])} if options else {}
    tls: Any = {key: value for key, value in options.items() if key.startswith("ssl")}
    required: Any = {"ssl_cert_reqs": 2} if tls else {}
    where = where or {"uds": sys.argv[1]}
    uvicorn.run(app, log_level="warning", **where, **tls, **required)
