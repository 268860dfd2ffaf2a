"""The history that an answer names: where it is found, and what is rejected."""

import codecs
import csv
import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ANSWERS, TEMPLATE, Stamp, StampFailed, answers_with

from stamping.answers import all_faults, main

DATA = TEMPLATE / "{{cookiecutter.project_slug}}" / "data"
FIELDS = {
    "features": "age:float? visits:int smoker:bool region:category?",
    "target": "outcome:category",
}
HEADER = ["age", "visits", "smoker", "region", "outcome"]


def rows(count: int = 60) -> list[list[str]]:
    """Rows that fit FIELDS."""
    return [
        [f"{20 + n / 2}", str(n), ("true", "false")[n % 2], "nswe"[n % 4], "ab"[n % 2]]
        for n in range(count)
    ]


def to_csv(*parts: list[list[str]]) -> str:
    text = io.StringIO()
    for part in parts:
        csv.writer(text).writerows(part)
    return text.getvalue()


def faults(content: bytes, **answers: str) -> list[str]:
    """What the checks say of a file with this content; the current folder must be a scratch one."""
    Path("history.csv").write_bytes(content)
    answers = ANSWERS | FIELDS | {"history": str(Path.cwd() / "history.csv")} | answers
    return [fault for fault in all_faults(answers) if fault.startswith("history: ")]


def with_cell(column: str, cell: str, row: int = 3) -> str:
    """A file that fits but for one cell; its row is counted from 1, without the header."""
    table = rows()
    table[row - 1][HEADER.index(column)] = cell
    return to_csv([HEADER], table)


@pytest.mark.usefixtures("scratch")
@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("age", "old"),
        ("age", "inf"),
        ("age", "1e999"),
        ("age", "1_000"),
        ("age", "1,5"),
        ("visits", ""),
        ("visits", "1.5"),
        ("visits", "1e999"),
        ("visits", "9007199254740993"),
        ("visits", "9" * 5000),
        ("visits", "٣"),
        ("smoker", "maybe"),
        ("smoker", ""),
        ("region", "r" * 201),
        ("region", "two\nlines"),
        ("region", "bell\a"),
    ],
)
def test_first_cell_that_does_not_fit_is_named(column: str, cell: str) -> None:
    (fault,) = faults(with_cell(column, cell).encode())
    line = 5 if "\n" in cell else 4
    assert f"column '{column}' has" in fault
    assert f"in row 3 (line {line}), not " in fault
    assert fault.endswith("such rows: 1")
    assert len(fault) < 250


@pytest.mark.usefixtures("scratch")
@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty"),
        (codecs.BOM_UTF8 + b"\n", "is empty"),
        (b'"never closed', "is no CSV: unexpected end"),
        (b"PK\x03\x04\xff\xfe\x00", "holds bytes that are no text"),
        (codecs.BOM_UTF16_LE + b"odd", "is no CSV: 'utf-16"),
        (with_cell("region", "nul\0").encode(), "holds bytes that are no text"),
        ((to_csv([HEADER], rows()) + '"never closed').encode(), "is no CSV: unexpected end"),
        (to_csv([HEADER], rows(), [["1", "2"]]).encode(), "has 2 cells in row 61 (line 62), not 5"),
        (to_csv([HEADER[1:]], [row[1:] for row in rows()]).encode(), "has no column 'age'"),
        (
            to_csv([[*HEADER[:4], "Outcome", "OUTCOME"]], [[*r, "1"] for r in rows()]).encode(),
            "has two columns for the target: 'Outcome' and 'OUTCOME'",
        ),
        (
            to_csv([[*HEADER, "outcome"]], [[*r, "1"] for r in rows()]).encode(),
            "has two columns for the target: 'outcome' and 'outcome'",
        ),
        (to_csv([HEADER], rows(49)).encode(), "has 49 rows"),
        (to_csv([HEADER], [[*row[:4], "a"] for row in rows()]).encode(), "one class only, 'a'"),
    ],
)
def test_what_is_no_history_is_rejected(content: bytes, fault: str) -> None:
    assert any(fault in line for line in faults(content)), faults(content)


