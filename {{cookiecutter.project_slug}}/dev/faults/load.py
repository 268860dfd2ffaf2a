"""Open-loop load from a process of its own: `load.py PLAN` sends until its standard input ends.

It sends at its rate whatever comes back, and counts a latency from the moment at which a request
was due: a server that stalls cannot slow its callers down and so look better than it is. What got
no answer is repeated at the end under the same Idempotency-Key. It prints a `Report` as JSON.

A server may close a kept connection just as a request comes in on it, and nothing can tell it. So
what meets such an end is sent again, as HTTP clients do (RFC 9112, 9.3.1), and counted.
"""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from time import monotonic

LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
LIVEZ_EVERY_SECONDS = 0.1
LIVEZ_WITHIN_SECONDS = 1.0
REPEATED_AT_ONCE = 8
REPEAT_WITHIN_SECONDS = 20.0
BROKEN = (OSError, TimeoutError, EOFError)
"""How a request ends without an answer."""


@dataclass(frozen=True)
class Plan:
    """What to send.

    Attributes:
        port: on 127.0.0.1.
        path: where to POST the body.
        body: JSON.
        name: what the keys begin with; they are numbered.
        rate: requests a second; 0 for as many as come back, to measure what can be borne.
        patience: seconds until a caller leaves without an answer.
        connections: how many there may be.
        twice: whether each request is sent twice at once, under one key.
    """

    port: int
    path: str
    body: str
    name: str
    rate: float = 200.0
    patience: float = 5.0
    connections: int = 1000
    twice: bool = False


@dataclass
class Sent:
    """One request, and what came of it.

    Attributes:
        key: its Idempotency-Key; with a number behind it, its X-Request-ID.
        due: when it was to be sent, in seconds of `time.monotonic`.
        seconds: from then until its answer, or until it was given up.
        status: 0 without an answer.
        served_by: what the answer says.
        id: of the row that an answer acknowledges, the repetition's included.
        shed: whether it was told to come back later (503 with Retry-After).
    """

    key: str
    due: float
    seconds: float = 0.0
    status: int = 0
    served_by: str = ""
    id: int = 0
    shed: bool = False


@dataclass
class Report:
    """All that was sent, and what else was counted.

    Attributes:
        sent: the requests.
        again: how many were sent again, as the connection had ended.
        checks: of liveness.
        misses: of these checks.
    """

    sent: list[Sent] = field(default_factory=list)
    again: int = 0
    checks: int = 0
    misses: int = 0


