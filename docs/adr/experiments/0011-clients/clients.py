"""What one call to a model server costs the caller, client by client, beside the same fast server.

python clients.py [--rounds 15] [--calls 400]

Every round runs every client once, in another order each time, so that what else the machine does
falls on all of them alike. CPU is that of the whole client process per call, latency is per call.
"""

# mypy: disable-error-code="import-not-found,import-untyped"
# What is measured is installed in an environment of its own: see README.md.

import argparse
import asyncio
import http.client
import io
import multiprocessing
import random
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httptools
import httpx
import httpx2
import pycurl
import pyreqwest.client
import requests
import requests.adapters
import urllib3
import urllib3.connection

Call = Callable[[], bytes]

PATH = "/v2/models/model/infer"
BODY = (
    b'{"id": "0f1e2d3c4b5a69788796a5b4c3d2e1f0", "inputs": ['
    b'{"name": "hour", "datatype": "FP64", "shape": [1], "data": [11.9]}, '
    b'{"name": "day", "datatype": "BYTES", "shape": [1], "data": ["Thu"]}, '
    b'{"name": "distance", "datatype": "FP64", "shape": [1], "data": [3.15]}, '
    b'{"name": "items", "datatype": "INT64", "shape": [1], "data": [4]}]}'
)
HEADERS = {
    "Content-Type": "application/json",
    "Authorization": "Bearer an-example-of-a-token-of-the-usual-length",
    "X-Request-ID": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
}
ANSWER = (
    b'{"model_name":"model","model_version":"3f2a9c0d1e2f","id":"0f1e2d3c4b5a69788796a5b4c3d2e1f0",'
    b'"parameters":{"signature":"0123456789abcdef","served_by":"onnx","checked":true,"rows":1},'
    b'"outputs":[{"name":"wait_seconds","datatype":"FP64","shape":[1],"data":[953.6123456789]}]}'
)
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nserver: bench\r\ndate: Sun, 22 Nov 2026 12:00:00 GMT\r\n"
    b"content-type: application/json\r\nx-request-id: 0f1e2d3c4b5a69788796a5b4c3d2e1f0\r\n"
    b"content-length: %d\r\n\r\n%b"
) % (len(ANSWER), ANSWER)


class Server(asyncio.Protocol):
    """Answers every POST that has come whole with the same bytes, and keeps the connection."""

    def connection_made(self, transport: Any) -> None:
        """Remember whom to answer."""
        self._transport = transport
        self._seen = bytearray()

    def data_received(self, data: bytes) -> None:
        """Answer as soon as the body, whose length is known, is there."""
        self._seen += data
        if self._seen.endswith(BODY):
            self._seen.clear()
            self._transport.write(RESPONSE)


def serve(path: str, port: Any) -> None:
    """Serve on a unix socket and on a port of this machine, which is put into `port`."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await loop.create_unix_server(Server, path)
        tcp = await loop.create_server(Server, "127.0.0.1", 0)
        port.value = tcp.sockets[0].getsockname()[1]
        await asyncio.Event().wait()

    asyncio.run(main())


class UnixConnection(http.client.HTTPConnection):
    """http.client on a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        """Connect to the path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def standard_library(path: str | None, port: int) -> Call:
    """http.client, a connection per thread."""
    local = threading.local()

    def call() -> bytes:
        if not hasattr(local, "connection"):
            local.connection = (
                UnixConnection(path)
                if path
                else http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            )
        local.connection.request("POST", PATH, BODY, HEADERS)
        answer: bytes = local.connection.getresponse().read()
        return answer

    return call


class Incoming(io.RawIOBase):
    """What the service's own client gives to the parser of http.client."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._deadline = time.monotonic() + 10

    def makefile(self, mode: str) -> io.BufferedReader:
        """What an HTTPResponse reads from."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Wait for some bytes."""
        self._connection.settimeout(self._deadline - time.monotonic())
        return self._connection.recv_into(buffer)


