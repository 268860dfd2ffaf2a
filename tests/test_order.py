"""The split that is proposed fits how the rows stand, and says what was seen."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stamping.order import propose_split

ROWS = 400
KINDS = {"kind": "category", "size": "float", "noise": "float", "price": "float"}
Table = dict[str, list[Any]]


def table(seed: int = 1, rows: int = ROWS) -> Table:
    """Rows in random order: a price that follows from kind and size."""
    dice = random.Random(seed)
    kinds = [dice.randrange(3) for _ in range(rows)]
    sizes = [dice.gauss(10 + 3 * kind, 2) for kind in kinds]
    return {
        "kind": [f"kind {kind}" for kind in kinds],
        "size": sizes,
        "noise": [dice.random() for _ in range(rows)],
        "price": [100 * size + dice.gauss(0, 50) for size in sizes],
    }


def sorted_by(name: str, columns: Table) -> Table:
    """The same rows, sorted by one column."""
    order = sorted(range(len(columns[name])), key=columns[name].__getitem__)
    return {each: [values[row] for row in order] for each, values in columns.items()}


def numbered(rows: int = ROWS) -> dict[str, list[str]]:
    """The counter that R and pandas write."""
    return {"rownames": [str(number) for number in range(1, rows + 1)]}


def moments(rows: int = ROWS, step: float = 3600.0) -> list[float]:
    """One moment after the other, as seconds."""
    return [1.7e9 + step * row for row in range(rows)]


@pytest.mark.parametrize("rows", [50, ROWS])
@pytest.mark.parametrize("is_numbered", [False, True])
@pytest.mark.parametrize(
    ("by", "target", "sign"),
    [
        ("kind", "kind", "the rows are sorted by kind"),
        ("kind", "price", "the rows are sorted by kind"),
        ("price", "price", "the rows are sorted by price"),
        ("size", "price", "the rows are sorted by size"),
        ("size", "price", "the rows are sorted by price|price is distributed quite differently"),
    ],
)
def test_a_sorted_table_is_shuffled(
    by: str, target: str, sign: str, is_numbered: bool, rows: int
) -> None:
    left_out = numbered(rows) if is_numbered else {}
    proposal = propose_split(KINDS, sorted_by(by, table(rows=rows)), target, left_out)
    assert proposal.split == "shuffled"
    assert any(any(each in reason for each in sign.split("|")) for reason in proposal.reasons)
    assert any("say order" in reason for reason in proposal.reasons)


def test_moments_that_the_rows_do_not_follow_are_not_taken_for_sure() -> None:
    dice = random.Random(3)
    kinds, columns = KINDS | {"at": "datetime"}, table() | {"at": dice.sample(moments(), ROWS)}
    proposal = propose_split(kinds, columns, "price")
    assert proposal.split == "time:at"
    assert "at may say when each row was" in proposal.reasons[0]
    assert proposal.reasons[0].endswith("if it does not, say shuffled")


def test_a_class_that_comes_last_is_told() -> None:
    columns = table()
    columns["kind"][-30:] = ["rare"] * 30
    proposal = propose_split(KINDS, columns, "kind", numbered())
    assert proposal.split == "shuffled"
    assert "in kind, rare stands in the last fifth of the rows only" in proposal.reasons


def test_a_table_sorted_twice_is_shuffled() -> None:
    """As the diamonds of ggplot2 are: dear ones from small to large, then cheap ones again."""
    columns = sorted_by("price", table())
    half = {name: values[ROWS // 2 :] + values[: ROWS // 2] for name, values in columns.items()}
    proposal = propose_split(KINDS, half, "price", numbered())
    assert proposal.split == "shuffled"
    assert any("price" in reason for reason in proposal.reasons)


@given(st.integers(0, 10**9), st.sampled_from([10, 20, 50, ROWS]))
def test_rows_in_random_order_show_no_sign_of_sorting(seed: int, rows: int) -> None:
    columns = table(seed, rows)
    assert propose_split(KINDS, columns, "price", numbered(rows)).split == "order"
    (reason,) = propose_split(KINDS, columns, "price").reasons
    assert reason.startswith("no column tells the order of the rows: shuffled")
    assert "say order" in reason


@pytest.mark.parametrize(
    "counter",
    [
        [str(number) for number in range(1000, 1000 + 7 * ROWS, 7)],
        list(range(ROWS)),
        [float(row * 13 // 10) for row in range(ROWS)],
        [2001 + row // 100 for row in range(ROWS)],
    ],
    ids=["text", "int", "repeating", "years"],
)
def test_a_counter_and_a_mild_trend_stand_as_they_are(counter: list[Any]) -> None:
    columns = table()
    columns["price"] = [price + row / 2 for row, price in enumerate(columns["price"])]
    proposal = propose_split(KINDS, columns, "price", {"number": counter})
    assert proposal.split == "order"
    assert proposal.reasons[0].startswith("number grows from row to row")
    columns["number"] = [int(number) for number in counter]
    with_it = propose_split({**KINDS, "number": "int"}, columns, "price")
    assert with_it.split == "order"


def test_features_that_drift_are_no_sign_of_sorting() -> None:
    """A tenth of a standard deviation a month for two years, say: the distance is about 0.4."""
    columns = table() | {"size": [0.0] * ROWS, "noise": [0.0] * ROWS}
    dice = random.Random(6)
    for name in ("size", "noise", "price"):
        columns[name] = [dice.gauss(2.5 * row / ROWS, 1) for row in range(ROWS)]
    assert propose_split(KINDS, columns, "price", numbered()).split == "order"


@pytest.mark.parametrize(
    "no_counter",
    [
        [str(number) for number in random.Random(3).sample(range(ROWS), ROWS)],
        [f"A{number}" for number in range(ROWS)],
        [row // 100 for row in range(ROWS)],
        [None, *range(ROWS - 1)],
        [row + 0.5 for row in range(ROWS)],
        [True] * ROWS,
    ],
)
def test_what_does_not_grow_in_whole_numbers_is_no_counter(no_counter: list[Any]) -> None:
    assert propose_split(KINDS, table(), "price", {"x": no_counter}).split == "shuffled"


def test_a_moment_orders_the_rows_however_they_stand() -> None:
    kinds = {**KINDS, "placed_at": "datetime"}
    columns = table() | {"placed_at": moments()}
    for rows in (columns, sorted_by("kind", columns), sorted_by("noise", columns)):
        proposal = propose_split(kinds, rows, "kind", numbered())
        assert proposal.split == "time:placed_at"
        assert "placed_at" in proposal.reasons[0]


def test_of_several_moments_the_sorted_one_leads_and_else_the_finest() -> None:
    dice = random.Random(4)
    kinds = {**KINDS, "born": "datetime", "placed_at": "datetime"}
    days = [86400.0 * dice.randrange(50) for _ in range(ROWS)]
    fine = [dice.random() * 1e7 for _ in range(ROWS)]
    columns = table() | {"born": fine, "placed_at": sorted(days)}
    assert propose_split(kinds, columns, "price").split == "time:placed_at"
    columns |= {"placed_at": days}
    assert propose_split(kinds, columns, "price").split == "time:born"


def test_what_comes_up_only_later_is_told() -> None:
    kinds = {**KINDS, "placed_at": "datetime"}
    columns = table() | {"placed_at": moments()}
    columns["kind"][-30:] = ["new"] * 30
    columns["size"] = [float(row) for row in range(ROWS)]
    mixed = sorted_by("noise", columns)
    reasons = propose_split(kinds, mixed, "price").reasons
    assert "kind has new only in the later part (38% of its rows)" in reasons
    assert "size has values beyond 0 to 319 only in the later part (100% of its rows)" in reasons
    assert not any(reason.startswith("noise") for reason in reasons)


def test_a_moment_that_some_rows_lack_does_not_order_them() -> None:
    kinds = {**KINDS, "placed_at": "datetime", "paid_at": "datetime"}
    columns = table() | {"placed_at": moments(), "paid_at": [None, *moments(ROWS - 1)]}
    optional = {"paid_at"}
    assert propose_split(kinds, columns, "price", {}, optional).split == "time:placed_at"
    proposal = propose_split(kinds, columns, "price", {}, optional | {"placed_at"})
    assert proposal.split == "shuffled"
    assert "placed_at, paid_at cannot order the rows, for some have none" in proposal.reasons


@pytest.mark.parametrize(
    "counter",
    [[str(ROWS - row) for row in range(ROWS)], [2010 - row // 100 for row in range(ROWS)]],
)
def test_a_counter_that_falls_is_turned_round(counter: list[Any]) -> None:
    columns = table()
    columns["kind"][:30] = ["new"] * 30
    proposal = propose_split(KINDS, columns, "price", {"number": counter})
    assert proposal.split == "time:number"
    assert "newest first" in proposal.reasons[0]
    assert "kind has new only in the later part (38% of its rows)" in proposal.reasons
    columns["number"] = [int(number) for number in counter]
    again = propose_split({**KINDS, "number": "int"}, columns, "price", numbered())
    assert again == proposal


def test_an_id_that_comes_back_suggests_its_group() -> None:
    dice = random.Random(5)
    customers = {"customer": [f"C{row % 80}" for row in dice.sample(range(ROWS), ROWS)]}
    reasons = propose_split(KINDS, table(), "price", customers | numbered()).reasons
    (hint,) = [reason for reason in reasons if "group:" in reason]
    assert hint.startswith("customer has 80 values in 400 rows")
    assert "say group:customer" in hint
    as_feature = propose_split({**KINDS, "customer": "category"}, table() | customers, "price")
    assert hint in as_feature.reasons
    unfits: list[list[Any]] = [
        [f"C{row}" for row in range(ROWS)],
        ["one", "other"] * 200,
        [None] * ROWS,
    ]
    for unfit in unfits:
        reasons = propose_split(KINDS, table(), "price", {"x": unfit}).reasons
        assert not any("group:" in reason for reason in reasons)


def test_a_table_in_blocks_of_a_group_suggests_it() -> None:
    columns = table() | {"person": [f"P{row // 20:02}" for row in range(ROWS)]}
    proposal = propose_split({**KINDS, "person": "category"}, columns, "price", numbered())
    assert proposal.split == "shuffled"
    assert "the rows are sorted by person" in proposal.reasons
    assert any("say group:person" in reason for reason in proposal.reasons)


CELLS = {
    "float": st.none() | st.floats(-1e300, 1e300),
    "int": st.none() | st.integers(-(2**53), 2**53),
    "bool": st.none() | st.booleans(),
    "category": st.none() | st.sampled_from("abc"),
    "datetime": st.none() | st.floats(-1e10, 1e10),
}


@given(st.data())
def test_every_table_gets_a_split_and_a_reason(data: st.DataObject) -> None:
    kinds = data.draw(st.dictionaries(st.sampled_from("abcde"), st.sampled_from([*CELLS])))
    kinds["target"] = data.draw(st.sampled_from(["float", "int", "bool", "category"]))
    rows = data.draw(st.integers(1, 30))
    columns = {
        name: data.draw(st.lists(CELLS[kind], min_size=rows, max_size=rows))
        for name, kind in kinds.items()
    }
    text = st.lists(st.text(max_size=3), min_size=rows, max_size=rows)
    left_out = data.draw(st.dictionaries(st.sampled_from("xyz"), text))
    optional = {name for name in kinds if None in columns[name]}
    proposal = propose_split(kinds, columns, "target", left_out, optional)
    columns_of_time = [f"time:{name}" for name in [*kinds, *left_out] if name != "target"]
    assert proposal.split in [*columns_of_time, "order", "shuffled"]
    assert proposal.reasons
    assert all(proposal.reasons)
