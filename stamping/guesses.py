"""The kind of a column that nobody has declared."""

import re
from collections.abc import Collection, Iterable

from stamping.cells import Column, is_mark

KINDS_IN_ORDER = ("bool", "float", "datetime", "category")
SPELT = ("bool", "float", "datetime")
"""The kinds that show how a file spells its numbers and its missing values."""
CODE = re.compile(r"\s*[+-]?0[0-9]+\s*", re.ASCII)
"""A number that is none, but a code: 007."""


class Guess:
    """The first kind that fits all cells of a column, of which more and more are looked at."""

    def __init__(self, kinds: Iterable[str] = KINDS_IN_ORDER) -> None:
        self._tries = [Column(kind) for kind in kinds]
        self._bools: set[str | None] = set()

    def look(self, cells: Collection[str]) -> None:
        """Look at some more cells."""
        for column in self._tries:
            column.look(cells)
        self._tries = [column for column in self._tries if self._fits(column, cells)]

    def _fits(self, column: Column, cells: Collection[str]) -> bool:
        if column.misfits:
            return False
        if column.kind == "bool":
            self._bools.update(column.values.plain({text for text in cells if not is_mark(text)}))
        return column.kind != "float" or not any(map(CODE.fullmatch, cells))

    @property
    def column(self) -> Column | None:
        """The cells as those of that kind; None where none fits."""
        both = {"true", "false"}
        fitting = (each for each in self._tries if each.kind != "bool" or self._bools == both)
        return next(fitting, None)
