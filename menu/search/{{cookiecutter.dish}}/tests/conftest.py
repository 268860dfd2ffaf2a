"""100,000 documents with the model's features, and what scikit-learn predicts for each."""

import json
import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

DISH = Path(__file__).resolve().parent.parent
ROOT = DISH.parent.parent
MODEL = ROOT / "model/.venv/bin/model"
TABLE = os.environ.get("TABLE", "documents")
COUNT = 100_000
TYPES = {
    "float": "double precision",
    "int": "bigint",
    "bool": "boolean",
    "category": "text",
    "datetime": "timestamptz",
}
SYLLABLES = [f"{a}{b}" for a in "bdfgklmnprst" for b in "aeiou"]


def word(number: int) -> str:
    """One of 3,600 made-up words."""
    return SYLLABLES[number // 60 % 60] + SYLLABLES[number % 60]


class Corpus:
    """The documents in a database.

    Attributes:
        connection: to it.
        version: of the model.
        view: what ranks.
        score: the expression to order by, best last.
        scores: what scikit-learn has for it, by id.
        words: of each document, by id.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        shown = json.loads(subprocess.check_output([MODEL, "show", "--json"], cwd=ROOT))
        self.version, classes = shown["version"], shown["classes"]
        self.view = f"{TABLE}_ranked_{self.version}"
        kinds = {name: kind.rstrip("?") for name, kind in shown["features"].items()}
        file = DISH / f"build/rows-{uuid4().hex}"
        subprocess.run([MODEL, "parity", file], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
        # Those of the history come first; a column has moments to the microsecond only.
        lines = file.read_text("utf-8").splitlines()[: min(shown["data"]["rows"], 5000)]
        rows = [json.loads(line) for line in lines]
        file.unlink()
        (target,) = set(rows[0]["expected"]) - {"probabilities"}
        self.score = f"expected_{target}"
        expected = [row["expected"][target] for row in rows]
        if classes:
            name = classes[-1].replace("'", "''")
            self.score = f"(probabilities ->> '{name}')::float8"
            expected = [row["expected"]["probabilities"][classes[-1]] for row in rows]
        names = ", ".join(f'"{name}" {TYPES[kind]}' for name, kind in kinds.items())
        self.run(
            f"CREATE TABLE {TABLE} (id bigint PRIMARY KEY, body text NOT NULL, {names},"
            " words tsvector GENERATED ALWAYS AS (to_tsvector('simple', body)) STORED)"
        )
        dice = random.Random(7)
        self.words, self.scores = {}, {}
        columns = ", ".join(["id", "body", *(f'"{name}"' for name in kinds)])
        with connection.cursor().copy(f"COPY {TABLE} ({columns}) FROM STDIN".encode()) as copy:
            for number in range(1, COUNT + 1):
                chosen = dice.randrange(len(rows))
                words = [word(int(3600 * dice.random() ** 3)) for _ in range(20)]
                self.words[number], self.scores[number] = set(words), expected[chosen]
                values = [
                    datetime.fromtimestamp(value, UTC)
                    if kinds[name] == "datetime" and value is not None
                    else value
                    for name, value in rows[chosen]["features"].items()
                ]
                copy.write_row([number, " ".join(words), *values])
        self.run(f"CREATE INDEX {TABLE}_words ON {TABLE} USING gin (words)")
        self.run(f"ANALYZE {TABLE}")
        path = DISH / f"build/create_{self.version}.sql"
        for statement in path.read_text("utf-8").split("\n;\n")[:-1]:
            self.run(statement)

    def run(self, query: str, *values: Any) -> list[Any]:
        """The rows of a query."""
        cursor = self.connection.execute(query.encode(), values or None)
        return cursor.fetchall() if cursor.description else []

    def matching(self, *words: str) -> list[int]:
        """The documents that have all these words, told without the database."""
        return [number for number, those in self.words.items() if those.issuperset(words)]


@contextmanager
def corpus_in(url: str) -> Iterator[Corpus]:
    """The corpus in a schema of its own on this server."""
    schema = f"test_{uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}".encode())
        connection.execute(f"SET search_path TO {schema}".encode())
        try:
            yield Corpus(connection)
        finally:
            connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())


def postgresql_url() -> str:
    """A server for tests; without one they are skipped, or fail where CI is set."""
    if not (url := os.environ.get("TEST_POSTGRES_URL", "")):
        assert not os.environ.get("CI"), "TEST_POSTGRES_URL is not set"
        pytest.skip("PostgreSQL: TEST_POSTGRES_URL is not set")
    return url


@pytest.fixture(scope="session")
def corpus() -> Iterator[Corpus]:
    with corpus_in(postgresql_url()) as corpus:
        yield corpus
