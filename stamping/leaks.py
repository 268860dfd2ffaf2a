"""Features that alone predict the target almost perfectly, and so may be made from it."""

import bisect
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NUMERIC = ("float", "int", "datetime")
MOST_ROWS = 4_000  # evenly spread
NEIGHBOURS = 5
LEAKING = 0.98  # R², or accuracy
LEAKING_SKILL = 0.9  # the share of the errors of the most frequent class that is avoided

Values = Sequence[Any]
"""A column: numbers (a moment as seconds), or texts and booleans; None where a cell is empty."""
Pairs = list[tuple[Any, Any]]
"""Values of a feature with their outcomes."""


@dataclass(frozen=True)
class Leak:
    """A feature that is too good, with its R² or accuracy on rows that were not learnt from."""

    feature: str
    metric: str
    value: float

    def __str__(self) -> str:
        """A sentence for people."""
        return (
            f"{self.feature} alone predicts the target almost perfectly"
            f" ({self.metric} {self.value:.3f}): is it made from it, or known only afterwards?"
        )


def find_leaks(kinds: Mapping[str, str], columns: Mapping[str, Values], target: str) -> list[Leak]:
    """The features that alone reach what plain good features do not, in their order.

    Args:
        kinds: of the features and of the target: float, int, bool, category or datetime.
        columns: the same names, without the rows whose target is empty.
    """
    step = -(-len(columns[target]) // MOST_ROWS) or 1
    truth = columns[target][::step]
    judge = r2 if kinds[target] in NUMERIC else accuracy
    leaks = []
    for name, values in columns.items():
        if name != target and len(truth) >= 2 * NEIGHBOURS:
            metric = judge(values[::step], kinds[name] in NUMERIC, truth)
            if metric >= LEAKING:
                leaks.append(Leak(name, "R²" if judge is r2 else "accuracy", metric))
    return leaks


def r2(values: Values, numeric: bool, truth: Values) -> float:
    """The share of the variance of a numeric target that one feature explains."""
    compared = held_out(values, numeric, truth, line if numeric else average)
    mean = mean_of(truth)
    total = sum_of_squares(value - mean for value in truth)
    return 1 - sum_of_squares(value - guess for value, guess in compared) / total if total else 0.0


def accuracy(values: Values, numeric: bool, truth: Values) -> float:
    """The share of the rows whose class one feature tells; 0 where a constant is about as good."""
    compared = held_out(values, numeric, truth, commonest)
    errors = 1 - mean_of([value == guess for value, guess in compared])
    by_constant = 1 - max(Counter(truth).values()) / len(truth)
    return 1 - errors if errors <= (1 - LEAKING_SKILL) * by_constant else 0.0


def held_out(
    values: Values, numeric: bool, truth: Values, guess: Callable[[Pairs, Any], Any]
) -> Pairs:
    """Each outcome with the guess for it, learnt on half of the rows for the others, and back.

    A guess comes from the rows with the same label, or with the nearest numbers, five at least; and
    from all rows where there are not as many.
    """
    rows = list(zip(values, truth, strict=True))
    random.Random(0).shuffle(rows)  # noqa: S311 - no secret; rows may come in pairs
    compared = []
    for learnt, asked in ((rows[::2], rows[1::2]), (rows[1::2], rows[::2])):
        groups: dict[Any, Pairs] = defaultdict(list)
        for value, outcome in learnt:
            groups[value].append((value, outcome))
        known = sorted(value for value in groups if value is not None) if numeric else []
        everything = [(None, outcome) for _, outcome in learnt]
        guesses = {}
        for value in {value for value, _ in asked}:
            is_number = numeric and value is not None
            similar = nearest(value, known, groups) if is_number else groups.get(value, [])
            enough = len(similar) >= NEIGHBOURS
            guesses[value] = guess(similar if enough else everything, value)
        compared += [(outcome, guesses[value]) for value, outcome in asked]
    return compared


def nearest(value: float, known: list[float], groups: Mapping[Any, Pairs]) -> Pairs:
    """The rows whose numbers are nearest, at least five if there are, equal ones together."""
    above = bisect.bisect_left(known, value)
    below = above - 1
    similar: Pairs = []
    while len(similar) < NEIGHBOURS and (below >= 0 or above < len(known)):
        if below < 0 or (above < len(known) and known[above] - value < value - known[below]):
            similar += groups[known[above]]
            above += 1
        else:
            similar += groups[known[below]]
            below -= 1
    return similar


def average(similar: Pairs, value: Any) -> float:
    """The mean outcome."""
    return mean_of([outcome for _, outcome in similar])


def commonest(similar: Pairs, value: Any) -> Any:
    """The most frequent outcome."""
    return Counter(outcome for _, outcome in similar).most_common(1)[0][0]


def line(similar: Pairs, value: float | None) -> float:
    """The outcome at this value of the least squares line; the mean where there is no line."""
    numbers = [number for number, _ in similar]
    middle = mean_of([outcome for _, outcome in similar])
    if value is None or None in numbers:
        return middle
    center: float = sum(numbers) / len(numbers)
    spread = sum_of_squares(number - center for number in numbers)
    if not spread:
        return middle
    covariation: float = sum((number - center) * (outcome - middle) for number, outcome in similar)
    return middle + covariation / spread * (value - center)


def mean_of(values: Sequence[float]) -> float:
    """By addition, which overflows to infinity where `statistics` would raise."""
    return sum(values) / len(values)


def sum_of_squares(differences: Iterable[float]) -> float:
    """By multiplication, which overflows to infinity where ** would raise."""
    return sum(each * each for each in differences)
