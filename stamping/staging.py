"""The history that an answer names: found, checked, and staged as the project will hold it."""

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path

from stamping.cells import KINDS, Column, is_mark, settle
from stamping.fields import Field, features_of, field_of, split_column
from stamping.names import by_name, short
from stamping.reading import Source, look

STAGED = Path(".history.csv")
FACTS = Path(".history.json")
"""What the project says of the history besides: see `Facts`."""
FEWEST_ROWS = 50
SPLIT_KINDS = ("float", "datetime", "category")
"""The kinds of a column that is there for the split alone: the first that fits is taken."""


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
        path = found.pop()
        fields = [*features_of(answers), field_of(answers["target"])]
        fields = [each for each in fields if each.kind in KINDS]
        try:
            table = Table(look(path), fields, split_column(answers))
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
    """A CSV file of which the declared columns are staged; the last of these is the target."""

    def __init__(self, source: Source, fields: list[Field], split: str) -> None:
        self._source, self._fields = source, fields
        self._split = split if split not in {each.name for each in fields} else ""
        self._names = [*(each.name for each in fields), *filter(None, [self._split])]
        self._places = by_name(source.header)
        self._facts = Facts(remarks=source.remarks)

    def stage(self) -> Iterator[str]:
        """Stage it in two passes; its faults, if it has any."""
        faults = list(self._header_faults())
        yield from faults
        self._names = [name for name in self._names if name in self._places]
        columns = self._look()
        self._remark(columns)
        yield from self._write(columns)
        self._facts.write()

    def _header_faults(self) -> Iterator[str]:
        for name in self._names:
            places = self._places.get(name, [])
            headers = [short(self._source.header[place]) for place in places]
            if not places:
                header = ",".join(self._source.header)
                yield f"has no column {short(name)} in its header {short(header)}"
            elif name == self._fields[-1].name and len(places) > 1 and name != headers[0]:
                yield f"has two columns for the target: {' and '.join(headers)}; rename one"

    def _look(self) -> dict[str, Column]:
        """The first pass: how the cells of each column are spelt."""
        kinds = {each.name: [each.kind] for each in self._fields}
        tries = {
            name: [Column(kind) for kind in kinds.get(name, SPLIT_KINDS)] for name in self._names
        }
        for chunk in self._source.chunks():
            for name, columns in tries.items():
                for column in columns:
                    column.look(chunk[self._places[name][0]])
        columns = {
            name: next((each for each in some if not each.misfits), some[-1])
            for name, some in tries.items()
        }
        settle(columns.values(), self._source.delimiter)
        return columns

    def _remark(self, columns: dict[str, Column]) -> None:
        facts, header = self._facts, self._source.header
        for name, column in columns.items():
            places = self._places[name]
            facts.headers[name] = header[places[0]]
            remarks = list(column.remarks)
            if len(places) > 1:
                others = ", ".join(short(header[place]) for place in places[1:])
                remarks.append(f"from {short(header[places[0]])}, not from {others}")
            facts.remarks += [f"{name}: {remark}" for remark in remarks]
        if self._split:
            facts.split_kind = columns[self._split].kind

    def _write(self, columns: dict[str, Column]) -> Iterator[str]:
        """The second pass: the rows as the project will hold them."""
        target = self._fields[-1]
        may_miss = {each.name for each in self._fields if each.optional} | {target.name}
        misfits: dict[str, Misfits] = {}
        classes: set[str | None] = set()
        start = 0
        with STAGED.open("w", encoding="utf-8", newline="") as file:
            file.write(",".join(columns) + "\n")
            for chunk in self._source.chunks():
                texts = {name: chunk[self._places[name][0]] for name in columns}
                plain = {name: column.plain(texts[name]) for name, column in columns.items()}
                known = [cell != "" for cell in plain.get(target.name, ())]
                for name, cells in plain.items():
                    wrong = {None} if name in may_miss else {None, ""}
                    if not wrong.isdisjoint(cells):
                        found = [cell in wrong for cell in cells]
                        misfits.setdefault(name, Misfits()).add(start, texts[name], found)
                if not misfits:
                    lines = map(",".join, zip(*map(quoted, plain.values()), strict=True))
                    kept = lines if all(known) else compress(lines, known)
                    file.writelines(f"{line}\n" for line in kept)
                if target.kind in ("bool", "category"):
                    classes.update(plain.get(target.name, ()))
                self._facts.without_target += known.count(False)
                start += len(chunk[0])
        self._facts.rows = start - self._facts.without_target
        yield from self._table_faults(classes - {None, ""})
        for name, each in misfits.items():
            yield self._fault(name, columns[name].kind, each)

    def _table_faults(self, classes: set[str | None]) -> Iterator[str]:
        if self._facts.rows < FEWEST_ROWS:
            lost = self._facts.without_target
            unless = f" whose target is known, and {lost} without" if lost else ""
            yield (
                f"has {self._facts.rows} rows{unless}; {FEWEST_ROWS} are the fewest to train on"
            )
        if len(classes) == 1:
            target = short(self._fields[-1].name)
            yield f"has one class only, {short(str(*classes))}, in the target {target}"

    def _fault(self, name: str, kind: str, misfits: "Misfits") -> str:
        found = short(misfits.text)
        if is_mark(misfits.text):
            found = "an empty cell" if not misfits.text.strip() else f"{found}, which is missing,"
            found += " (every row has to be placed)" * (name == self._split)
            found += " (declare it with ? if it may be)" * (name != self._split)
        where = f"row {misfits.row + 1} (line {self._source.line_of(misfits.row)})"
        return (
            f"column {short(name)} has {found} in {where}, not {KINDS[kind]}; such rows:"
            f" {misfits.count}"
        )


class Misfits:
    """The cells of a column that hold no value of its kind: the first, and how many there are."""

    def __init__(self) -> None:
        self.row, self.text, self.count = 0, "", 0

    def add(self, start: int, texts: Sequence[str], found: list[bool]) -> None:
        """Count those of some more rows, which come after the first `start`."""
        if not self.count:
            at = found.index(True)
            self.row, self.text = start + at, texts[at]
        self.count += sum(found)


def quoted(cells: Collection[str | None]) -> Collection[str | None]:
    """The cells as a CSV has them."""
    special = {cell for cell in set(cells) if cell and ("," in cell or '"' in cell)}
    if not special:
        return cells
    texts = {cell: '"' + str(cell).replace('"', '""') + '"' for cell in special}
    return [texts.get(cell, cell) for cell in cells]
