"""`make bench`: how long searches take among 100,000 documents, ranked by the model and by text."""

import random
import time

from conftest import TABLE, Corpus, corpus_in, postgresql_url, word

SEARCHES = 200
FOUND = "words @@ websearch_to_tsquery('simple', %s)"
BY_TEXT = "ts_rank(words, websearch_to_tsquery('simple', %s))"


def show(corpus: Corpus, name: str, query: str, searches: list[str]) -> None:
    """Print the median and the 95th percentile of some searches."""
    seconds = []
    for words in searches:
        started = time.perf_counter()
        corpus.run(query, *[words] * query.count("%s"))
        seconds.append(time.perf_counter() - started)
    seconds.sort()
    p50, p95 = (1000 * seconds[len(seconds) * share // 100] for share in (50, 95))
    print(f"{name:42} p50 {p50:7.1f} ms   p95 {p95:7.1f} ms")


def main() -> None:
    """Print a table."""
    dice = random.Random(1)
    rare = [word(int(100 + 3000 * dice.random())) for _ in range(SEARCHES)]
    common = [word(dice.randrange(20)) for _ in range(SEARCHES // 10)]
    with corpus_in(postgresql_url()) as corpus:
        few, many = (
            sorted(len(corpus.matching(each)) for each in words) for words in (rare, common)
        )
        print(
            f"rare words are in {few[0]} to {few[-1]} documents,"
            f" common ones in {many[0]} to {many[-1]}"
        )
        model = f"SELECT id FROM {corpus.view} WHERE {FOUND} ORDER BY {corpus.score} DESC LIMIT 10"
        text = f"SELECT id FROM {TABLE} WHERE {FOUND} ORDER BY {BY_TEXT} DESC LIMIT 10"
        first = f"SELECT id FROM {TABLE} WHERE {FOUND} ORDER BY {BY_TEXT} DESC LIMIT 500"
        both = (
            f"SELECT id FROM {corpus.view} WHERE id = ANY (ARRAY({first}))"
            f" ORDER BY {corpus.score} DESC LIMIT 10"
        )
        for name, words in {"rare": rare, "common": common}.items():
            show(corpus, f"{name}: by text alone", text, words)
            show(corpus, f"{name}: by the model", model, words)
            show(corpus, f"{name}: by the model, 500 best by text", both, words)


if __name__ == "__main__":
    main()
