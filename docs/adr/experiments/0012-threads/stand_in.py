"""A model server that answers every row alike, after a while: `stand_in.py SOCKET SECONDS`.

It runs in the environment of a stamped-out service, and so speaks that project's contract.
"""

# mypy: disable-error-code="import-not-found"

import asyncio
import json
import sys
from typing import Any

from contract import FEATURES, MODEL_NAME, TARGET, golden, signature

VERSION = "3f2a9c0d1e2f"
PARAMETERS = {"signature": signature(), "version": VERSION}


def response(message: dict[str, Any]) -> bytes:
    """The message as a whole HTTP response."""
    body = json.dumps(message).encode()
    head = "HTTP/1.1 200 OK\r\nserver: stand-in\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def first_row(tensor: dict[str, Any]) -> dict[str, Any]:
    """A golden tensor cut down to one row."""
    rows, *others = tensor["shape"]
    return {**tensor, "shape": [1, *others], "data": tensor["data"][: len(tensor["data"]) // rows]}


ANSWER = response(
    {
        "model_name": MODEL_NAME,
        "model_version": VERSION,
        "parameters": PARAMETERS,
        "outputs": [first_row(each) for each in golden()[-1].response["outputs"]],
    }
)
DESCRIPTION = response(
    {
        "name": MODEL_NAME,
        "versions": [VERSION],
        "platform": "a stand-in",
        "inputs": [{"name": each.name, "datatype": each.datatype} for each in FEATURES],
        "outputs": [{"name": TARGET.name, "datatype": TARGET.datatype}],
        "parameters": PARAMETERS,
    }
)


class Server(asyncio.Protocol):
    """Answers each request that has come whole."""

    def connection_made(self, transport: Any) -> None:
        """Remember whom to answer."""
        self._transport = transport
        self._seen = b""

    def data_received(self, data: bytes) -> None:
        """Answer once the body is there: it is the end of the only JSON object."""
        self._seen += data
        if self._seen.startswith(b"GET") and self._seen.endswith(b"\r\n\r\n"):
            self._seen = b""
            self._transport.write(DESCRIPTION)
        elif self._seen.endswith(b"]}"):
            self._seen = b""
            think = float(sys.argv[2])
            if think:
                asyncio.get_running_loop().call_later(think, self._transport.write, ANSWER)
            else:
                self._transport.write(ANSWER)


async def main() -> None:
    """Serve until killed."""
    await asyncio.get_running_loop().create_unix_server(Server, sys.argv[1])
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
