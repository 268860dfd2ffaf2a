"""100,000 documents with the model's features, and what scikit-learn predicts for each."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from postgres import TABLE, Connection, Model, own_schema, statements

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

    def __init__(self, connection: Connection) -> None:
        self.connection, model = connection, Model()
        self.version, kinds = model.version, model.kinds
        self.view = f"{TABLE}_ranked_{self.version}"
        # Those of the history come first; a column has moments to the microsecond only.
        rows = model.rows[: min(model.history, 5000)]
        self.score = f"expected_{model.target}"
        expected = [row["expected"][model.target] for row in rows]
        if model.classes:
            name = model.classes[-1].replace("'", "''")
            self.score = f"(probabilities ->> '{name}')::float8"
            expected = [row["expected"]["probabilities"][model.classes[-1]] for row in rows]
        names = ", ".join(f'"{name}" {TYPES[kind]}' for name, kind in kinds.items())
        self.run(
            f"CREATE TABLE {TABLE} (id bigint PRIMARY KEY, body text NOT NULL, {names},"
            " words tsvector GENERATED ALWAYS AS (to_tsvector('simple', body)) STORED)"
        )
        dice = random.Random(7)
        self.words, self.scores = {}, {}
        columns = ", ".join(["id", "body", *(f'"{name}"' for name in kinds)])
        with connection.cursor().copy(f"COPY {TABLE} ({columns}) FROM STDIN") as copy:
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
        for statement in statements(f"create_{self.version}.sql"):
            self.run(statement)

    def run(self, query: str, *values: Any) -> list[Any]:
        """The rows of a query."""
        cursor = self.connection.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []

    def matching(self, *words: str) -> list[int]:
        """The documents that have all these words, told without the database."""
        return [number for number, those in self.words.items() if those.issuperset(words)]


@pytest.fixture(scope="session")
def corpus() -> Iterator[Corpus]:
    with own_schema() as connection:
        yield Corpus(connection)