@contextmanager
def load(plan: Plan) -> Iterator[Callable[[], Report]]:
    """Load from another process, begun on entering.

    It gives a function that stops it, waits for what is under way, has repeated what got no answer,
    and returns the report.
    """
    process = subprocess.Popen(
        [sys.executable, __file__, json.dumps(asdict(plan))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def report() -> Report:
        printed = json.loads(process.communicate()[0])
        return Report(**{**printed, "sent": [Sent(**each) for each in printed["sent"]]})

    try:
        if process.stdout:
            process.stdout.readline()  # it says when it begins
        yield report
    finally:
        process.kill()
        process.communicate()


class Closed(ConnectionError):
    """A kept connection ended before a byte of the answer came."""


class Connections:
    """Connections that are kept open, and lent to one request at a time."""

    def __init__(self, port: int, limit: int = 1) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._free = asyncio.Semaphore(limit)

    async def ask(self, request: bytes) -> tuple[int, bytes, bytes]:
        """The status, head and body of the answer to these bytes; raises one of BROKEN."""
        async with self._free:
            kept, (reader, writer) = await self._connection()
            keep = False
            try:
                writer.write(request)
                head = await self._head(reader, kept)
                found = LENGTH.search(head)
                body = await reader.readexactly(int(found[1])) if found else b""
                keep = b"connection: close" not in head.lower()
            finally:
                if keep:
                    self._idle.append((reader, writer))
                else:
                    writer.close()
        return int(head[9:12]), head, body

    async def _head(self, reader: asyncio.StreamReader, kept: bool) -> bytes:
        try:
            return await reader.readuntil(b"\r\n\r\n")
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            if kept and not getattr(error, "partial", b""):
                raise Closed from error
            raise

    async def _connection(self) -> tuple[bool, tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not (reader.at_eof() or writer.is_closing()):
                return True, (reader, writer)
            writer.close()
        return False, await asyncio.open_connection("127.0.0.1", self._port)


class Sender:
    """Sends what the plan says, and notes what comes of it."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.report = plan, Report()
        self.connections = Connections(plan.port, plan.connections)

    async def run(self, stop: asyncio.Event) -> Report:
        """Send and check until told to stop, wait for what is under way, repeat."""
        watching = asyncio.create_task(self._watch())
        async with asyncio.TaskGroup() as tasks:
            if self.plan.rate:
                await self._offer(stop, tasks)
            else:
                for _ in range(self.plan.connections):
                    tasks.create_task(self._come_back(stop))
        watching.cancel()
        unanswered = [each for each in self.report.sent if not each.status]
        at_once = asyncio.Semaphore(REPEATED_AT_ONCE)
        with suppress(TimeoutError):
            async with asyncio.timeout(REPEAT_WITHIN_SECONDS):
                await asyncio.gather(*(self._repeat(each, at_once) for each in unanswered))
        return self.report

    async def _offer(self, stop: asyncio.Event, tasks: asyncio.TaskGroup) -> None:
        start, number = monotonic(), 0
        while not stop.is_set():
            due = start + number / self.plan.rate
            await asyncio.sleep(due - monotonic())
            key = f"{self.plan.name}-{number}"
            for attempt in range(1 + self.plan.twice):
                tasks.create_task(self._send(Sent(key, due), attempt))
            number += 1

    async def _come_back(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self._send(Sent(f"{self.plan.name}-{len(self.report.sent)}", monotonic()))

    async def _send(self, sent: Sent, attempt: int = 0) -> None:
        self.report.sent.append(sent)
        try:
            async with asyncio.timeout(self.plan.patience):
                status, head, body = await self._ask(self._request(sent.key, attempt))
        except BROKEN:
            sent.seconds = monotonic() - sent.due
            return
        sent.seconds, sent.status = monotonic() - sent.due, status
        sent.shed = status == 503 and b"\r\nretry-after:" in head.lower()
        if status == 201:
            told = json.loads(body)
            sent.id, sent.served_by = told["id"], told["metadata"]["served_by"]

    async def _ask(self, request: bytes) -> tuple[int, bytes, bytes]:
        while True:
            try:
                return await self.connections.ask(request)
            except Closed:
                self.report.again += 1

    async def _repeat(self, sent: Sent, at_once: asyncio.Semaphore) -> None:
        async with at_once:
            try:
                async with asyncio.timeout(5):
                    request = self._request(sent.key, 2)
                    status, _, body = await self._ask(request)
            except BROKEN:
                return
        sent.id = json.loads(body)["id"] if status == 201 else 0

    def _request(self, key: str, attempt: int) -> bytes:
        body = self.plan.body
        head = (
            f"POST {self.plan.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f'Content-Type: application/json\r\nIdempotency-Key: "{key}"\r\n'
            f"X-Request-ID: {key}.{attempt}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return (head + body).encode()

    async def _watch(self) -> None:
        """Ask `/livez` ten times a second; a check may come again within its second."""
        connections, request = (
            Connections(self.plan.port),
            b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        while True:
            due = monotonic() + LIVEZ_EVERY_SECONDS
            try:
                async with asyncio.timeout(LIVEZ_WITHIN_SECONDS):
                    while not await self._is_alive(connections, request):
                        await asyncio.sleep(0.02)
            except TimeoutError:
                self.report.misses += 1
            self.report.checks += 1
            await asyncio.sleep(due - monotonic())

    async def _is_alive(self, connections: Connections, request: bytes) -> bool:
        try:
            return (await connections.ask(request))[0] == 200
        except (OSError, EOFError):
            return False


async def main(plan: Plan) -> None:
    """Send until standard input ends, then print the report."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, stop.set)
    print("sending", flush=True)
    print(json.dumps(asdict(await Sender(plan).run(stop))))


if __name__ == "__main__":
    asyncio.run(main(Plan(**json.loads(sys.argv[1]))))