def connected(path: str | None, port: int) -> socket.socket:
    """A new connection."""
    connection = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
    connection.settimeout(10)
    connection.connect(path or ("127.0.0.1", port))
    return connection


def request() -> bytes:
    """The request, as a client without any library writes it."""
    headers = {"Host": "localhost", **HEADERS, "Content-Length": str(len(BODY))}
    lines = [f"POST {PATH} HTTP/1.1", *map(": ".join, headers.items()), "", ""]
    return "\r\n".join(lines).encode() + BODY


def standard_parser(path: str | None, port: int) -> Call:
    """One packet over a kept socket, and http.client for the answer: what the service does."""
    idle: list[socket.socket] = []

    def call() -> bytes:
        connection = idle.pop() if idle else connected(path, port)
        connection.sendall(request())
        response = http.client.HTTPResponse(Incoming(connection))  # type: ignore[arg-type]
        response.begin()
        answer = response.read()
        idle.append(connection)
        return answer

    return call


class Whole:
    """What httptools tells of one response."""

    def __init__(self) -> None:
        self.body = b""
        self.complete = False

    def on_body(self, body: bytes) -> None:
        """Part of the body."""
        self.body += body

    def on_message_complete(self) -> None:
        """The end of it."""
        self.complete = True


def bare_socket(path: str | None, port: int) -> Call:
    """The same with llhttp in C for the answer, which is the least that HTTP costs in Python."""
    idle: list[socket.socket] = []

    def call() -> bytes:
        connection = idle.pop() if idle else connected(path, port)
        connection.sendall(request())
        whole = Whole()
        parser = httptools.HttpResponseParser(whole)
        while not whole.complete:
            parser.feed_data(connection.recv(65536))
        idle.append(connection)
        return whole.body

    return call


class UnixUrllib3(urllib3.connection.HTTPConnection):
    """urllib3's connection, on a unix socket."""

    def __init__(self, *args: Any, path: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self._path = path

    def _new_conn(self) -> socket.socket:
        return connected(self._path, 0)


class UnixPool(urllib3.HTTPConnectionPool):
    """A pool of them."""

    ConnectionCls = UnixUrllib3


def pooled(path: str | None, port: int) -> Call:
    """urllib3, one pool for all threads."""
    pool = (
        UnixPool("localhost", maxsize=8, path=path)
        if path
        else urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=8)
    )
    options: Any = {"timeout": 10.0, "retries": False, "redirect": False}
    return lambda: pool.urlopen("POST", PATH, BODY, HEADERS, **options).data


