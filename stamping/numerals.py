"""Numbers of a column as they are spelt, and the same numbers with a decimal point alone."""

import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

EXACT = 2**53
"""Numbers go up to here; whole ones are exact in every JSON reader."""
NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*", re.ASCII)
WHOLE = re.compile(r"\s*[+-]?[0-9]{1,40}\s*", re.ASCII)
SPACES = " \t\n\r\f\v"
DIGITS = frozenset("0123456789+-")
PLAIN = DIGITS | frozenset(".eE")


@dataclass(frozen=True)
class Style:
    """One way to spell numbers.

    Attributes:
        mark: before the decimals.
        group: between thousands: any of these characters, if they are there at all.
        remark: what people call it.
    """

    mark: str
    group: str
    remark: str

    def plain(self, text: str) -> str | None:
        """The number with a decimal point alone; None where it is not spelt so."""
        text = text.strip(SPACES)
        if self.group:
            whole, mark, decimals = text.partition(self.mark)
            if re.fullmatch(rf"[+-]?[1-9][0-9]{{0,2}}([{self.group}][0-9]{{3}})+", whole):
                text = re.sub(f"[{self.group}]", "", whole) + mark + decimals
        if self.mark != ".":
            text = text.replace(".", "x").replace(self.mark, ".")
        return text if NUMBER.fullmatch(text) else None


POINT = Style(".", "", "")
COMMA = Style(",", "", "decimal commas")
COMMA_POINTS = Style(",", ".", "decimal commas, points between thousands")
POINT_COMMAS = Style(".", ",", "commas between thousands")
STYLES = (
    POINT,
    POINT_COMMAS,
    COMMA,
    COMMA_POINTS,
    Style(".", " \u00a0\u202f", "spaces between thousands"),
    Style(",", " \u00a0\u202f", "decimal commas, spaces between thousands"),
    Style(".", "'\u2019", "apostrophes between thousands"),
    Style(",", "'\u2019", "decimal commas, apostrophes between thousands"),
)


class Numbers:
    """The numbers of a column, in the styles that fit most cells that were looked at.

    Attributes:
        style: how they are spelt, once `settle` has decided it.
    """

    style = POINT

    def __init__(self, are_whole: bool = False) -> None:
        self._plain = _ints if are_whole else _floats
        self._left = list(STYLES)
        self._has_points = self._has_commas = False

    def look(self, texts: Collection[str]) -> set[str]:
        """Look at some more cells; those that are no numbers."""
        characters = set().union(*texts)
        self._has_commas = self._has_commas or "," in characters
        if characters <= PLAIN and _are_within(texts):
            self._has_points = self._has_points or "." in characters
            if not self._has_points or all(style.mark == "." for style in self._left):
                return set()  # every style that is left reads them so
        self._has_points = self._has_points or "." in characters
        fits = {style: {text for text in texts if style.plain(text)} for style in self._left}
        most = max(map(len, fits.values()))
        self._left = [style for style in self._left if len(fits[style]) == most]
        return set(texts) - fits[self._left[0]]

    @property
    def is_ambiguous(self) -> bool:
        """Whether the rest of the file decides what the cells mean."""
        has_marks = self._has_points or self._has_commas
        return has_marks and len({style.mark for style in self._left}) > 1

    @property
    def has_decimal_commas(self) -> bool:
        """Whether the cells cannot be read otherwise."""
        return all(style.mark == "," for style in self._left)

    def settle(self, has_decimal_commas: bool, delimiter: str) -> None:
        """Decide the style; for `1,234` and `1.234` the rest of the file decides.

        Args:
            has_decimal_commas: whether other columns of the file have them.
            delimiter: semicolons go with decimal commas.
        """
        order: tuple[Style, ...] = STYLES
        if self._has_points and has_decimal_commas:
            order = (COMMA_POINTS, *STYLES)
        elif has_decimal_commas or delimiter == ";":
            order = (POINT, COMMA, *STYLES)
        self.style = next(style for style in order if style in self._left)

    @property
    def spelling(self) -> str:
        """How they are spelt."""
        return self.style.remark

    @property
    def remarks(self) -> list[str]:
        """What is not plain about them."""
        return [self.style.remark] if self.style.remark else []

    def plain(self, texts: Collection[str]) -> list[str | None]:
        """The numbers with a decimal point alone; None for a text that is none."""
        return self._plain(texts, self.style)


def _floats(texts: Collection[str], style: Style) -> list[str | None]:
    if style is POINT and set().union(*texts) <= PLAIN and _are_within(texts):
        return list(texts)
    plain = map(style.plain, texts)
    return [text if text and abs(float(text)) < EXACT else None for text in plain]


def _ints(texts: Collection[str], style: Style) -> list[str | None]:
    if set().union(*texts) <= DIGITS and max(map(len, texts), default=0) < 16:
        with suppress(ValueError):  # a sign where none belongs
            return list(map(str, map(int, texts)))
    return [_whole(style.plain(text)) for text in texts]


def _whole(text: str | None) -> str | None:
    if text is None:
        return None
    number = int(text) if WHOLE.fullmatch(text) else float(text)
    return str(int(number)) if abs(number) <= EXACT and number % 1 == 0 else None


def _are_within(texts: Collection[str]) -> bool:
    try:
        return all(abs(float(text)) < EXACT for text in texts)
    except ValueError:
        return False
