"""One model server: its connections, its limits, and the version that it serves."""

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

import aiohttp
import orjson
from starlette.exceptions import HTTPException

from front.cache import Cache
from front.config import Model
from front.enrichment import Enrichment
from front.validation import Contract

POLL_SECONDS = 0.5
FRESH_SECONDS = 1.0
"""How long it holds what a server was seen to serve; after that, no cached answer is given."""
RELAYED = {400, 404, 413, 415, 422, 429, 503}
"""Errors of a model server that are its callers'; any other is the front's own: 502."""
FAILURES = (OSError, aiohttp.ClientError, LookupError, TypeError, ValueError)
"""What comes of a connection that is lost, and of an answer that is none."""


class ModelServer:
    """The client of one model server, with connections and a queue that are its own.

    Attributes:
        model: how it is configured.
        metadata: of what it serves; empty until it has been seen.
        contract: in that metadata.
        version: that it served when it was last asked.
        busy: how many requests are under way or wait.
        outcomes: how many requests ended how: `cached`, or a status.
    """

    def __init__(self, model: Model) -> None:
        self.model, self.version, self.busy = model, "", 0
        self.metadata: dict[str, Any] = {}
        self.contract = Contract({"inputs": []})
        self.outcomes: Counter[str] = Counter()
        self.cache = Cache(model.cache) if model.cache else None
        self.enrichment = Enrichment(model.features, model.at_once) if model.features else None
        self._seen, self._slots = float("-inf"), asyncio.Semaphore(model.at_once)
        self._token = model.tokens[0]
        root, _, name = model.url.partition("/v2/models/")
        _, is_socket, path = root.partition("http+unix://")
        self._url = f"{'http://model' if is_socket else root}/v2/models/{name or model.name}"
        tls = ssl.create_default_context(cafile=model.tls.ca if model.tls else None)
        if model.tls:
            tls.load_cert_chain(model.tls.certificate, model.tls.key)
        tcp = aiohttp.TCPConnector(ssl=tls, limit=0)
        connector = aiohttp.UnixConnector(unquote(path), limit=0) if is_socket else tcp
        self._session = aiohttp.ClientSession(connector=connector)

    @property
    def is_fresh(self) -> bool:
        """Whether it is known what the server serves now."""
        return asyncio.get_running_loop().time() - self._seen <= FRESH_SECONDS

    def learn(self, version: object, asked: float) -> None:
        """Take note of the version in an answer, unless a later question has been answered."""
        if isinstance(version, str) and asked >= self._seen:
            self.version, self._seen = version, asked

    async def follow(self) -> None:
        """Ask again and again what is served; without an answer, what is known gets old."""
        while True:
            asked = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(FRESH_SECONDS):
                    _, metadata = await self._send("GET", "", b"", {})
                self.contract = Contract(metadata)
                self.metadata = {**metadata, "name": self.model.name}
                self.learn(metadata["versions"][0], asked)
            except FAILURES as error:
                logging.getLogger("front").warning("%s: %r", self.model.name, error)
            await asyncio.sleep(POLL_SECONDS)

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Be one of those who may wait; raises HTTPException 503 at once if too many do."""
        if self.busy >= self.model.at_once + self.model.waiting:
            raise HTTPException(503, f"{self.model.name}: too many requests wait")
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1

    async def ask(self, path: str, body: bytes, headers: Mapping[str, str], by: float) -> Any:
        """The answer to a POST.

        Args:
            path: below the model's own.
            by: the deadline, by the loop's clock.

        Raises:
            HTTPException: as the server says; 503 if it is not to be reached, 504 if it gives no
                answer in time, 502 if it gives none that is valid.
        """
        name, now = self.model.name, asyncio.get_running_loop().time
        try:
            async with asyncio.timeout_at(by), self._slots:
                left = {"X-Request-Timeout-Ms": f"{max(by - now(), 0) * 1000:.0f}"}
                status, answer = await self._send("POST", path, body, {**headers, **left})
        except TimeoutError:
            raise HTTPException(504, f"{name}: the model gave no answer in time") from None
        except aiohttp.ClientConnectorError:
            raise HTTPException(503, f"{name}: its model server cannot be reached") from None
        except FAILURES as error:
            raise HTTPException(502, f"{name}: its model server failed: {error!r:.99}") from None
        if status != 200:
            fault = f"{name}: {answer.get('error')}"
            raise HTTPException(status if status in RELAYED else 502, fault)
        return answer

    async def _send(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], again: bool = True
    ) -> tuple[int, dict[str, Any]]:
        """Status and answer; asked twice, which does no harm, if a kept connection was closing."""
        own = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        options: Any = {"data": body, "headers": {**headers, **own}, "allow_redirects": False}
        try:
            async with self._session.request(method, self._url + path, **options) as response:
                return response.status, {**orjson.loads(await response.read())}
        except (aiohttp.ServerDisconnectedError, ConnectionResetError):
            if not again:
                raise
        return await self._send(method, path, body, headers, again=False)
