"""The configuration: one TOML file with the models, their limits and who may call them."""

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    Field,
    FilePath,
    NonNegativeInt,
    PositiveInt,
)

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
Url = Annotated[str, BeforeValidator(os.path.expandvars)]
"""A text in which ${NAME} stands for an environment variable, as for a password."""
PRIVATE = r"^(http\+unix://.|https://.|http://(127\.0\.0\.1|localhost|\[::1\])[:/])"
"""Where a model server may be: nobody on the way can read along."""


def _read_tokens(path: str) -> list[str]:
    """The tokens in a file; raises ValueError, which repeats none, if one is unfit."""
    tokens = Path(path).read_text("utf-8").split()
    if not tokens or not all(re.fullmatch("[!-~]{32,}", each) for each in tokens):
        raise ValueError(f"{path}: expected tokens of 32 visible ASCII characters or more")
    return tokens


Tokens = Annotated[list[str], Field(alias="tokens_file"), BeforeValidator(_read_tokens)]
"""Bearer tokens, one a line in a file."""


class Section(BaseModel, extra="forbid", hide_input_in_errors=True):
    """A table of the file, in which nothing may be misspelt."""


class CacheSettings(Section):
    """Where answers are kept, and for how long; the model server must name each version anew."""

    redis: Url
    seconds: PositiveInt


class FeatureTable(Section):
    """Where the features are that requests leave out.

    Attributes:
        database: of PostgreSQL, its URL.
        table: with one row for each entity; `schema.table` for one of another schema.
        key: the column that tells entities apart, and the tensor in which a request names them.
        columns: the features that it holds, called as the model calls them.
    """

    database: Url
    table: str
    key: str
    columns: list[str]


class Tls(Section):
    """Of a server at `https://`: who vouches for it, and what the front shows it."""

    ca: FilePath
    certificate: FilePath
    key: FilePath


class Model(Section):
    """One model server; two of one name serve two versions, and the first is the default.

    Attributes:
        name: by which callers know the model.
        url: where it is, with `/v2/models/NAME` behind it if the server has another name for it.
        tokens: of the server, of which the first is shown.
        at_once: requests that the server works on at a time.
        waiting: requests that may wait besides; any others are refused.
        timeout_ms: within which an answer has to come, if the caller has as long.
    """

    name: Name
    url: Annotated[Url, Field(pattern=PRIVATE)]
    tokens: Tokens
    tls: Tls | None = None
    at_once: PositiveInt = 8
    waiting: NonNegativeInt = 32
    timeout_ms: PositiveInt = 1000
    cache: CacheSettings | None = None
    features: FeatureTable | None = None


class Caller(Section):
    """Who may call: with any of these tokens, and which models; by default all."""

    tokens: Tokens
    models: frozenset[Name] | None = None


class Config(Section):
    """The whole file; `max_body` is the longest request, for whose parsing all others wait."""

    models: Annotated[list[Model], Field(min_length=1)]
    callers: Annotated[dict[Name, Caller], Field(min_length=1)]
    max_body: ByteSize = ByteSize(2**20)
