"""What a CSV holds: each column's name and kind, and why it is left out where it is.

`describe` finds it out; `stamping/describe.py` prints it with the command that fits.
"""

import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from stamping.cells import Column, settle
from stamping.fields import Field
from stamping.guesses import SPELT, Guess
from stamping.names import by_name, name_of, short
from stamping.numerals import WHOLE
from stamping.reading import Source, look
from stamping.reasons import reason_against, strays_of
from stamping.staging import FEWEST_ROWS

WHOLE_AS_FLOAT = re.compile(r"[+-]?[0-9]{1,15}\.0*", re.ASCII)
"""How pandas writes a whole number of a column in which others are missing: 2.0."""


class Unfit(Exception):
    """Why a file cannot be described, in one line."""


@dataclass(frozen=True)
class Described:
    """What was found out about one column.

    Attributes:
        header: as it stands in the file.
        place: where it stands there, from 0 on.
        name: what the header becomes.
        kind: float, int, bool, category or datetime; empty where it is none of these.
        optional: whether a value is missing in any row that has a target.
        reason: why it is left out; empty where it is not.
        remarks: what else is worth knowing: missing values, spellings, classes.
        column: reads its cells; also of a column that is left out.
    """

    header: str
    place: int
    name: str
    kind: str = ""
    optional: bool = False
    reason: str = ""
    remarks: tuple[str, ...] = ()
    column: Column = field(default_factory=partial(Column, "category"))

    @property
    def field(self) -> Field:
        """As it is declared."""
        return Field(self.name, self.kind, self.optional)


@dataclass(frozen=True)
class Description:
    """What a CSV holds.

    Attributes:
        columns: all of them, in the order of the file, the target among them.
        rows: how many have a target.
        without_target: how many have none, and will be left out.
    """

    source: Source
    columns: list[Described]
    target: Described
    rows: int
    without_target: int

    @property
    def features(self) -> list[Described]:
        """The columns that become features."""
        return [each for each in self.columns if each != self.target and not each.reason]

    def answers(self) -> dict[str, str]:
        """The answers that fit."""
        return {
            "features": " ".join(str(each.field) for each in self.features),
            "target": str(self.target.field),
            "history": str(self.source.path),
        }

    def chunks(self, columns: Sequence[Described], step: int = 1) -> Iterator[dict[str, list[str]]]:
        """The cells of these columns as the project will hold them, some rows at a time.

        Rows without a target are left out. A missing value is "", and so is a cell that is none of
        the column's kind.

        Args:
            columns: each with a kind.
            step: every how many rows one is taken.
        """
        rows = itertools.count()
        for chunk in self.source.chunks():
            targets = _plain(self.target, chunk)
            taken = [bool(target) and next(rows) % step == 0 for target in targets]
            some = [list(itertools.compress(cells, taken)) for cells in chunk]
            yield {each.name: _plain(each, some) for each in columns}


def describe(path: Path, target: str) -> Description:
    """What a CSV holds, if this column is to be predicted from the others.

    Args:
        target: its header, or the name that this becomes.

    Raises:
        Unfit: nothing can be predicted from it, and why.
    """
    try:
        source = look(path)
        place = _place_of(source.header, target)
        whole = _count(source)
        lost = _missing(_guess(whole[place]), whole[place])
        for _ in range(2):  # once settled, more of the targets may be missing
            counts = _count(source, place, lost) if lost else whole
            columns = _described(source, whole, counts, place)
            found, before = columns[place], lost
            if found.reason:
                raise Unfit(f"the target {short(found.header)} will not do: {found.reason}")
            lost = _missing(found.column, whole[place])
            if lost == before:
                break
    except ValueError as error:
        raise Unfit(f"{path.name} {error}") from error
    missing = sum(map(whole[place].__getitem__, lost))
    rows = whole[place].total() - missing
    if rows < FEWEST_ROWS:
        raise Unfit(f"{path.name} has {rows} rows with a target; {FEWEST_ROWS} are the fewest")
    description = Description(source, columns, found, rows, missing)
    if not description.features:
        reasons = "; ".join(
            f"{short(each.header)}: {each.reason}" for each in columns if each.reason
        )
        raise Unfit(f"{path.name} has no column left to be a feature: {reasons}")
    return description


def _place_of(header: Sequence[str], target: str) -> int:
    """Where the target stands."""
    places = by_name(header)
    found = [place for place, each in enumerate(header) if each == target]
    name = name_of(target)
    found = found or places.get(name, [])
    if not found:
        raise Unfit(f"there is no column {short(target)}, only {', '.join(map(short, header))}")
    if len(places[name]) > 1 and (header.count(name) != 1 or header[found[0]] != name):
        both = " and ".join(short(header[place]) for place in places[name][:2])
        raise Unfit(f"the target could be either of {both}, which become {name}; rename one")
    return found[0]


