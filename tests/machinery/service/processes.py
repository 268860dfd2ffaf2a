"""The service as real processes."""

import gc
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raw_server import RawServer
from support import NEW, PATH, PATIENCE_SECONDS, wait_until
from urllib3 import HTTPConnectionPool


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port for one server; while it is bound here, no other process gets it."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        if sys.platform != "linux":  # where the server could not have it either
            holder.close()
        yield port


@contextmanager
def no_collection() -> Iterator[None]:
    """Collect no garbage: a finalizer at the end of the stack would fail with RecursionError."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


COMMAND = Path(sys.executable).with_name("service")


@contextmanager
def served(folder: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], Any]]:
    """`service serve` as a process that logs to `folder/log`; a function to send it requests."""
    log = folder / "log"
    with reserved_port() as port, reserved_port() as ops_port:
        variables = {
            "PORT": str(port),
            "OPS_PORT": str(ops_port),
            "LOG_FORMAT": "json",
            "TMPDIR": str(folder),
            **environment,
        }
        with log.open("wb") as file:
            process = subprocess.Popen(
                [COMMAND, "serve"], cwd=folder, env={**os.environ, **variables}, stderr=file
            )
        try:
            wait_until(lambda: "Listening at" in log.read_text() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            pool = HTTPConnectionPool("127.0.0.1", port, timeout=20, retries=False, maxsize=8)

            ops = HTTPConnectionPool("127.0.0.1", ops_port, timeout=20, retries=False)

            def send(method: str, path: str, **options: Any) -> Any:
                headers = {"Connection": "close", **options.pop("headers", {})}
                where = ops if path == "/metrics" else pool
                return where.request(method, path, headers=headers, **options)

            yield process, send
            pool.close()
            ops.close()
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def place_by_both_workers(send: Any, server: RawServer) -> int:
    """Place rows until each of two workers has asked this model; how many there are."""
    placed = 0
    while server.connections < 2 or placed < 20:
        with ThreadPoolExecutor(8) as threads:
            posts = [threads.submit(send, "POST", PATH, json=NEW) for _ in range(8)]
        for post in posts:
            assert post.result().json()["metadata"]["served_by"] == "model"
        placed += len(posts)
    return placed
