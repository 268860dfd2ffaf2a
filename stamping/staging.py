"""The history that an answer names: found, checked, and staged as the project will hold it."""

import json
import os
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import TextIO, cast

from stamping.cells import KINDS, Column, settle
from stamping.fields import Field, features_of, field_of
from stamping.guesses import SPELT, Guess
from stamping.names import by_name, short
from stamping.reading import Source, look

STAGED = Path(".history.csv")
FACTS = Path(".history.json")
"""What the project says of the history besides: see `Facts`."""
FEWEST_ROWS = 50
Texts = Mapping[str, Sequence[str]]
"""The cells of some rows, by the name of their column."""
SPLIT_KINDS = {"time": ["float", "datetime"], "group": ["category"]}
"""The kinds of a column that is there for a split alone: the first that fits is taken."""


@dataclass
class Facts:
    """What was found out about a history.

    Attributes:
        rows: those that are kept.
        without_target: rows left out, since their target is missing.
        headers: what the file calls each column.
        remarks: what is not plain about the file.
        split_kind: the kind of the column that is there for the split alone.
    """

    rows: int = 0
    without_target: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    split_kind: str = ""

    def write(self) -> None:
        """Stage them."""
        FACTS.write_text(json.dumps(vars(self)), "utf-8")

    @classmethod
    def take(cls) -> "Facts":
        """What was staged, which is then gone; nothing where no history was."""
        if not FACTS.exists():
            return cls()
        facts = cls(**json.loads(FACTS.read_text("utf-8")))
        FACTS.unlink()
        return facts


def remove() -> None:
    """Leave nothing staged."""
    STAGED.unlink(missing_ok=True)
    FACTS.unlink(missing_ok=True)


def stage(answers: Mapping[str, str]) -> Iterator[str]:
    """Stage the history; its faults, if it has any."""
    history = answers["history"]
    found = {path.resolve() for path in places(answers) if os.path.isfile(path)}
    if not found:
        looked = ", ".join(str(path.parent) for path in places(answers))
        yield f"there is no file {short(history)} (looked in {looked})"
    elif len(found) > 1:
        yield f"{short(history)} is more than one file; write its whole path"
    else:
        path, target = found.pop(), field_of(answers["target"])
        if target.kind not in KINDS:
            return
        fields = [*(each for each in features_of(answers) if each.kind in KINDS), target]
        try:
            table = Table(look(path), fields, answers["split"])
            yield from (f"{short(path.name)} {fault}" for fault in table.stage())
        except ValueError as error:
            yield f"{short(path.name)} {error}"


def places(answers: Mapping[str, str]) -> list[Path]:
    """Where the path of a history may lead.

    A relative path starts where the user called. Hooks run elsewhere, so it is the shell's PWD. For
    calls without a shell, from another folder than PWD, the output folder (by default the caller's
    own) and its parent are tried as well.
    """
    path = Path(os.path.expanduser(answers["history"]))
    called, output = Path(os.environ.get("PWD", "")), Path(answers["_output_dir"])
    return list(dict.fromkeys(base / path for base in (called, output, output.parent)))


