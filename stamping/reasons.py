"""Why a column is left out: it is always the same, an id, or free text."""

from collections import Counter
from collections.abc import Iterable

from stamping.cells import Column, settle
from stamping.names import short

MOST_NUMBERS = 0.99
"""Share of whole numbers that differ from all others, from which on they are ids."""
MOST_TEXTS = 0.8
"""Share of texts that differ from all others, from which on they are ids or free text."""
MOST_STRAYS = 0.1
"""Share of cells that are no numbers, up to which the others show that numbers were meant."""
UNIX_TIMES = {
    unit: range(631_152_000 * factor, 4_102_444_800 * factor)
    for unit, factor in (("seconds", 1), ("milliseconds", 1000))
}
"""The moments from 1990 to 2099 as whole numbers."""

NO_KIND = "free text: longer than 200 characters, or with line breaks"


def reason_against(column: Column | None, count: Counter[str], is_target: bool) -> str:
    """Why a column is left out; empty where it is not."""
    if not column:
        return strays_of(count) or NO_KIND
    plain = {text: value for text, value in column.meanings(count).items() if value != ""}
    total = sum(map(count.__getitem__, plain))
    different = len(set(plain.values()))
    if column.kind == "int" and None in plain.values():
        return "whole numbers beyond 2^53, like ids"
    if different < 2:
        return f"always {short(next(iter(plain)))}" if plain else "always missing"
    has_decimals = any("." in text for text in plain.keys() - plain.values())
    is_every_row = different >= MOST_NUMBERS * total and not is_target
    if column.kind == "int" and is_every_row and not has_decimals:
        moments = _unix_times(plain.values())
        return f"another whole number in nearly every row, like an id{moments}"
    if column.kind == "category" and different > MOST_TEXTS * total:
        return strays_of(count) or "another text in nearly every row, like an id or free text"
    if column.kind == "datetime" and is_target:
        return "moments; predict how long it is until then"
    return ""


def strays_of(count: Counter[str]) -> str:
    """How few cells are no numbers where nearly all others are; empty where they are not."""
    numbers = Column("float")
    numbers.look(count)
    settle([numbers], ",")
    plain = numbers.meanings(count)
    strays = [text for text in count if plain[text] is None]
    total = sum(count[text] for text in plain if plain[text] != "")
    few = sum(map(count.__getitem__, strays))
    if not 0 < few <= MOST_STRAYS * total:
        return ""
    return f"{few} of {total} cells are no numbers, such as {short(strays[0])}"


def _unix_times(numbers: Iterable[str | None]) -> str:
    """The words on whole numbers that could be moments; empty for others."""
    values = [int(number or 0) for number in numbers]
    for unit, moments in UNIX_TIMES.items():
        if min(values) in moments and max(values) in moments:
            return f" (or {unit} since 1970; write them as dates)"
    return ""
