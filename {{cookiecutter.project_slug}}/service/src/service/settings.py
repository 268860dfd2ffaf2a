"""Every setting of the service, once: from the environment, then from `.env`."""

import re
from ipaddress import ip_address
from pathlib import Path
from pwd import getpwnam
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError


def _database(text: str) -> str:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # the latter of a port that is no number
        raise ValueError("this is not a URL") from None
    if "@" in (url.host or ""):  # a part of the password, which errors would show as the host
        raise ValueError("it has more than one @: write %40 for one in the password")
    if url.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    if url.drivername != "sqlite":
        raise ValueError("it must begin with sqlite:/// or postgresql://")
    if url.host or url.database in (None, "", ":memory:"):
        raise ValueError("it needs a file: sqlite:///relative/path or sqlite:////absolute/path")
    return text


def _split(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _user(name: object) -> object:
    """The id of a user who is given by name."""
    if not isinstance(name, str) or name.isdecimal():
        return name
    try:
        return getpwnam(name).pw_uid
    except KeyError:
        raise ValueError(f"no user is called {name!r:.40}") from None


def check_token(token: str) -> None:
    """Raise ValueError, without showing it, unless this can be a token."""
    if re.search(r"[^!-~]", token):
        raise ValueError("a token is made of visible ASCII characters")
    if len(token) < TOKEN_CHARACTERS:
        raise ValueError(f"a token has at least {TOKEN_CHARACTERS} characters")


def _token(token: SecretStr) -> SecretStr:
    check_token(token.get_secret_value())
    return token


TOKEN_CHARACTERS = 32
Token = Annotated[SecretStr, AfterValidator(_token)]


class Settings(BaseSettings):
    """The settings and their defaults."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    database_url: Annotated[str, AfterValidator(_database)] = "sqlite:///var/service.db"
    """Where the data lives: sqlite:///path or postgresql://user:password@host/name."""

    database_url_file: Path | None = None
    """A file with the URL, in place of `database_url`; read at the start."""

    model_url: str = "http+unix://run/model.sock"
    """http://, https://, http+unix://path, library:folder, subprocess:, or of a package's own."""

    model_canary_url: str | None = None
    """A second model that serves some of the requests, by the same settings `model_…`."""

    model_canary_share: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Which share of them; one that fails more often than the first is asked no more."""

    model_shadow_url: str | None = None
    """A model that predicts for every request as well, for `model compare`; it serves nobody."""

    model_tokens: Annotated[tuple[Token, ...], NoDecode, BeforeValidator(_split)] = ()
    """Tokens that the model server accepts, by commas, of 32 characters or more; one is sent."""

    model_tokens_file: Path | None = None
    """A file with the tokens, one a line, in place of `model_tokens`; read again on changes."""

    model_plaintext: bool = False
    """Whether `http://` may reach a model on another host than this one, in the clear."""

    model_peers: Annotated[
        tuple[Annotated[int, BeforeValidator(_user)], ...], NoDecode, BeforeValidator(_split)
    ] = ()
    """Users, besides its own, who may run the model server behind a socket: ids or names."""

    model_ca: Path | None = None
    """For `https://`: the certificates (PEM) that vouch for the server; the system's by default."""

    model_client_cert: Path | None = None
    """For `https://`: the certificate (PEM) that this side shows, read again when it changes."""

    model_client_key: Path | None = None
    """The private key (PEM) of `model_client_cert`."""

    model_deadline: Annotated[float, Field(gt=0, le=60)] = 0.25
    """Seconds from a request's arrival until its prediction is there, or the fallback answers."""

    model_range_factor: Annotated[float, Field(ge=0)] = 1.0
    """How far outside the range that training saw a prediction may lie, in widths of that range."""

    host: str = "127.0.0.1"
    """Address to listen on."""

    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    """Port to listen on."""

    workers: Annotated[int, Field(ge=1, le=256)] = 2
    """Processes."""

    threads: Annotated[int, Field(ge=1, le=256)] = 16
    """Requests, and connections to the database, at a time in each process; half ask the model."""

    graceful_timeout: Annotated[int, Field(ge=1, le=600)] = 20
    """Seconds that requests under way have to finish when the service stops."""

    max_body: Annotated[int, Field(ge=1)] = 2**20
    """Bytes that the body of a request may have."""

    max_connections: Annotated[int, Field(ge=1)] = 1000
    """Connections that each process keeps open; others are turned away."""

    receive_timeout: Annotated[float, Field(gt=0, le=600)] = 10.0
    """Seconds that a caller may take to send the head of a request, and again for its body."""

    allowed_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = ()
    """Names (`Host`) to reach this service by, separated by commas; any by default."""

    docs: bool = True
    """Whether `/docs` and `/openapi.json` are there."""

    api_keys: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split)] = ()
    """Callers as `name:sha256 of the key`, separated by commas; `service key NAME` makes one."""

    api_keys_file: Path | None = None
    """A file with the callers, one a line, in place of `api_keys`; read again when it changes."""

    api_open: bool = False
    """Whether anybody may call although others can reach `host`: a gateway checks who calls."""

    api_rate: Annotated[float, Field(ge=0)] = 0
    """Requests a second that each key may be used for in each process; 0 for any number."""

    idempotency_hours: Annotated[float, Field(gt=0)] = 24
    """Hours for which an `Idempotency-Key` is remembered."""

    ops_host: str = "127.0.0.1"
    """Address of the operations port."""

    ops_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Operations port: metrics, readiness in detail; 100 above `port` by default."""

    revision: str = "unknown"
    """The commit that this was built from, for the metrics."""

    sentry_dsn: SecretStr | None = None
    """Where Sentry takes reports of errors (DSN); none are sent by default."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important lines to log."""

    log_format: Literal["auto", "json", "console"] = "auto"
    """How to log; auto is console on a terminal and json elsewhere."""

    @model_validator(mode="before")
    @classmethod
    def _read_database_url(cls, values: dict[str, Any]) -> dict[str, Any]:
        if not (path := values.get("database_url_file")):
            return values
        if "database_url" in values:
            raise ValueError("DATABASE_URL_FILE: set it or DATABASE_URL, not both")
        try:
            return {**values, "database_url": Path(path).read_text("utf-8").strip()}
        except (OSError, UnicodeDecodeError) as error:
            fault = getattr(error, "strerror", "") or "not UTF-8"
            raise ValueError(f"DATABASE_URL_FILE: {path}: {fault}") from None

    @property
    def models(self) -> dict[str, str]:
        """Where the models are, by the names of their settings; the one that always is first."""
        names = ("model_url", "model_canary_url", "model_shadow_url")
        return {name: url for name in names if (url := getattr(self, name))}

    @property
    def address(self) -> str:
        """Where the service listens."""
        return _address(self.host, self.port)

    @property
    def ops_address(self) -> str:
        """Where the operations port is."""
        near = self.port + (100 if self.port <= 65435 else -100)
        return _address(self.ops_host, self.ops_port or near)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether this is a name or an address that no other machine can reach."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def load() -> Settings:
    """The settings of this process.

    Raises:
        SystemExit: with one line for each invalid setting.
    """
    try:
        return Settings()
    except ValidationError as error:
        faults = [
            ": ".join([*map(str.upper, map(str, each["loc"][:1])), _message(each["msg"])])
            for each in error.errors()
        ]
        raise SystemExit("\n".join(faults)) from None


def _message(text: str) -> str:
    return text.removeprefix("Value error, ")


def invalid_setting(name: str, fault: str) -> SystemExit:
    """The error that ends a process whose setting is invalid."""
    return SystemExit(f"{name.upper()}: {fault}")
