"""`make bench`: searches among 100,000 documents for the ten best, as a line of JSON.

A row is a candidate: `one_row_ms` is a search for a rare word, `rows_per_second` are the documents
that have a common one, ranked by the model. The 500 best by text are ranked by it as well.
"""

import json
import random
import time
from statistics import median, quantiles
from typing import Any

from conftest import Corpus, word
from postgres import TABLE, own_schema, statements

SEARCHES = 200
FOUND = "words @@ websearch_to_tsquery('simple', %s)"
BY_TEXT = "ts_rank(words, websearch_to_tsquery('simple', %s)) DESC"


def seconds(corpus: Corpus, query: str, searches: list[str]) -> list[float]:
    """How long each search takes."""

    def one(words: str) -> float:
        start = time.perf_counter()
        corpus.run(query, *[words] * query.count("%s"))
        return time.perf_counter() - start

    one(searches[0])
    return list(map(one, searches))


def main() -> None:
    """Measure, and print."""
    dice = random.Random(1)
    words = {
        "rare": [word(int(100 + 3000 * dice.random())) for _ in range(SEARCHES)],
        "common": [word(dice.randrange(20)) for _ in range(SEARCHES // 10)],
    }
    found: dict[str, Any] = {}
    with own_schema() as connection:
        corpus = Corpus(connection)
        first = f"SELECT id FROM {TABLE} WHERE {FOUND} ORDER BY {BY_TEXT} LIMIT"
        ranked, by_model = f"SELECT id FROM {corpus.view} WHERE", f"ORDER BY {corpus.score} DESC"
        queries = {
            "by_model": f"{ranked} {FOUND} {by_model} LIMIT 10",
            "by_text": f"{first} 10",
            "by_model_of_500": f"{ranked} id = ANY (ARRAY({first} 500)) {by_model} LIMIT 10",
        }
        times = {
            (kind, name): seconds(corpus, query, searches)
            for kind, searches in words.items()
            for name, query in queries.items()
        }
        candidates = sum(len(corpus.matching(each)) for each in words["common"])
        sql = statements(f"create_{corpus.version}.sql")
    for (kind, name), taken in times.items():
        found[f"{kind}_{name}_p50_ms"] = round(1000 * median(taken), 2)
        found[f"{kind}_{name}_p95_ms"] = round(1000 * quantiles(taken, n=20)[-1], 2)
    found["one_row_ms"] = found["rare_by_model_p50_ms"]
    found["rows_per_second"] = round(candidates / sum(times["common", "by_model"]))
    found["shipped_mb"] = round(sum(map(len, sql)) / 1e6, 3)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
