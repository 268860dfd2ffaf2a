"""What is made from the target is named as a leak; what is merely good is not."""

import csv
import math
import random
from typing import Any

import pytest
from conftest import TEMPLATE
from hypothesis import given
from hypothesis import strategies as st

from stamping.leaks import find_leaks

ROWS = 300
SAMPLE = TEMPLATE / "{{cookiecutter.project_slug}}" / "data" / "sample.csv"
dice = random.Random(8)

PRICE = [math.exp(dice.gauss(7, 1)) for _ in range(ROWS)]
CLASSES = [dice.choice(["red", "green", "blue"]) for _ in range(ROWS)]
LATE = [dice.random() < 0.1 for _ in range(ROWS)]
GROUPS = [f"group {row // 8}" for row in range(ROWS)]
CODE = {"red": 0, "green": 1, "blue": 2}


def flipped(labels: list[Any], share: float) -> list[Any]:
    """The labels, but for a share that is drawn anew."""
    return [dice.choice(labels) if dice.random() < share else label for label in labels]


@pytest.mark.parametrize(
    ("target_kind", "target", "kind", "feature", "metric"),
    [
        ("float", PRICE, "float", [price * dice.gauss(1, 0.01) for price in PRICE], "R²"),
        ("float", PRICE, "float", [-price + dice.gauss(0, 20) for price in PRICE], "R²"),
        ("float", PRICE, "datetime", [1.7e9 + 60 * price for price in PRICE], "R²"),
        ("int", [int(x) for x in PRICE], "float", [math.log(x) for x in PRICE], "R²"),
        ("category", CLASSES, "category", [f"is {label}" for label in CLASSES], "accuracy"),
        ("category", CLASSES, "category", flipped(CLASSES, 0.01), "accuracy"),
        ("category", CLASSES, "int", [CODE[label] for label in CLASSES], "accuracy"),
        ("category", CLASSES, "float", [dice.gauss(CODE[x], 0.01) for x in CLASSES], "accuracy"),
        ("bool", LATE, "bool", [not late for late in LATE], "accuracy"),
        ("bool", LATE, "float", [dice.random() if late else None for late in LATE], "accuracy"),
        ("bool", LATE, "category", ["a" if late else None for late in LATE], "accuracy"),
    ],
)
def test_a_copy_of_the_target_is_a_leak(
    target_kind: str, target: list[Any], kind: str, feature: list[Any], metric: str
) -> None:
    kinds = {"noise": "float", "copy": kind, "target": target_kind}
    noise = [dice.random() for _ in range(ROWS)]
    (leak,) = find_leaks(kinds, {"noise": noise, "copy": feature, "target": target}, "target")
    assert (leak.feature, leak.metric) == ("copy", metric)
    assert 0.98 <= leak.value <= 1


@pytest.mark.parametrize(
    ("target_kind", "target", "kind", "feature"),
    [
        # as well as the carat tells a diamond's price (R² 0.87), or better
        ("float", PRICE, "float", [price * dice.gauss(1, 0.3) for price in PRICE]),
        ("float", PRICE, "float", [price + dice.gauss(0, 600) for price in PRICE]),
        # as well as a petal's width tells the species of an iris (0.96)
        ("category", CLASSES, "float", [dice.gauss(CODE[x], 0.25) for x in CLASSES]),
        ("category", CLASSES, "category", flipped(CLASSES, 0.08)),
        ("bool", LATE, "bool", flipped(LATE, 0.1)),
        # hardly anybody is late: a constant is as good
        ("bool", [row == 7 for row in range(ROWS)], "float", PRICE),
        # values of few rows tell nothing of others
        ("category", [CLASSES[n // 8] for n in range(ROWS)], "category", GROUPS),
        ("category", CLASSES, "category", [f"{x} {row}" for row, x in enumerate(CLASSES)]),
        ("float", PRICE, "category", [f"{price}" for price in PRICE]),
        ("float", [1.5] * ROWS, "float", PRICE),
    ],
)
def test_a_good_feature_is_no_leak(
    target_kind: str, target: list[Any], kind: str, feature: list[Any]
) -> None:
    kinds = {"x": kind, "target": target_kind}
    assert find_leaks(kinds, {"x": feature, "target": target}, "target") == []


def test_the_sample_has_no_leak() -> None:
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    kinds = {"hour": "float", "day": "category", "distance": "float", "items": "int"}
    kinds["wait_seconds"] = "float"
    columns = {
        name: [row[name] if kind == "category" else float(row[name]) for row in rows]
        for name, kind in kinds.items()
    }
    assert find_leaks(kinds, columns, "wait_seconds") == []
    columns["hour"] = [seconds / 3600 for seconds in columns["wait_seconds"]]  # type: ignore[operator]
    assert [leak.feature for leak in find_leaks(kinds, columns, "wait_seconds")] == ["hour"]


@given(st.integers(0, 10**9), st.sampled_from([50, 400]), st.booleans())
def test_noise_is_no_leak(seed: int, rows: int, numeric: bool) -> None:
    draw = random.Random(seed)
    columns: dict[str, list[Any]] = {
        "number": [draw.random() for _ in range(rows)],
        "label": [draw.choice("abcdefgh") for _ in range(rows)],
        "target": [draw.random() if numeric else draw.random() < 0.3 for _ in range(rows)],
    }
    kinds = {"number": "float", "label": "category", "target": "float" if numeric else "bool"}
    assert find_leaks(kinds, columns, "target") == []


@given(st.data())
def test_every_table_is_judged(data: st.DataObject) -> None:
    cells = {
        "float": st.floats(allow_nan=False, allow_infinity=False),
        "int": st.integers(-(2**53), 2**53),
        "bool": st.booleans(),
        "category": st.sampled_from("abc"),
        "datetime": st.floats(-1e10, 1e10),
    }
    kinds = data.draw(st.dictionaries(st.sampled_from("abcde"), st.sampled_from([*cells])))
    rows = data.draw(st.integers(1, 30))
    columns = {
        name: data.draw(st.lists(st.none() | cells[kind], min_size=rows, max_size=rows))
        for name, kind in kinds.items()
    }
    kinds["target"] = data.draw(st.sampled_from(["float", "int", "bool", "category"]))
    columns["target"] = data.draw(st.lists(cells[kinds["target"]], min_size=rows, max_size=rows))
    for leak in find_leaks(kinds, columns, "target"):
        assert leak.feature in columns
        assert 0.98 <= leak.value <= 1