@pytest.mark.usefixtures("scratch")
def test_one_class_of_a_bool_is_rejected_in_any_spelling() -> None:
    table = [[*row[:4], ("yes", "1", "TRUE")[n % 3]] for n, row in enumerate(rows())]
    (fault,) = faults(to_csv([HEADER], table).encode(), target="outcome:bool")
    assert "one class only, 'true'" in fault


@pytest.mark.usefixtures("scratch")
def test_every_column_tells_its_fault_at_once() -> None:
    table = [["old", "x", "maybe", "n", "a"] for _ in range(60)]
    found = faults(to_csv([HEADER], table).encode(), features=FIELDS["features"] + " gone:int")
    assert "has no column 'gone'" in found[0]
    assert [line for line in found if "such rows: 60" in line] == found[1:4]
    assert "one class only" in found[4]


@pytest.mark.usefixtures("scratch")
@pytest.mark.parametrize(
    "fields",
    [
        {"features": "hour:float day:category"},
        {"target": "wait_seconds:int"},
        {"features": "hour:float day:category distance:float? items:int"},
    ],
)
def test_the_sample_is_for_the_default_fields(fields: dict[str, str]) -> None:
    (fault,) = all_faults(answers_with({"history": "sample"} | fields))
    assert "fits the default features and target only" in fault


def test_the_sample_is_what_it_says(scratch: Path) -> None:
    content = (DATA / "sample.csv").read_bytes()
    provenance = json.loads((DATA / "sample.json").read_text("utf-8"))
    assert hashlib.sha256(content).hexdigest() == provenance["sha256"]
    assert content.count(b"\n") - 1 == provenance["rows"] == 10_012
    answers = {field: ANSWERS[field] for field in ("features", "target")}
    assert faults(content, **answers) == []
    assert (scratch / ".history.csv").read_bytes() == content


DIRTY: dict[str, dict[str, Any]] = {
    "utf-8": {},
    "utf-8-sig": {"delimiter": "\t"},
    "utf-16": {"delimiter": ";"},
    "cp1252": {"delimiter": ";", "lineterminator": "\r"},
    "latin-1": {"delimiter": "|", "quoting": csv.QUOTE_ALL},
}


@pytest.mark.parametrize("encoding", DIRTY)
def test_a_dirty_file_is_staged_as_the_clean_one(scratch: Path, encoding: str) -> None:
    clean = [
        [str(1000 + n), f"{n}.25", ("true", "false")[n % 2], "Köln", f"2026-11-{1 + n % 28:02}"]
        for n in range(60)
    ]
    clean[7][1] = clean[9][3] = ""
    clean[0][3] = "Köln €" if encoding == "cp1252" else "Köln"
    end = "\x81" if encoding == "latin-1" else ""  # which Windows-1252 does not have
    dirty = [
        [f"{int(a):,}".replace(",", "."), b.replace(".", ","), "YN"[c == "false"], d, dotted(e)]
        for a, b, c, d, e in clean
    ]
    dirty[7][1], dirty[9][3] = "NA", "NA"
    text = io.StringIO()
    csv.writer(text, **DIRTY[encoding]).writerows([["A#", "Größe", "c?", "d D", f"E{end}"], *dirty])
    (scratch / "h.csv").write_bytes(text.getvalue().encode(encoding))
    fields = {
        "features": "grosse:float? c:bool d_d:category? e:datetime",
        "target": "a_number:int",
    }
    assert all_faults(answers_with(fields | {"history": str(scratch / "h.csv")})) == []
    staged = (scratch / ".history.csv").read_text("utf-8").splitlines()
    assert staged[0] == "grosse,c,d_d,e,a_number"
    assert staged[1:] == [",".join([b, c, d, e, a]) for a, b, c, d, e in clean]
    facts = json.loads((scratch / ".history.json").read_text("utf-8"))
    assert facts["headers"]["grosse"] == "Größe"
    assert "grosse: decimal commas" in facts["remarks"]
    assert "e: day first" in facts["remarks"]
    told = {"cp1252": "Windows-1252", "latin-1": "Latin-1", "utf-16": "UTF-16"}.get(encoding)
    assert told is None or facts["remarks"][0] == f"encoded in {told}"


