"""Every setting of this side, from the environment or from `.env` in the working directory."""

import contextlib
import os
import re
from ipaddress import ip_address
from pathlib import Path
from pwd import getpwnam
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import BeforeValidator, ByteSize, Field, PositiveInt, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from model.errors import ModelError, faults_of

TOKEN_LENGTH = 32
"""The fewest characters of a token, so that nobody guesses it."""


def _user(name: object) -> object:
    """The id of a user who is given by name."""
    if not isinstance(name, str) or name.isdecimal():
        return name
    try:
        return getpwnam(name).pw_uid
    except KeyError:
        raise ValueError(f"no user is called {name!r:.40}") from None


class Settings(BaseSettings):
    """The settings by name; each is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    model_url: str = "http+unix://run/model.sock"
    """Where to listen: `http+unix://` and a path, `http://host:port` or `https://host:port`.

    `fd://number` is for the service, which starts this server where its MODEL_URL is `subprocess:`.
    """
    model_tokens: Annotated[tuple[str, ...], NoDecode] = Field(default=(), repr=False)
    """Bearer tokens separated by commas; each is accepted, so that they can be rotated."""
    model_tokens_file: Path | None = None
    """A file with the tokens, one a line, in place of `model_tokens`; read again on changes."""
    model_plaintext: bool = False
    """Whether `http://` may listen on another address than loopback, in the clear."""
    model_peers: Annotated[tuple[Annotated[int, BeforeValidator(_user)], ...], NoDecode] = ()
    """Users, besides its own, who may call over the socket: ids or names, separated by commas."""
    model_ca: Path | None = None
    """For `https://`: the certificates (PEM) that vouch for callers."""
    model_server_cert: Path | None = None
    """For `https://`: the certificate (PEM) that this side shows, read again when it changes."""
    model_server_key: Path | None = None
    """The private key (PEM) of `model_server_cert`."""
    model_signing_key: Path | None = None
    """A private key (PEM, ed25519): training signs each version with it."""
    model_verify_keys: Annotated[tuple[Path, ...], NoDecode] = ()
    """Public keys (PEM, ed25519), separated by commas; with any, only what one signed is loaded."""
    model_store: Annotated[str, BeforeValidator(os.fspath)] = "artifacts"
    """Where the model's versions are: a folder, or a bucket by its URL, `s3://bucket/prefix`."""
    model_cache: Path = Path("var/model-cache")
    """Of a bucket: the folder for versions that were fetched."""
    model_version: str = ""
    """The version to serve whatever is current, such as that of a canary."""
    model_workers: PositiveInt = 1
    """Processes that serve."""
    model_max_body: Annotated[ByteSize, Field(gt=0)] = ByteSize(16 * 1024**2)
    """The longest request body, in bytes or like `16MiB`."""
    revision: str = "unknown"
    """The commit that this was built from, for the metrics."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """`auto`: for people on a terminal, JSON elsewhere."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important line that is logged."""

    @field_validator("model_tokens", "model_peers", "model_verify_keys", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(token.strip() for token in value.split(",") if token.strip())
        return value

    @field_validator("model_tokens")
    @classmethod
    def _check_tokens(cls, tokens: tuple[str, ...]) -> tuple[str, ...]:
        return check_tokens(tokens)

    @property
    def bind(self) -> str:
        """MODEL_URL for gunicorn, `unix:path`, `host:port` or `fd://number`.

        Raises:
            ModelError: it is neither, or would take tokens in the clear from other hosts.
        """
        with contextlib.suppress(ValueError):  # of a port that is no number
            url = urlsplit(self.model_url)
            if url.scheme == "fd" and url.netloc.isdecimal():
                return self.model_url
            if url.scheme == "http+unix" and (path := unquote(url.netloc + url.path)):
                return f"unix:{path}"
            if url.scheme in ("http", "https") and url.hostname:
                if url.scheme == "http" and not (self.model_plaintext or is_here(url.hostname)):
                    fault = f"{self.model_url} would be in the clear, tokens too"
                    raise ModelError(f"MODEL_URL: {fault}; take https://, or MODEL_PLAINTEXT=1")
                default = {"http": 80, "https": 443}[url.scheme]
                return f"{url.netloc}:{default}" if url.port is None else url.netloc
        forms = "http+unix:// and a path, http://host:port or https://host:port"
        raise ModelError(f"MODEL_URL: nothing can listen at {self.model_url!r}; it is {forms}")


def is_here(host: str) -> bool:
    """Whether this is a name or an address that no other machine can reach."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_tokens(tokens: tuple[str, ...]) -> tuple[str, ...]:
    """The tokens; raises ValueError, which repeats none, if one is unfit."""
    if re.search(r"[^!-~]", "".join(tokens)):
        raise ValueError("a token is made of visible ASCII characters")
    if any(len(token) < TOKEN_LENGTH for token in tokens):
        raise ValueError(f"a token has at least {TOKEN_LENGTH} characters")
    return tokens


def load_settings() -> Settings:
    """The settings as they are now; raises ModelError, naming every wrong one."""
    try:
        return Settings()
    except ValidationError as error:
        faults = (f"{name.upper()}: {fault}" for name, fault in faults_of(error))
        raise ModelError("; ".join(faults)) from None
