"""A model server that goes wrong: `fake_model.py SOCKET FAULT ANSWERS`.

SIGUSR1 begins the fault, and ends it. The file of true answers is JSON: {"GET": {}, "POST": {}}.
"""

import asyncio
import json
import math
import signal
import sys
from pathlib import Path
from typing import Any

DELAYS = {"hangs": 15.0, "slow": 0.9, "late": 5.0}
"""Seconds before the answer."""


def faulty(fault: str, message: dict[str, Any]) -> bytes:
    """The body of a wrong answer."""
    match fault:
        case "garbage":
            return b"\x00\xff not JSON"
        case "nan" | "range" if "outputs" in message and "id" in message:
            (output, *others) = message["outputs"]
            value = math.nan if fault == "nan" else -5e9
            message = {**message, "outputs": [{**output, "data": [value]}, *others]}
        case "id" if "id" in message:
            message = {**message, "id": "of another request"}
        case "signature":
            message = {**message, "parameters": {**message["parameters"], "signature": "other"}}
    return json.dumps(message).encode()


class FakeModel:
    """Answers every request with what it was given, or otherwise while the fault lasts."""

    def __init__(self, fault: str, answers: dict[str, dict[str, Any]]) -> None:
        self._fault, self._answers = fault, answers
        self._at_fault = False

    def toggle(self) -> None:
        """Begin the fault, or end it."""
        self._at_fault = not self._at_fault

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    int(line.partition(b":")[2])
                    for line in [*head.lower().splitlines(), b"content-length: 0"]
                    if line.startswith(b"content-length:")
                )
                sent = json.loads(await reader.readexactly(length) or b"{}")
                message = dict(self._answers["POST" if head.startswith(b"POST") else "GET"])
                message |= {"id": sent["id"]} if "id" in sent else {}
                await self._answer(message, writer)
        except (EOFError, OSError):
            pass
        finally:
            writer.close()

    async def _answer(self, message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        fault = self._fault if self._at_fault else ""
        await asyncio.sleep(DELAYS.get(fault, 0))
        body = faulty(fault, message)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        answer = head.encode() + b"\r\n\r\n" + body
        if fault == "cut":
            writer.write(answer[: len(answer) - len(body) // 2])
            raise EOFError
        for start in range(len(answer)) if fault == "drips" else ():
            writer.write(answer[start : start + 1])
            await asyncio.sleep(0.05)
        if fault != "drips":
            writer.write(answer)


async def main(path: str, fault: str, answers: str) -> None:
    """Serve until killed."""
    fake = FakeModel(fault, json.loads(Path(answers).read_text()))
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, fake.toggle)
    server = await asyncio.start_unix_server(fake.serve, path)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