def dotted(date: str) -> str:
    """An ISO date as Germans write it."""
    year, month, day = date.split("-")
    return f"{day}.{month}.{year}"


@pytest.mark.usefixtures("scratch")
def test_what_a_row_without_a_target_holds_does_not_matter() -> None:
    lost = [["", "many", "", "x" * 201, ""], ["x", "", "?", "", ""]]
    table = [*rows(30), *lost, *rows(30)]
    assert faults(to_csv([HEADER], table).encode()) == []
    assert Path(".history.csv").read_text("utf-8") == to_csv([HEADER], rows(30), rows(30)).replace(
        "\r\n", "\n"
    )
    table[40][1] = "many"
    (fault,) = faults(to_csv([HEADER], table).encode())
    assert "column 'visits' has 'many' in row 41 (line 42)" in fault
    assert "such rows: 1" in fault


@pytest.mark.usefixtures("scratch")
def test_too_few_rows_with_a_target_are_rejected() -> None:
    table = [[*row[:4], "NA" if n % 2 else row[4]] for n, row in enumerate(rows(99))]
    (fault,) = faults(to_csv([HEADER], table).encode(), target="outcome:float") or [""]
    assert "column 'outcome' has 'a'" in fault
    numbers = [[*row[:4], "NA" if n % 2 else str(n)] for n, row in enumerate(rows(98))]
    (fault,) = faults(to_csv([HEADER], numbers).encode(), target="outcome:float")
    assert "has 49 rows with a target, and 49 without; 50 are the fewest" in fault


@pytest.mark.parametrize(
    ("split", "cells", "placed", "kind"),
    [
        ("time:placed_at", ["27.11.2026 8:15", "28.11.2026"], "2026-11-27T08:15:00", "datetime"),
        ("time:placed_at", ["1,5", "2"], "1.5", "float"),
        ("group:placed_at", ["a, b", "c"], '"a, b"', "category"),
    ],
)
def test_the_column_of_the_split_is_kept(
    stamp: Stamp, tmp_path: Path, split: str, cells: list[str], placed: str, kind: str
) -> None:
    table = [[*row, cells[n % 2]] for n, row in enumerate(rows())]
    (tmp_path / "h.csv").write_text(to_csv([[*HEADER, "Placed At"]], table))
    history = str(tmp_path / "h.csv")
    project = stamp(tmp_path / "out", history=history, split=split, **FIELDS)
    lines = (project / "data" / "history.csv").read_text("utf-8").splitlines()
    assert lines[0] == ",".join([*HEADER, "placed_at"])
    assert lines[1] == ",".join([*table[0][:5], placed])
    readme = (project / "data" / "README.md").read_text("utf-8")
    way = split.partition(":")[0]
    assert f"| `placed_at` | {kind} | split by {way} | `Placed At` |" in readme
    examples = (project / "contract" / "src" / "contract" / "examples.json").read_text("utf-8")
    assert "placed_at" not in examples


@pytest.mark.usefixtures("scratch")
@pytest.mark.parametrize(
    ("split", "cell", "fault"),
    [
        ("time:at", "", "column 'at' has an empty cell in row 3 (line 4)"),
        ("time:at", "soon", "column 'at' has 'soon' in row 3 (line 4), not a number within ±2^53"),
        ("time:when", "1", "has no column 'when'"),
    ],
)
def test_a_split_that_does_not_fit_is_rejected(split: str, cell: str, fault: str) -> None:
    table = [[*row, str(n)] for n, row in enumerate(rows())]
    table[2][5] = cell
    (found,) = faults(to_csv([[*HEADER, "At"]], table).encode(), split=split)
    assert fault in found


@pytest.mark.usefixtures("scratch")
def test_missing_values_and_cells_of_another_kind_are_counted_apart() -> None:
    table = [[*row, "" if n % 3 == 0 else f"C{n}"] for n, row in enumerate(rows())]
    empty, texts = faults(to_csv([[*HEADER, "cust"]], table).encode(), split="time:cust")[::-1]
    kinds = "not a number within ±2^53 or a date, with or without a time of day"
    assert empty.endswith(f"has an empty cell in row 1 (line 2), {kinds}; such rows: 20")
    assert texts.endswith(f"has 'C1' in row 2 (line 3), {kinds}; such rows: 40")


