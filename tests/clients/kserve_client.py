"""Talks to a private model server with the KServe client; run with .venv-clients' Python."""

import asyncio
import json
import sys
from typing import Any

import httpx
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

MODEL = "order-wait-times"
url, token, rows = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
headers = {"Authorization": f"Bearer {token}"}
DATATYPES = {"hour": "FP64", "day": "BYTES", "distance": "FP64", "items": "INT64"}


def request(names: list[str]) -> InferRequest:
    """The inference request of these features, in JSON."""
    tensors = [
        InferInput(name, [len(rows)], DATATYPES[name], data=[row[name] for row in rows])
        for name in names
    ]
    return InferRequest(MODEL, tensors)


async def main() -> dict[str, Any]:
    """What the client saw."""
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    seen: dict[str, Any] = {
        "live": await client.is_server_live(url, headers=headers),
        "ready": await client.is_server_ready(url, headers=headers)
        and await client.is_model_ready(url, MODEL, headers=headers),
    }
    answer = await client.infer(url, request(list(DATATYPES)), model_name=MODEL, headers=headers)
    seen["predictions"] = list(answer.outputs[0].data)
    try:
        await client.infer(
            url, request(["day", "distance", "items"]), model_name=MODEL, headers=headers
        )
    except httpx.HTTPStatusError as error:
        seen["error"] = error.response.text
    return seen


print(json.dumps(asyncio.run(main())))
