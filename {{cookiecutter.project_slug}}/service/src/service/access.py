"""The public door: who may call, at which name, how often."""

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from secrets import token_urlsafe
from threading import Lock
from time import monotonic

from flask import Flask, g, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import BadRequest, TooManyRequests, Unauthorized
from werkzeug.sansio.utils import host_is_trusted

from service.context import PROBE_PATHS
from service.files import Watched
from service.settings import Settings, invalid_setting, is_loopback

LINE = re.compile(r"([a-z0-9][a-z0-9._-]{0,63}):([0-9a-f]{64})")
"""A caller's name, and the SHA-256 of its key."""

Keys = Mapping[str, str]
"""The callers' names by the SHA-256 of their keys."""


def new_key(name: str) -> tuple[str, str]:
    """A new key, and its line for `API_KEYS`.

    Raises:
        ValueError: such a name cannot be used.
    """
    key = token_urlsafe(32)
    line = f"{name}:{_digest(key)}"
    keys_of([line])
    return key, line


def keys_of(lines: list[str]) -> Keys:
    """The callers in such lines.

    Raises:
        ValueError: a line is something else, or two have the same key.
    """
    found = [LINE.fullmatch(line) for line in lines]
    keys = {each[2]: each[1] for each in found if each}
    if len(keys) < len(lines):
        raise ValueError(
            "each caller is name:sha256 of a key of its own; `service key NAME` makes one"
        )
    return keys


def _digest(key: str) -> str:
    return sha256(key.encode()).hexdigest()


def _read(path: Path) -> Keys:
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return keys_of([line for line in lines if line])


def keys_from(settings: Settings) -> Callable[[], Keys] | None:
    """What gives the callers as they are now; None where anybody may call.

    Raises:
        SystemExit: a setting is invalid, or others could call and nobody said who may.
    """
    if settings.api_keys and settings.api_keys_file:
        raise invalid_setting("api_keys_file", "give either this or API_KEYS")
    if settings.api_rate and not (settings.api_keys or settings.api_keys_file):
        raise invalid_setting("api_rate", "callers are told apart by their keys: give API_KEYS")
    if settings.api_open and (settings.api_keys or settings.api_keys_file):
        raise invalid_setting("api_open", "anybody may call, or those with API_KEYS; not both")
    try:
        if settings.api_keys:
            keys = keys_of([each.get_secret_value() for each in settings.api_keys])
            return lambda: keys
    except ValueError as error:
        raise invalid_setting("api_keys", str(error)) from None
    if path := settings.api_keys_file:
        try:
            return Watched(lambda: _read(path), path)
        except (OSError, ValueError) as error:
            raise invalid_setting("api_keys_file", f"{path}: {error}") from None
    if not settings.api_open and not is_loopback(settings.host):
        raise invalid_setting(
            "host",
            f"others can reach {settings.host}: give API_KEYS (`service key NAME` makes one),"
            " or API_OPEN=1 if a gateway checks who calls",
        )
    return None


class Rates:
    """How many requests each caller has left: `rate` a second, and a second's worth at once."""

    def __init__(self, rate: float, clock: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._most = max(rate, 1.0)
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}
        self._lock = Lock()

    def take(self, caller: str) -> bool:
        """Whether this caller may have one more."""
        now = self._clock()
        with self._lock:
            left, at = self._left.get(caller, (self._most, now))
            left = min(self._most, left + (now - at) * self._rate)
            allowed = left >= 1
            self._left[caller] = (left - 1 if allowed else left), now
        return allowed


def install(app: Flask, settings: Settings) -> None:
    """Let only known callers in, and each of them so often; `g.caller` says who it is."""
    keys = keys_from(settings)
    rates = Rates(settings.api_rate) if settings.api_rate else None

    @app.before_request
    def enter() -> None:
        g.caller = ""
        if request.path in PROBE_PATHS:
            return  # an orchestrator has no key, and asks by an address
        if settings.allowed_hosts and not host_is_trusted(request.host, settings.allowed_hosts):
            raise BadRequest("The Host header must name this service.")
        if keys:
            g.caller = _caller(keys())
        if rates and not rates.take(g.caller):
            raise TooManyRequests("More requests than agreed upon; wait a second.", retry_after=1)


def _caller(keys: Keys) -> str:
    """Who calls, by the key; compared in constant time, with each of the keys.

    Raises:
        werkzeug.exceptions.Unauthorized: nobody that is known.
    """
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    digest = _digest(key.strip())
    found = [name for known, name in keys.items() if compare_digest(known, digest)]
    if scheme.lower() != "bearer" or not found:
        raise Unauthorized(
            "Send a key that is known here: `Authorization: Bearer …`.",
            www_authenticate=WWWAuthenticate("bearer"),
        )
    return found[0]