class UnixAdapter(requests.adapters.HTTPAdapter):
    """requests on a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._pool = UnixPool("localhost", maxsize=8, path=path)

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        """The one pool there is."""
        return self._pool


def for_humans(path: str | None, port: int) -> Call:
    """requests, one session for all threads, as most use it though nobody promises that."""
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=8))
    if path:
        session.mount("http://localhost", UnixAdapter(path))
    url = f"http://localhost{PATH}" if path else f"http://127.0.0.1:{port}{PATH}"
    return lambda: session.post(url, BODY, headers=HEADERS, timeout=10).content


def next_generation(library: Any) -> Callable[[str | None, int], Call]:
    """httpx, or the fork of it that is alive."""

    def make(path: str | None, port: int) -> Call:
        client = library.Client(
            transport=library.HTTPTransport(uds=path), trust_env=False, timeout=10
        )
        url = f"http://localhost{PATH}" if path else f"http://127.0.0.1:{port}{PATH}"
        return lambda: client.post(url, content=BODY, headers=HEADERS).content

    return make


def curl(path: str | None, port: int) -> Call:
    """pycurl, a handle per thread."""
    local = threading.local()

    def make() -> Any:
        handle = pycurl.Curl()
        if path:
            handle.setopt(pycurl.UNIX_SOCKET_PATH, path)
        handle.setopt(pycurl.URL, f"http://127.0.0.1:{port}{PATH}")
        handle.setopt(pycurl.TIMEOUT_MS, 10_000)
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.NOPROXY, "*")
        return handle

    def call() -> bytes:
        if not hasattr(local, "handle"):
            local.handle = make()
        answer = io.BytesIO()
        local.handle.setopt(pycurl.HTTPHEADER, [f"{k}: {v}" for k, v in HEADERS.items()])
        local.handle.setopt(pycurl.POSTFIELDS, BODY)
        local.handle.setopt(pycurl.WRITEDATA, answer)
        local.handle.perform()
        return answer.getvalue()

    return call


def rust(path: str | None, port: int) -> Call:
    """pyreqwest, one client for all threads; it knows no unix sockets."""
    client = pyreqwest.client.SyncClientBuilder().no_proxy().build()
    url = f"http://127.0.0.1:{port}{PATH}"
    return lambda: bytes(client.post(url).headers(HEADERS).body_bytes(BODY).build().send().bytes())


CLIENTS: dict[str, Callable[[str | None, int], Call]] = {
    "a socket and httptools": bare_socket,
    "a socket and http.client's parser": standard_parser,
    "http.client": standard_library,
    "pycurl": curl,
    "urllib3": pooled,
    "httpx": next_generation(httpx),
    "httpx2": next_generation(httpx2),
    "requests": for_humans,
    "pyreqwest": rust,
}


def run(call: Call, threads: int, calls: int) -> tuple[float, list[float]]:
    """CPU seconds per call, and the seconds that each call took."""
    took: list[float] = []
    ready, go = threading.Barrier(threads + 1), threading.Barrier(threads + 1)

    def work() -> None:
        for _ in range(10):
            assert call() == ANSWER
        ready.wait()
        go.wait()
        mine = []
        for _ in range(calls // threads):
            start = time.perf_counter()
            call()
            mine.append(time.perf_counter() - start)
        took.extend(mine)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    ready.wait()
    before = time.process_time()
    go.wait()
    for worker in workers:
        worker.join()
    return (time.process_time() - before) / len(took), took


def spread(values: list[float], unit: float) -> str:
    """The median, and the quartiles behind it."""
    low, middle, high = (value * unit for value in statistics.quantiles(values, n=4))
    return f"{middle:.3g} ({low:.3g} to {high:.3g})"


def compare(names: list[str], path: str | None, port: int, threads: int, wanted: Any) -> None:
    """Print a table with one line per client."""
    cpu: dict[str, list[float]] = {name: [] for name in names}
    median: dict[str, list[float]] = {name: [] for name in names}
    tail: dict[str, list[float]] = {name: [] for name in names}
    calls = {name: CLIENTS[name](path, port) for name in names}
    for _ in range(wanted.rounds):
        for name in random.sample(names, len(names)):
            seconds, took = run(calls[name], threads, wanted.calls)
            cpu[name].append(seconds)
            median[name].append(statistics.median(took))
            tail[name].append(statistics.quantiles(took, n=100)[98])
    print(f"\n{'unix socket' if path else 'TCP'}, threads: {threads}\n")
    print("| client | CPU a call, µs | of urllib3's | latency, µs | p99, µs |")
    print("| --- | --- | --- | --- | --- |")
    for name in names:
        ratio = [one / other for one, other in zip(cpu[name], cpu["urllib3"], strict=True)]
        cells = (spread(cpu[name], 1e6), spread(ratio, 1), spread(median[name], 1e6))
        print(f"| {name} | {' | '.join(cells)} | {spread(tail[name], 1e6)} |", flush=True)


def main() -> None:
    """Measure over both kinds of socket, with one thread and with eight."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=400)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "model.sock"))
        port = multiprocessing.Value("i", 0)
        server = multiprocessing.get_context("fork").Process(target=serve, args=(path, port))
        server.start()
        try:
            while not port.value:
                time.sleep(0.01)
            for where in (path, None):
                names = [name for name in CLIENTS if not where or name != "pyreqwest"]
                for threads in (1, 8):
                    compare(names, where, port.value, threads, wanted)
        finally:
            server.terminate()
            server.join()


if __name__ == "__main__":
    main()
