"""What a search finds is ordered as scikit-learn would order it, and nothing else is scored."""

import pytest
from conftest import Corpus, word
from postgres import TABLE, statements

COMMON, RARE = word(0), word(700)
FOUND = "words @@ websearch_to_tsquery('simple', %s)"


@pytest.mark.parametrize("words", [[RARE], [COMMON, RARE], [COMMON, word(1), word(2)]])
def test_the_best_come_first(corpus: Corpus, words: list[str]) -> None:
    query = f"SELECT id, {corpus.score}, model_version FROM {corpus.view} WHERE {FOUND}"
    found = corpus.run(f"{query} ORDER BY 2 DESC, id LIMIT 100", " ".join(words))
    right = sorted((corpus.scores[number] for number in corpus.matching(*words)), reverse=True)
    assert len(found) == min(len(right), 100)
    assert [score for _, score, _ in found] == pytest.approx(right[:100], rel=1e-9)
    # Of those with the same score any may come first.
    assert [corpus.scores[number] for number, _, _ in found] == pytest.approx(right[:100], rel=1e-9)
    assert {version for _, _, version in found} == {corpus.version}


def test_only_what_the_text_and_the_filter_leave_is_scored(corpus: Corpus) -> None:
    candidates = [number for number in corpus.matching(COMMON, RARE) if number % 3 == 0]
    assert 0 < len(candidates) < 1000
    query = (
        f"SELECT id FROM {corpus.view} WHERE {FOUND} AND id %% 3 = 0"
        f" ORDER BY {corpus.score} DESC LIMIT 10"
    )
    calls = "SELECT calls FROM pg_stat_xact_user_functions WHERE funcname LIKE 'predict_%'"
    with corpus.connection.transaction():
        corpus.run("SET LOCAL track_functions = 'pl'")
        corpus.run(query, f"{COMMON} {RARE}")
        assert corpus.run(calls) == [(len(candidates),)]
    plan = "\n".join(line for (line,) in corpus.run(f"EXPLAIN {query}", f"{COMMON} {RARE}"))
    assert f"Bitmap Index Scan on {TABLE}_words" in plan, plan


def test_a_version_can_be_taken_out(corpus: Corpus) -> None:
    with corpus.connection.transaction(force_rollback=True):
        for statement in statements(f"drop_{corpus.version}.sql"):
            corpus.run(statement)
        assert corpus.run("SELECT to_regclass(%s)", corpus.view) == [(None,)]