def _count(source: Source, target: int = 0, lost: Collection[str] = ()) -> list[Counter[str]]:
    """How often each text stands in each column, but for the rows with one of these targets."""
    counts: list[Counter[str]] = [Counter() for _ in source.header]
    for chunk in source.chunks():
        known = [text not in lost for text in chunk[target]] if lost else None
        for cells, count in zip(chunk, counts, strict=True):
            count.update(itertools.compress(cells, known) if known else cells)
    return counts


def _guess(texts: Collection[str]) -> Column | None:
    guess = Guess()
    guess.look(texts)
    return guess.column


def _missing(column: Column | None, texts: Iterable[str]) -> set[str]:
    """The texts that stand for a missing value."""
    plain = column.meanings(texts) if column else {}
    return {text for text in plain if plain[text] == ""}


def _described(
    source: Source, whole: Sequence[Counter[str]], counts: Sequence[Counter[str]], target: int
) -> list[Described]:
    """What was found out about all columns.

    Args:
        whole: the cells of all rows, by which the staging decides how the file spells things.
        counts: those of the rows with a target.
    """
    header, delimiter = source.header, source.delimiter
    guesses = [_guess(count) for count in counts]
    settle(filter(None, guesses), delimiter)
    guesses = [
        guess and _refined(guess, count) for guess, count in zip(guesses, counts, strict=True)
    ]
    settle(filter(None, guesses), delimiter)
    places = by_name(header)
    columns = []
    for place, (text, count, column) in enumerate(zip(header, counts, guesses, strict=True)):
        name = name_of(text)
        reason = reason_against(column, count, is_target=place == target)
        if (taken := places[name][0]) != place:
            reason = f"it becomes {name}, as {short(header[taken])} does, which is taken"
        elif name == f"expected_{name_of(header[target])}":
            reason = "that is the name of the prediction itself"
        kind = column.kind if column else ""
        described = Described(text, place, name, kind, reason=reason)
        columns.append(replace(described, column=column) if column else described)
    _settle_as_staged(columns, whole, delimiter)
    columns = [_remarked(each, counts[each.place]) for each in columns]
    columns[target] = replace(columns[target], optional=False)
    return columns


def _settle_as_staged(
    columns: Iterable[Described], whole: Sequence[Counter[str]], delimiter: str
) -> None:
    """Decide how the file spells things as the staging does, whichever columns are declared."""
    features, evidence = [], []
    for each in columns:
        texts = whole[each.place]
        if not each.reason:
            each.column.look(texts)
            features.append(each.column)
        if each.reason or each.kind == "category":
            guess = Guess(SPELT)
            guess.look(texts)
            evidence += [guess.column] if guess.column else []
    settle([*features, *evidence], delimiter)


def _refined(column: Column, count: Counter[str]) -> Column | None:
    """Numbers that are all whole as ints; texts that are none of the kind after all as texts."""
    kind = column.kind
    if kind == "float":
        meanings = column.meanings(count)
        plain = {text if it is None else it for text, it in meanings.items() if it != ""}
        if all(WHOLE.fullmatch(text) or WHOLE_AS_FLOAT.fullmatch(text) for text in plain):
            kind = "int"  # beyond 2^53 too: they are ids
        elif None in meanings.values():
            kind = "category"
    if kind == column.kind:
        return column
    refined = Column(kind)
    refined.look(count)
    return None if refined.misfits else refined


def _remarked(described: Described, count: Counter[str]) -> Described:
    """With what else is worth knowing."""
    if not described.kind:
        return described
    column = described.column
    known = [text for text, plain in column.meanings(count).items() if plain != ""]
    missing = count.total() - sum(map(count.__getitem__, known))
    remarks = [f"{missing} missing"] if missing else []
    values = {text.strip() for text in known}
    if described.kind in ("bool", "category"):
        shown = ", ".join(sorted(values)[:8])
        remarks.append(f"{len(values)} values: {shown}{', ...' if len(values) > 8 else ''}")
    elif described.kind == "int" and len(values) <= 10:
        remarks.append(f"only {len(values)} values; if they are names of classes, say category")
    if described.kind == "category" and (strays := strays_of(count)):
        remarks.append(strays)
    remarks += column.remarks
    return replace(described, optional=missing > 0, remarks=tuple(remarks))


def _plain(described: Described, chunk: Sequence[Sequence[str]]) -> list[str]:
    return [cell or "" for cell in described.column.plain(chunk[described.place])]
