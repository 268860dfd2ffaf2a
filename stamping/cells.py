"""The cells of a column: what kind of value they hold, how it is spelt, which are missing.

A column is looked at as a whole before any cell is converted, and all columns of a file before any
of them is settled: `1,234` is read as the other numbers are, and `11/10/2026` as the other dates.
"""

import re
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from functools import partial
from typing import Protocol

from stamping.moments import Moments
from stamping.numerals import Numbers

KINDS = {
    "float": "a number within ±2^53",
    "int": "a whole number within ±2^53",
    "bool": "true or false (yes or no, 1 or 0)",
    "category": "a text of 1 to 200 characters, none a control character",
    "datetime": "a date, with or without a time of day",
}
"""What a value of each kind is, for people."""

CATEGORY = re.compile(
    r"[^\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    r"\ufeff\ufff9-\ufffb\ud800-\udfff]{1,200}"
)
BOOLS = dict.fromkeys(("true", "yes", "t", "y", "1"), "true")
BOOLS |= dict.fromkeys(("false", "no", "f", "n", "0"), "false")

MISSING = frozenset(("", "na", "n/a", "#n/a", "nan", "null", "none", "-", "?"))
"""What stands for a missing value, in lower case and without spaces around it."""
NEVER_A_CATEGORY = frozenset(("", "n/a", "#n/a", "nan", "null"))
"""What does so among categories.

The others may be categories: `NA` is Namibia, and some gardens have the fence `none`. They stand
for a missing value where the same file has them among numbers, booleans or moments.
"""
REMEMBERED = 20_000
"""Different cells of a column that are looked at once, about."""
USUAL = frozenset(each for mark in MISSING for each in (mark, mark.upper(), mark.title(), "NaN"))


def is_mark(text: str) -> bool:
    """Whether this may stand for a missing value."""
    return text.strip().lower() in MISSING


class Values(Protocol):
    """How the cells of a column are read, none of which is missing."""

    def look(self, texts: Collection[str]) -> set[str]:
        """Look at some more cells; those that are no value of this kind."""

    @property
    def spelling(self) -> str:
        """How they are spelt, as far as all that was looked at tells."""

    @property
    def remarks(self) -> list[str]:
        """What is not plain about them."""

    def plain(self, texts: Collection[str]) -> Sequence[str | None]:
        """The cells as the project holds them; None for what is no value of this kind."""


class Bools:
    """The booleans of a column."""

    spelling = ""
    remarks: list[str] = []  # noqa: RUF012

    def look(self, texts: Collection[str]) -> set[str]:
        """Those that are no booleans."""
        return {text for text in texts if text.strip().lower() not in BOOLS}

    def plain(self, texts: Collection[str]) -> list[str | None]:
        """`true` and `false`; None for a text that is neither."""
        return [BOOLS.get(text.strip().lower()) for text in texts]


class Categories:
    """The categories of a column, which stay as they are but for blanks around them."""

    spelling = ""
    remarks: list[str] = []  # noqa: RUF012

    def look(self, texts: Collection[str]) -> set[str]:
        """Those that are no categories."""
        return {text for text in texts if not CATEGORY.fullmatch(text.strip())}

    def plain(self, texts: Collection[str]) -> list[str | None]:
        """The categories; None for a text that is none."""
        stripped = map(str.strip, texts)
        return [text if CATEGORY.fullmatch(text) else None for text in stripped]


class Column:
    """The cells of one column, taken for values of one kind.

    What the project will take them for, contract/types.py says there; a test holds the two
    together.

    Attributes:
        kind: one of `KINDS`.
        misfits: some of the cells that were looked at and hold no value of this kind.
        marks: what stands for a missing value, as in `MISSING`.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.misfits: set[str] = set()
        self.marks = NEVER_A_CATEGORY if kind == "category" else MISSING
        self._seen: set[str] = set()
        self._seen_marks: set[str] = set()
        self._plain: dict[str, str | None] = {}
        self._plain_spelling: Hashable = None
        self.values = READERS[kind]()

    def look(self, cells: Iterable[str]) -> None:
        """Look at some more cells."""
        texts = set(cells) - self._seen
        if len(self._seen) > REMEMBERED:
            self._seen.clear()
        self._seen |= texts
        marks = self._usual_marks(texts)
        misfits = self.values.look(texts - marks)
        marks |= {text for text in misfits if is_mark(text)}
        self._seen_marks |= {mark.strip() for mark in marks}
        self.misfits |= misfits - marks

    def _usual_marks(self, texts: set[str]) -> set[str]:
        """The marks among these, but for strange spellings of what could be nothing else."""
        if self.kind == "category":
            return {text for text in texts if is_mark(text)}
        return texts & USUAL

    @property
    def missing(self) -> set[str]:
        """The marks of missing values that were seen."""
        return {mark for mark in self._seen_marks if self._is_missing(mark)}

    @property
    def is_ambiguous(self) -> bool:
        """Whether another column of the file could change what the cells mean, once settled."""
        if isinstance(self.values, Numbers):
            return self.values.is_ambiguous
        return not self.marks >= {mark.lower() for mark in self._seen_marks}

    @property
    def spelling(self) -> Hashable:
        """What the plain cells follow from besides the cells themselves."""
        return self.kind, self.values.spelling, self.marks

    @property
    def remarks(self) -> list[str]:
        """What is not plain about the cells."""
        words = sorted(self.missing - {""})
        said = [f"{' and '.join(map(repr, words))} for missing"] if words else []
        return [*self.values.remarks, *said]

    def plain(self, cells: Sequence[str]) -> list[str | None]:
        """The cells as the project holds them: "" for a missing value, None for a misfit."""
        if len(self._plain) > REMEMBERED or self._plain_spelling != self.spelling:
            self._plain.clear()
            self._plain_spelling = self.spelling
        texts = set(cells).difference(self._plain)
        missing = {text for text in self._usual_marks(texts) if self._is_missing(text)}
        rest = list(texts - missing)
        for text, plain in zip(rest, self.values.plain(rest), strict=True):
            is_missing = plain is None and is_mark(text) and self._is_missing(text)
            self._plain[text] = "" if is_missing else plain
        self._plain |= dict.fromkeys(missing, "")
        return list(map(self._plain.__getitem__, cells))

    def meanings(self, texts: Iterable[str]) -> dict[str, str | None]:
        """What each text stands for, as `plain` has it."""
        different = list(texts)
        return dict(zip(different, self.plain(different), strict=True))

    def _is_missing(self, mark: str) -> bool:
        return mark.strip().lower() in self.marks


READERS: dict[str, Callable[[], Values]] = {
    "float": Numbers,
    "int": partial(Numbers, are_whole=True),
    "bool": Bools,
    "category": Categories,
    "datetime": Moments,
}


def settle(columns: Iterable[Column], delimiter: str) -> list[Hashable]:
    """Decide for the columns of a file what only the whole file tells; how each is spelt."""
    columns = list(columns)
    marks = {mark.lower() for each in columns if each.kind != "category" for mark in each.missing}
    numbers = [each.values for each in columns if isinstance(each.values, Numbers)]
    has_decimal_commas = any(each.has_decimal_commas for each in numbers)
    for each in numbers:
        each.settle(has_decimal_commas, delimiter)
    for column in columns:
        if column.kind == "category":
            column.marks = NEVER_A_CATEGORY | marks
    return [column.spelling for column in columns]