@pytest.mark.usefixtures("scratch")
def test_of_headers_that_become_one_name_the_first_or_the_name_itself_is_taken() -> None:
    table = [["7", *row, "9"] for row in rows()]
    assert faults(to_csv([["Age ", "AGE", *HEADER[1:], "Visits"]], table).encode()) == []
    assert Path(".history.csv").read_text("utf-8").splitlines()[1] == "7,0,true,n,a"
    remarks = json.loads(Path(".history.json").read_text("utf-8"))["remarks"]
    assert remarks == [
        "age: from 'Age ', not from 'AGE'",
        "visits: from 'visits', not from 'Visits'",
    ]


def places(answers: dict[str, Any], pwd: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("PWD", str(pwd))
    faults = all_faults(ANSWERS | FIELDS | answers)
    return [fault for fault in faults if fault.startswith("history")]


def test_a_relative_path_starts_where_the_user_called(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, project = scratch / "here", scratch / "elsewhere" / "deep" / "project"
    here.mkdir()
    project.mkdir(parents=True)
    monkeypatch.chdir(project)
    (here / "h.csv").write_text(to_csv([HEADER], rows()))
    answers = {"history": "h.csv", "_output_dir": str(project.parent)}

    assert places(answers, here, monkeypatch) == []
    # A caller without a shell: PWD is stale, and the output folder lies where it called.
    assert "there is no file 'h.csv'" in places(answers, scratch, monkeypatch)[0]
    assert places(answers | {"_output_dir": str(here)}, scratch, monkeypatch) == []
    assert places(answers | {"_output_dir": str(here / "out")}, scratch, monkeypatch) == []
    # Two candidates are one too many.
    (project.parent / "h.csv").write_text(to_csv([HEADER], rows()))
    assert "more than one file" in places(answers, here, monkeypatch)[0]
    whole = str(here / "h.csv")
    assert places(answers | {"history": whole}, here, monkeypatch) == []


def test_cookiecutter_as_a_library_takes_a_relative_path(stamp: Stamp, tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text(to_csv([HEADER], rows()))
    config = tmp_path / "config.yaml"
    config.write_text(f"cookiecutters_dir: {tmp_path}\nreplay_dir: {tmp_path}\n")
    answers = FIELDS | {"history": "h.csv"}
    code = (
        "from cookiecutter.main import cookiecutter; cookiecutter("
        f"{str(TEMPLATE)!r}, no_input=True, config_file='config.yaml', extra_context={answers!r})"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "order-wait-times" / "data" / "history.csv").is_file()


def test_a_rejected_history_leaves_nothing(stamp: Stamp, tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text(with_cell("visits", "x"))
    with pytest.raises(StampFailed, match=r"'h\.csv' column 'visits' has 'x' in row 3 \(line 4\)"):
        stamp(tmp_path, history="h.csv", **FIELDS)
    assert [path.name for path in tmp_path.iterdir()] == ["h.csv"]


@pytest.mark.usefixtures("scratch")
def test_a_rejected_history_is_not_left_in_a_project_that_was_there() -> None:
    Path("mine.csv").write_text(with_cell("visits", "x"))
    answers = ANSWERS | FIELDS | {"history": str(Path.cwd() / "mine.csv")}
    with pytest.raises(SystemExit, match="Nothing is stamped out"):
        main(answers)
    assert [path.name for path in Path.cwd().iterdir()] == ["mine.csv"]


@pytest.mark.usefixtures("scratch")
@pytest.mark.parametrize(
    "path", ["", "h" * 5000, "~nobody-here/h.csv", ".", "/dev/null", "two\nlines"]
)
def test_what_is_no_file_is_said_in_one_line(path: str) -> None:
    answers = ANSWERS | {"history": path, "_output_dir": str(Path.cwd())}
    (fault,) = all_faults(answers)
    assert fault.startswith("history: there is no file")
    assert "\n" not in fault


@pytest.mark.usefixtures("scratch")
def test_a_target_whose_header_is_its_name_goes_before_others() -> None:
    table = [[*row, "1"] for row in rows()]
    assert faults(to_csv([[*HEADER, "OUTCOME"]], table).encode()) == []
