"""Answers kept in Redis; without it, none are."""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from front.config import CacheSettings

TIMEOUT_SECONDS = 0.1
PAUSE_SECONDS = 1.0
"""For how long a Redis that failed is not asked again."""


class Cache:
    """The answers of one model; a Redis that is slow or gone costs its callers next to nothing."""

    def __init__(self, settings: CacheSettings) -> None:
        limits: Any = {"socket_timeout": TIMEOUT_SECONDS, "socket_connect_timeout": TIMEOUT_SECONDS}
        self._redis = Redis.from_url(settings.redis, retry=None, **limits)
        self._seconds, self._paused_until = settings.seconds, 0.0

    async def get(self, key: str) -> Any:
        """The answer with this key; None if it is not there."""
        return orjson.loads(await self._try(self._redis.get, key) or "null")

    async def put(self, key: str, answer: object) -> None:
        """Keep an answer."""
        await self._try(self._redis.set, key, orjson.dumps(answer), self._seconds)

    async def _try(self, command: Callable[..., Awaitable[Any]], *arguments: object) -> Any:
        if monotonic() >= self._paused_until:
            try:
                return await command(*arguments)
            except (RedisError, OSError):
                self._paused_until = monotonic() + PAUSE_SECONDS
        return None
