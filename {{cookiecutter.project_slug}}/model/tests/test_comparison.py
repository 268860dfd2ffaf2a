"""Which of two versions predicts better, by what the product has seen."""

import csv
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract import TARGET
from model.artifacts.manifest import METRIC
from model.columns import text_of
from model.errors import ModelError
from model.training.comparison import KEY, LEAST_ROWS, SERVED_BY, VERSION, compare

DICE = np.random.default_rng(7)
NAMES = [KEY, SERVED_BY, VERSION, TARGET.name, f"expected_{TARGET.name}", "probabilities"]
HAPPENED: Any = {"float": 100.0, "bool": True, "category": "red"}[TARGET.kind]


def line(number: int, version: str, loss: float, served_by: str = "model") -> list[Any]:
    """A prediction with such a loss."""
    if TARGET.kind == "float":
        return [number, served_by, version, HAPPENED, HAPPENED + loss, ""]
    likely = float(np.exp(-loss))
    classes = {text_of(HAPPENED): likely, "other": 1 - likely}
    return [number, served_by, version, text_of(HAPPENED), "other", json.dumps(classes)]


def write(path: Path, lines: Iterable[list[Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([NAMES, *lines])
    return path


def test_a_shadow_is_compared_in_pairs_and_a_canary_by_the_means(tmp_path: Path) -> None:
    common = DICE.exponential(2, 100)  # what makes an order hard is hard for both
    losses = {"a": common + 0.2, "b": common + DICE.normal(0, 0.1, 100) ** 2}
    lines = [
        line(number, version, loss, "model" if version == "a" else "shadow")
        for version, each in losses.items()
        for number, loss in enumerate(each)
    ]
    path = write(tmp_path / "shadow.csv", lines)
    mean = (losses["a"] - losses["b"]).mean()
    for pair, sign in ((("a", "b"), 1), (("b", "a"), -1)):
        found = compare(path, *pair)
        assert found.startswith(f"b is better: {METRIC} ")
        assert f"on 100 rows of both; the difference is {sign * mean:.3g} (95 %" in found

    alone = [each for each in lines if (each[2] == "a") == (each[0] % 2 == 0)]
    found = compare(write(tmp_path / "canary.csv", alone), "a", "b")
    assert found.startswith("no telling yet: ")
    assert "on 50 and 50 rows" in found


def test_too_few_rows_and_fallbacks_tell_nothing(tmp_path: Path) -> None:
    lines = [line(number, "a", 1) for number in range(LEAST_ROWS)]
    lines += [line(number, "b", 5, "shadow") for number in range(LEAST_ROWS - 1)]
    lines += [line(number, "b", 9, "fallback") for number in range(100)]
    path = write(tmp_path / "few.csv", lines)
    assert f"tell: {LEAST_ROWS} rows of a and {LEAST_ROWS - 1} of b" in compare(path, "a", "b")
    assert f"tell: 0 rows of c and {LEAST_ROWS} of a" in compare(path, "c", "a")


def test_a_probability_of_nothing_is_no_infinite_loss(tmp_path: Path) -> None:
    lines = [line(number, version, 800) for number in range(40) for version in "ab"]
    found = compare(write(tmp_path / "sure.csv", lines), "a", "b")
    assert not re.search("inf|nan", found)


def test_a_file_that_is_no_export_is_named(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text("x,y\n1,2\n")
    with pytest.raises(ModelError, match=r"history\.csv: .*is missing; .*--shadows"):
        compare(tmp_path / "history.csv", "a", "b")