class Table:
    """A CSV file of which the declared columns are staged; the last of these is the target.

    How the cells are spelt is known for sure at the end of the file. It is staged as it is looked
    at, and once more if the end tells otherwise than the beginning. Where the declared columns
    leave it open, the others tell: what a cell means must not hang on which are declared.
    """

    def __init__(self, source: Source, fields: list[Field], split: str) -> None:
        self._source, self._target = source, fields[-1]
        self._places = by_name(source.header)
        self._kinds: dict[str, Sequence[str]] = {each.name: [each.kind] for each in fields}
        way, _, name = split.partition(":")
        self._split = "" if name in self._kinds else name
        if self._split:
            self._kinds[name] = SPLIT_KINDS.get(way, ["category"])
        self._others: list[Column] | None = None
        self._may_miss = {each.name for each in fields if each.optional} | {self._target.name}

    def stage(self) -> Iterator[str]:
        """Stage it, if it has no faults; its faults."""
        yield from self._header_faults()
        tries = {
            name: [Column(kind) for kind in kinds]
            for name, kinds in self._kinds.items()
            if name in self._places
        }
        rows = self._look(tries)
        columns, _ = self._settled(tries)
        if rows is None:
            rows = Rows(self._target.name, self._may_miss)
            with STAGED.open("w", encoding="utf-8", newline="") as file:
                for texts in self._chunks(columns):
                    rows.write(columns, texts, file)
        yield from self._row_faults(rows, columns)
        self._facts(rows, columns).write()

    def _header_faults(self) -> Iterator[str]:
        for name in self._kinds:
            places = self._places.get(name, [])
            headers = [self._source.header[place] for place in places]
            if not places:
                header = ",".join(self._source.header)
                yield f"has no column {short(name)} in its header {short(header)}"
            elif name == self._target.name and len(places) > 1 and headers.count(name) != 1:
                both = " and ".join(map(short, headers[:2]))
                yield f"has two columns for the target: {both}; rename one"

    def _chunks(self, names: Iterable[str]) -> Iterator[Texts]:
        for chunk in self._source.chunks():
            yield {name: chunk[self._places[name][0]] for name in names}

    def _look(self, tries: dict[str, list[Column]]) -> "Rows | None":
        """Look at all cells, and stage them; None if they are to be staged again."""
        rows: Rows | None = Rows(self._target.name, self._may_miss)
        before: list[Hashable] = []
        with STAGED.open("w", encoding="utf-8", newline="") as file:
            for texts in self._chunks(tries):
                for name, columns in tries.items():
                    for column in columns:
                        column.look(texts[name])
                if rows:
                    settled_columns, spelling = self._settled(tries)
                    rows = rows if spelling == (before or spelling) else None
                    before = spelling
                if rows:
                    rows.write(settled_columns, texts, file)
        return rows

    def _settled(self, tries: dict[str, list[Column]]) -> tuple[dict[str, Column], list[Hashable]]:
        """Of what was tried for each column, what fits best; and how they are spelt."""
        columns = {
            name: min(some, key=lambda column: len(column.misfits)) for name, some in tries.items()
        }
        spelling = settle([*columns.values(), *(self._others or [])], self._source.delimiter)
        if self._others is None and any(column.is_ambiguous for column in columns.values()):
            self._others = self._look_at_others(columns)
            return self._settled(tries)
        return columns, spelling[: len(columns)]

    def _look_at_others(self, columns: dict[str, Column]) -> list[Column]:
        """Those columns that may show how the file spells things, but are not declared so."""
        declared = {
            self._places[name][0] for name, column in columns.items() if column.kind != "category"
        }
        guesses = {
            place: Guess(SPELT)
            for place in range(len(self._source.header))
            if place not in declared
        }
        for chunk in self._source.chunks():
            for place, guess in guesses.items():
                guess.look(chunk[place])
        return [column for guess in guesses.values() if (column := guess.column)]

    def _row_faults(self, rows: "Rows", columns: dict[str, Column]) -> Iterator[str]:
        for (name, is_missing), misfits in rows.misfits.items():
            found = short(misfits.text)
            if is_missing:
                found = "an empty cell" if not misfits.text.strip() else f"{found} (is missing)"
                found += "" if name == self._split else " (declare it with ? if it may be)"
            line = self._source.line_of(misfits.row)
            kinds = " or ".join(KINDS[kind] for kind in self._kinds[name])
            yield (
                f"column {short(name)} has {found} in row {misfits.row + 1} (line {line}), not"
                f" {kinds}; such rows: {misfits.count}"
            )
        if rows.kept < FEWEST_ROWS:
            lost = f" with a target, and {rows.lost} without" if rows.lost else ""
            yield f"has {rows.kept} rows{lost}; {FEWEST_ROWS} are the fewest to train on"
        if self._target.kind in ("bool", "category") and len(rows.classes) == 1:
            target = short(self._target.name)
            yield f"has one class only, {short(*rows.classes)}, in the target {target}"

    def _facts(self, rows: "Rows", columns: dict[str, Column]) -> Facts:
        header = self._source.header
        facts = Facts(rows.kept, rows.lost, remarks=self._source.remarks)
        for name, column in columns.items():
            first, *others = (header[place] for place in self._places[name])
            facts.headers[name] = first
            facts.remarks += [f"{name}: {remark}" for remark in column.remarks]
            if others:
                twins = ", ".join(map(short, others))
                facts.remarks.append(f"{name}: from {short(first)}, not from {twins}")
        if self._split in columns:
            facts.split_kind = columns[self._split].kind
        return facts


class Rows:
    """The rows as they are staged.

    Attributes:
        kept: how many rows have a target.
        lost: how many have none, and are left out.
        classes: the different targets, without missing ones and misfits.
        misfits: of each column that has any, missing values apart from cells of another kind.
    """

    def __init__(self, target: str, may_miss: set[str]) -> None:
        self.kept = self.lost = 0
        self.classes: set[str] = set()
        self.misfits: dict[tuple[str, bool], Misfits] = {}
        self._target, self._may_miss = target, may_miss

    def write(self, columns: dict[str, Column], texts: Texts, file: TextIO) -> None:
        """Write some more rows to a file, unless any row so far has a misfit."""
        start = self.kept + self.lost
        plain = {name: column.plain(texts[name]) for name, column in columns.items()}
        targets = plain.get(self._target, [])
        different = set(targets)
        for name, cells in plain.items():
            for wrong in (None,) if name in self._may_miss else (None, ""):
                if wrong not in cells:
                    continue
                found = [cell == wrong for cell in cells]
                if "" in different:  # rows without a target are left out, whatever they hold
                    found = [each and to != "" for each, to in zip(found, targets, strict=True)]
                if any(found):
                    misfits = self.misfits.setdefault((name, wrong == ""), Misfits())
                    misfits.add(start, texts[name], found)
        rows: Iterable[tuple[str, ...]] = zip(*map(quoted, plain.values()), strict=True)
        if "" in different:
            rows = compress(rows, targets)
        self.lost += targets.count("")
        self.kept += len(targets) - targets.count("")
        if len(self.classes) < 2:
            self.classes |= {cell for cell in different if cell}
        if not self.misfits:
            if not start:
                file.write(",".join(columns) + "\n")
            file.write("".join([f"{','.join(row)}\n" for row in rows]))


class Misfits:
    """Cells of a column that do not do: the first, and how many there are."""

    def __init__(self) -> None:
        self.row, self.text, self.count = 0, "", 0

    def add(self, start: int, texts: Sequence[str], found: list[bool]) -> None:
        """Count those of some more rows, which come after the first `start`."""
        if not self.count:
            at = found.index(True)
            self.row, self.text = start + at, texts[at]
        self.count += sum(found)


def quoted(cells: Collection[str | None]) -> Collection[str]:
    """The cells as a CSV has them."""
    special = {cell for cell in set(cells) if cell and ("," in cell or '"' in cell)}
    if special:
        texts = {cell: '"' + cell.replace('"', '""') + '"' for cell in special}
        return [texts.get(cell or "", cell or "") for cell in cells]
    return cast(Collection[str], cells)
