"""Which split to propose for a table: what its rows say about their own order.

A model is judged on the last fifth of the rows. That is fair where they are the latest, and
misleading where the file is sorted by something else.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

PAST_SHARE = 0.8
MOST_COMPARED = 20_000  # rows, evenly spread
GROSS = 0.5  # of a distance that is at most 1: half of all rows would have to move
CHANCE = 1e-4  # that a column of random order is found to differ, for all columns together
NUMERIC = ("float", "int", "datetime")
COUNTER_GROWS = 0.2  # of the rows, at least; the size of something mostly repeats
UNSEEN = 0.05  # of the later rows, at least, to be worth a word
FEWEST_GROUPS = 10
MOST_OF_A_THING = 10  # rows
SHOWN = 3

Values = Sequence[Any]
"""A column: numbers (a moment as seconds), or texts and booleans; None where a cell is empty."""


@dataclass(frozen=True)
class Proposal:
    """The answer `split`, and a sentence for each thing that was seen."""

    split: str
    reasons: list[str]


def propose_split(
    kinds: Mapping[str, str],
    columns: Mapping[str, Values],
    target: str,
    left_out: Mapping[str, Values] | None = None,
    optional: Collection[str] = (),
) -> Proposal:
    """The split that suits the order of the rows, with reasons.

    Args:
        kinds: of the features and of the target: float, int, bool, category or datetime.
        columns: the same names, with the rows as they stand in the file.
        left_out: columns that are no features, as numbers or as texts.
        optional: columns in which a cell may be empty.
    """
    left_out = left_out or {}
    features = {name: values for name, values in columns.items() if name != target}
    texts = {name: each for name, each in features.items() if kinds[name] == "category"}
    ids = {name: each for name, each in texts.items() if is_id(each) or is_in_blocks(thin(each))}
    hints = [hint for each in {**left_out, **ids}.items() if (hint := repeats(*each))]
    moments = [name for name in features if kinds[name] == "datetime"]
    if complete := [name for name in moments if name not in optional]:
        name, why = leading(complete, columns)
        latest = by_value(columns[name])
        return Proposal(f"time:{name}", [why, *unseen(kinds, columns, target, latest), *hints])
    if moments:
        hints.append(f"{listed(moments)} cannot order the rows, for some have none")

    numbers = {name: each for name, each in features.items() if kinds[name] in ("int", "float")}
    may_count = {**numbers, **left_out}
    growing = list(counters({name: may_count[name] for name in may_count if name not in optional}))
    counter, direction = growing[0] if growing else (None, 0)
    others = {name: values for name, values in columns.items() if name not in dict(growing)}
    if seen := signs_of_sorting(kinds, others, target):
        advice = "so: shuffled; if the rows are oldest first all the same, say order"
        return Proposal("shuffled", [*seen, advice, *hints])
    if counter is None:
        why = "no column tells the order of the rows: shuffled; if they are oldest first, say order"
        return Proposal("shuffled", [why, *hints])
    way, does, age = "order", "grows", "oldest"
    if direction < 0:
        way, does, age = f"time:{counter}", "falls", "newest"
    why = (
        f"{counter} {does} from row to row and nothing looks sorted: taken as {age} first; if they"
        " are not, say shuffled"
    )
    rows = range(len(columns[target]))[::direction]
    return Proposal(way, [why, *unseen(kinds, others, target, rows), *hints])


def leading(moments: Sequence[str], columns: Mapping[str, Values]) -> tuple[str, str]:
    """The moment that orders the rows: they are sorted along it, or it differs in most of them."""
    for name in moments:
        if is_sorted(thin(columns[name])):
            return name, f"the rows are sorted along {name}: judged on the latest"
    name = max(moments, key=lambda name: len(set(columns[name])))
    return (
        name,
        f"{name} may say when each row was: judged on the latest; if it does not, say shuffled",
    )


def by_value(values: Values) -> list[int]:
    """The rows in the order of these values."""
    return sorted(range(len(values)), key=lambda row: number(values[row]))


def counters(columns: Mapping[str, Values]) -> Iterator[tuple[str, int]]:
    """The counters, each with 1 where it grows from row to row and with -1 where it falls."""
    for name, values in columns.items():
        for direction in (1, -1):
            if is_counter(thin(values)[::direction]):
                yield name, direction


def is_counter(values: Values) -> bool:
    """Whether these are whole numbers that grow from row to row, or years that never fall."""
    numbers = [each for value in values if (each := whole(value)) is not None]
    if len(numbers) < max(len(values), 2):
        return False
    steps = [after - before for before, after in pairwise(numbers)]
    grows = sum(step > 0 for step in steps) / len(steps)
    years = grows > 0 and min(numbers) >= 1900 and max(numbers) <= 2100
    return min(steps) >= 0 and (years or grows >= COUNTER_GROWS)


def signs_of_sorting(
    kinds: Mapping[str, str], columns: Mapping[str, Values], target: str
) -> list[str]:
    """What shows that the file is sorted by its target, by a class or by size; a sentence each."""
    seen = []
    new = only_later(columns[target]) if kinds[target] not in NUMERIC else []
    if new:
        seen.append(f"in {target}, {listed(new)} stands in the last fifth of the rows only")
    differing = []
    for name, values in columns.items():
        numeric = kinds[name] in NUMERIC
        few = thin(values)
        distance, by_chance = shift(few, numeric, CHANCE / len(columns))
        if distance <= GROSS:
            continue
        if is_sorted(few) if numeric else is_in_blocks(few):
            seen.append(f"the rows are sorted by {name}")
        elif distance <= by_chance:
            continue
        elif name != target:
            differing.append(name)
        elif not new:
            seen.append(f"{target} is distributed quite differently in the last fifth of the rows")
    if len(differing) > 1:
        names = listed(differing)
        seen.append(f"{names} are distributed quite differently in the last fifth of the rows")
    return seen


def shift(values: Values, numeric: bool, chance: float) -> tuple[float, float]:
    """How unlike the rest the last fifth is, from 0 to 1, and the most to expect in random order.

    Numbers by the distance of Kolmogorov and Smirnov with its asymptotic bound. Labels by the total
    variation distance, whose mean is at most sqrt(k s) / 2 for k labels and s = 1/n + 1/m, and
    which McDiarmid's inequality keeps within sqrt(log(1 / chance) s / 2) of it.

    Args:
        chance: that the distance is larger in random order.
    """
    earlier, later = parts(values)
    if not earlier:
        return 0.0, 1.0
    spread = 1 / len(earlier) + 1 / len(later)
    bound = math.sqrt(math.log(2 / chance) * spread / 2)
    if numeric:
        return kolmogorov_smirnov(earlier, later), bound
    before, after = Counter(earlier), Counter(later)
    labels = before.keys() | after.keys()
    distance = sum(abs(before[x] / len(earlier) - after[x] / len(later)) for x in labels) / 2
    return distance, bound + math.sqrt(len(labels) * spread) / 2


def kolmogorov_smirnov(one: Values, other: Values) -> float:
    """The largest distance between both empirical distributions; empty cells come before all."""
    left, right = Counter(map(number, one)), Counter(map(number, other))
    gap = largest = 0.0
    for value in sorted(left.keys() | right.keys()):
        gap += left[value] / len(one) - right[value] / len(other)
        largest = max(largest, abs(gap))
    return largest


def is_sorted(values: Values) -> bool:
    """Whether numbers go one way from row to row, but for one step in a hundred."""
    steps = [
        before < after for before, after in pairwise(list(map(number, values))) if before != after
    ]
    return bool(steps) and min(steps.count(True), steps.count(False)) <= len(steps) / 100


def is_in_blocks(labels: Values) -> bool:
    """Whether equal labels stand together: far fewer runs than in random order."""
    counts = Counter(labels)
    runs = 1 + sum(bool(before != after) for before, after in pairwise(labels))
    by_chance: float = len(labels) * (
        1 - sum((count / len(labels)) ** 2 for count in counts.values())
    )
    return runs <= min(2 * len(counts), by_chance / 5)


def unseen(
    kinds: Mapping[str, str], columns: Mapping[str, Values], target: str, order: Sequence[int]
) -> list[str]:
    """What the later part has that the earlier never had, a sentence a column."""
    seen = []
    for name, values in columns.items():
        if kinds[name] == "datetime":
            continue
        earlier, later = parts([values[row] for row in order])
        known = set(earlier) - {None}
        if kinds[name] in NUMERIC and known:
            low, high = min(known), max(known)
            new = [x for x in later if x is not None and not low <= x <= high]
            what = f"values beyond {low:g} to {high:g}"
        else:
            new = [x for x in later if x is not None and x not in known]
            what = listed(list(dict.fromkeys(new)))
        share = len(new) / max(len(later), 1)
        if share >= UNSEEN or (new and name == target and kinds[name] not in NUMERIC):
            seen.append(f"{name} has {what} only in the later part ({share:.0%} of its rows)")
    return seen


def is_id(labels: Values) -> bool:
    """Whether labels rather name things or people than what kind of them: few rows for each."""
    counts = Counter(labels)
    del counts[None]
    return len(counts) * MOST_OF_A_THING >= counts.total()


def repeats(name: str, values: Values) -> str | None:
    """The word on a column like an id whose values come back in other rows; None for others."""
    known = [value for value in values if value not in (None, "")]
    distinct = len(set(known))
    if 2 * len(known) < len(values) or not FEWEST_GROUPS <= distinct <= 0.8 * len(known):
        return None
    return (
        f"{name} has {distinct:,} values in {len(known):,} rows; if rows of the same {name} are"
        f" alike, say group:{name}, which keeps them on one side"
    )


def only_later(values: Values) -> list[Any]:
    """The values that stand in the last fifth only."""
    earlier, later = parts(values)
    return [value for value in dict.fromkeys(later) if value not in set(earlier) | {None}]


def parts(values: Values) -> tuple[Values, Values]:
    """The first four fifths and the rest."""
    split = int(PAST_SHARE * len(values))
    return values[:split], values[split:]


def thin(values: Values) -> Values:
    """At most so many values, evenly spread, in their order."""
    return values[:: -(-len(values) // MOST_COMPARED) or 1]


def number(value: float | None) -> float:
    """The number, or one before all others for an empty cell."""
    return -math.inf if value is None else value


def whole(value: Any) -> int | None:
    """The whole number that a cell holds; None where it holds something else."""
    if isinstance(value, str):
        return int(value) if value.isdecimal() and len(value) <= 19 else None
    if isinstance(value, int | float) and not isinstance(value, bool) and value % 1 == 0:
        return int(value)
    return None


def listed(names: Sequence[Any]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(str(name) for name in names[:SHOWN]) + more
