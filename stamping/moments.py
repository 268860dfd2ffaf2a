"""Moments of a column as they are spelt, and the same moments in ISO 8601."""

import re
from collections.abc import Collection
from datetime import datetime

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
MONTH = r"(?P<word>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
CLOCK = r"""
    (?: (?: t | ,?\s+ ) (?P<hour>\d{1,2}) : (?P<minute>\d{2})
        (?: : (?P<second>\d{2}) (?: [.,] (?P<fraction>\d{1,9}) )? )?
        (?: \s? (?P<half>[ap]) \.? m \.? )?
        (?: \s? (?P<zone> z | utc | gmt | [+-]\d{2} (?: :?\d{2} )? ) )? )?
"""
FORMS = [
    re.compile(rf"\s*(?:[a-z]{{3,9}},?\s+)?{date}{CLOCK}\s*", re.VERBOSE | re.IGNORECASE | re.ASCII)
    for date in (
        r"(?P<year>\d{4}) (?P<mark>[-/.]) (?P<month>\d{1,2}) (?P=mark) (?P<day>\d{1,2})",
        r"(?P<first>\d{1,2}) (?P<mark>[-/.]) (?P<other>\d{1,2}) (?P=mark) (?P<year>\d{4}|\d{2})",
        rf"(?P<day>\d{{1,2}}) (?:[-/\s]|\.\s?) {MONTH} [-/\s,] \s? (?P<year>\d{{4}}|\d{{2}})",
        rf"{MONTH} \s? (?P<day>\d{{1,2}}) ,? \s (?P<year>\d{{4}})",
    )
]
SHORT_YEARS = "two-digit years taken as 1969 to 2068"  # as POSIX has it
PLAIN = re.compile(
    r"(?!000[01]|9999)[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?Z?)?",
    re.ASCII,
)


class Moments:
    """The moments of a column; what comes first, day or month, most that were looked at decide."""

    def __init__(self) -> None:
        self._orders = ["day first", "month first"]
        self._mark = ""
        self._has_short_years = False

    def look(self, texts: Collection[str]) -> set[str]:
        """Look at some more cells; those that are no moments."""
        if _are_iso(texts):
            return set()
        fits = {order: {text for text in texts if moment(text, order)} for order in self._orders}
        most = max(map(len, fits.values()))
        self._orders = [order for order in self._orders if len(fits[order]) == most]
        found = fits[self._orders[0]]
        forms = [each for form in FORMS[1:3] for each in map(form.fullmatch, found) if each]
        self._has_short_years |= any(len(each["year"]) == 2 for each in forms)
        marks = {mark for each in forms if (mark := each.groupdict().get("mark"))}
        self._mark = "/" if "/" in marks else self._mark or max(marks, default="")
        return set(texts) - found

    @property
    def spelling(self) -> str:
        """What comes first; where both fit, the month before a slash and else the day."""
        return self._orders[-1 if self._mark == "/" else 0]

    @property
    def remarks(self) -> list[str]:
        """What was decided."""
        unsure = ", though the other fits too" if len(self._orders) > 1 else ""
        order = [f"{self.spelling}{unsure}"] if self._mark else []
        return [*order, SHORT_YEARS] if self._has_short_years else order

    def plain(self, texts: Collection[str]) -> list[str | None]:
        """The moments in ISO 8601, with their offset if they have one; None for what is none."""
        if _are_iso(texts):
            return [text.replace(" ", "T", 1) for text in texts]
        return [moment(text, self.spelling) for text in texts]


def moment(text: str, order: str) -> str | None:
    """One moment in ISO 8601, with its offset if it has one; None for a text that is none."""
    found = next(filter(None, (form.fullmatch(text) for form in FORMS)), None)
    if found is None:
        return None
    part = found.groupdict()
    day, month = part.get("day"), part.get("month")
    if "first" in part:
        day, month = part["first"], part["other"]
        if order == "month first":
            day, month = month, day
    if "word" in part:
        month = str(MONTHS.index(part["word"].lower()) + 1)
    year, hour = int(part["year"]), int(part["hour"] or 0)
    if len(part["year"]) == 2:
        year += 2000 if year < 69 else 1900
    if not 2 <= year <= 9998:
        return None  # with an offset it could be before or after all that Python can hold
    if part["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (part["half"].lower() == "p")
    date = f"{year:04}-{int(month or 0):02}-{int(day or 0):02}"
    clock = f"T{hour:02}:{part['minute']}:{part['second'] or '00'}" if part["hour"] else ""
    if part["fraction"]:
        clock += f".{part['fraction'][:6]:<06}".rstrip("0").rstrip(".")
    zone = part["zone"] or ""
    if zone:
        digits = zone[1:].replace(":", "")
        zone = f"{zone[0]}{digits[:2]}:{digits[2:] or '00'}" if zone[0] in "+-" else "Z"
    try:
        datetime.fromisoformat(date + clock + zone)
    except ValueError:
        return None
    return date + clock + zone


def _are_iso(texts: Collection[str]) -> bool:
    """Whether all are ISO 8601 already, without an offset but Z; a space may replace the T."""
    if not all(map(PLAIN.fullmatch, texts)):
        return False
    try:
        for text in texts:
            datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
