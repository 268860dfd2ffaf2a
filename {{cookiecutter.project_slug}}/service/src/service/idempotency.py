{%- set entity = cookiecutter.entity -%}
{%- set words = entity.replace('_', ' ') -%}
"""Which requests were answered already: the header `Idempotency-Key` (an IETF draft, ADR 26)."""

import re
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from itertools import count

from sqlalchemy import ColumnElement, delete, select, tuple_

from contract import Inputs
from service.database import Database
from service.inserts import New
from service.tables import IdempotencyKey, now

PATTERN = r"""[!#-+\--:<-~]+|"(?:[ !#-[\]-~]|\\["\\])+\""""
"""A string of HTTP's structured fields (RFC 9651), or the same without its quotes."""

MAX_CHARACTERS = 255
"""How long a key may be."""

PRUNE_EVERY = 100
"""How many new keys there are between two deletions of old ones."""

PRUNE_AT_MOST = 200
"""How many old keys are deleted at a time: more than come in between."""


class KeyReused(Exception):
    """The key came with another {{ words }} before."""


@dataclass(frozen=True)
class Key:
    """What a caller calls a request that it may have to repeat."""

    caller: str
    key: str

    @classmethod
    def parse(cls, caller: str, header: str) -> "Key":
        """The key in a header.

        Raises:
            ValueError: it is malformed.
        """
        if not re.fullmatch(PATTERN, header) or len(key := _unquoted(header)) > MAX_CHARACTERS:
            raise ValueError(
                f'Idempotency-Key: write "a text in quotes" of at most {MAX_CHARACTERS} visible '
                "ASCII characters, best a UUID."
            )
        return cls(caller, key)


def _unquoted(header: str) -> str:
    return re.sub(r"\\(.)", r"\1", header[1:-1]) if header.startswith('"') else header


class KeyStore:
    """The keys of requests that were answered, for some hours.

    A key is written together with its {{ words }}, so the database decides which one of several
    requests with the same key is the first.
    """

    def __init__(self, database: Database, hours: float) -> None:
        self._database = database
        self._lifetime = timedelta(hours=hours)
        self._new = count(1)

    def find(self, key: Key, inputs: Inputs) -> int | None:
        """The {{ words }} that was placed with this key; None for a new key.

        Raises:
            KeyReused: it was another one.
            sqlalchemy.exc.SQLAlchemyError: when the database cannot be used.
        """
        with self._database.sessions() as session:
            known = session.get(IdempotencyKey, (key.caller, key.key))
        if known and known.created_at > now() - self._lifetime:
            if known.fingerprint != _fingerprint(inputs):
                raise KeyReused("This Idempotency-Key came with another body before.")
            return known.{{ entity }}_id
        if known:
            self._delete(IdempotencyKey.caller == key.caller, IdempotencyKey.key == key.key)
        return None

    def row(self, key: Key, inputs: Inputs) -> New:
        """What to insert together with the {{ words }}; now and then old keys are deleted."""
        if next(self._new) % PRUNE_EVERY == 0:
            self._delete()
        values = {"caller": key.caller, "key": key.key, "fingerprint": _fingerprint(inputs)}
        return New(IdempotencyKey, {**values, "created_at": now()})

    def _delete(self, *which: ColumnElement[bool]) -> None:
        expired = IdempotencyKey.created_at <= now() - self._lifetime
        primary = tuple_(IdempotencyKey.caller, IdempotencyKey.key)
        some = select(IdempotencyKey.caller, IdempotencyKey.key).where(expired, *which)
        with self._database.writing() as session:
            # Asked again of each row, since another request may have renewed it.
            session.execute(
                delete(IdempotencyKey).where(primary.in_(some.limit(PRUNE_AT_MOST)), expired)
            )


def _fingerprint(inputs: Inputs) -> str:
    # Without nulls: a field that a later release adds must not make another request of this one.
    return sha256(inputs.model_dump_json(exclude_none=True).encode()).hexdigest()
