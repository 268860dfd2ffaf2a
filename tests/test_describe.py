"""`make describe`: what it makes of a CSV is taken by the checks of the answers."""

import csv
import shlex
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import ANSWERS, TEMPLATE, Stamp, answers_with
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stamping.answers import all_faults
from stamping.describe import command, findings, lines, path_of
from stamping.description import Unfit, describe
from stamping.values import values_of

SAMPLE = TEMPLATE / "{{cookiecutter.project_slug}}" / "data" / "sample.csv"
ROWS = 60

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(name=cells, …)`: the path of a CSV with these columns, and the target `late`."""

    def run(**columns: list[str]) -> str:
        columns = {
            "late": ["yes", "no"] * (ROWS // 2),
            "good": ["1.5", "2"] * (ROWS // 2),
            **columns,
        }
        path = tmp_path / "a history.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
        return str(path)

    return run


def described(path: str, target: str) -> tuple[list[str], list[str]]:
    """What `make describe` prints: its lines, and the words of the command."""
    found = describe(path_of(path), target)
    split, remarks = findings(values_of(found))
    return [*lines(found), *remarks], shlex.split(command(found, split))


def cells(*values: object) -> list[str]:
    """A column that goes through these values again and again."""
    return [str(values[number % len(values)]) for number in range(ROWS)]


@pytest.mark.parametrize(
    ("column", "field"),
    [
        (cells(1.5, 2, "-3e2"), "x:float"),
        (cells(1.5, 2, ""), "x:float?"),
        (cells(3, 2, " 1"), "x:int"),
        (cells("3e0", 2, 1), "x:float"),
        (cells(3, 2, ""), "x:int?"),
        (cells("1.0", "2.0", ""), "x:int?"),
        (cells("1.0", "2.5", ""), "x:float?"),
        ([f"{number}.0" for number in range(ROWS)], "x:int"),
        (cells(0, 1), "x:bool"),
        (cells("True", "FALSE", ""), "x:bool?"),
        (cells("yes", "true"), "x:category"),
        (cells("Mon", "Tue", "Wed"), "x:category"),
        (cells("a", ""), None),
        (cells("a", "b", ""), "x:category?"),
        (cells("01", "02", " 007"), "x:category"),
        (cells("1,5", "2"), "x:float"),
        (cells("1,234", "2"), "x:int"),
        (cells("1 234,5", "2"), "x:float"),
        (cells("1", "2", "NA"), "x:int?"),
        (cells("Y", "n", "?"), "x:bool?"),
        ([f"2024-{1 + n % 12:02}-{1 + n % 28:02}" for n in range(ROWS)], "x:datetime"),
        (cells("2024-05-01 10:00:00", "2024-05-02T11:00Z"), "x:datetime"),
        (cells("31/12/2024", "1.2.24", ""), "x:datetime?"),
        (cells("5 January 2024", "Jan 6, 2024"), "x:datetime"),
        (cells("10:15", "9:30"), "x:category"),
        ([f"note {n % 40}" for n in range(ROWS)], "x:category"),
        (cells("Köln", 'the "Süd"', "🚀, too"), "x:category"),
        (cells("NA", "EU"), "x:category"),
        ([f"{number}.5" for number in range(ROWS)], "x:float"),
    ],
)
def test_the_type_follows_the_cells(write: Write, column: list[str], field: str | None) -> None:
    _, words = described(write(x=column), "late")
    features = f"features=good:float {field}" if field else "features=good:float"
    assert features in words


def test_blanks_around_a_category_are_no_part_of_it(write: Write) -> None:
    remarks, _ = described(write(x=cells("a", " a", "b ")), "late")
    assert "x:category (2 values: a, b)" in remarks


def test_numbers_that_a_stray_cell_makes_a_category_are_told(write: Write) -> None:
    remarks, _ = described(write(x=["abc", *cells(1.5, 2, 3, "")[1:]]), "late")
    (remark,) = [line for line in remarks if line.startswith("x:category?")]
    assert "1 of 45 cells are no numbers, such as 'abc'" in remark


@pytest.mark.parametrize(
    ("name", "column", "reason"),
    [
        ("x", [str(1000 + n) for n in range(ROWS)], "another whole number in nearly every row"),
        ("x", [f"A{n}" for n in range(ROWS)], "another text in nearly every row"),
        ("x", [f"note {n % 50}" for n in range(ROWS)], "like an id or free text"),
        (
            "x",
            ["abc", *[f"{n}.5" for n in range(1, ROWS)]],
            "1 of 60 cells are no numbers, such as",
        ),
        ("x", ["a" * 201, *[f"{n}.5" for n in range(1, ROWS)]], "1 of 60 cells are no numbers"),
        ("x", [*"abcdefg", *[f"{n}.5" for n in range(7, ROWS)]], "like an id or free text"),
        ("x", [str(1_700_000_000 + 60 * n) for n in range(ROWS)], "(or seconds since 1970; write"),
        ("x", [str(1_700_000_000_000 + n) for n in range(ROWS)], "(or milliseconds since 1970"),
        ("x", cells("a" * 201, "b"), "free text"),
        ("x", cells("two\nlines", "b"), "free text"),
        ("x", cells("same"), "always 'same'"),
        ("x", cells(""), "always missing"),
        ("x", cells("12345678901234567890", "12345678901234567891"), "beyond 2^53"),
        ("Good", cells(1, 2, 3), "it becomes good, as 'good' does"),
        ("expected_late", cells(1, 2, 3), "the name of the prediction itself"),
    ],
)
def test_what_is_no_feature_is_left_out_and_said(
    write: Write, name: str, column: list[str], reason: str
) -> None:
    remarks, words = described(write(**{name: column}), "late")
    assert "features=good:float" in words
    (remark,) = [line for line in remarks if "left out" in line]
    assert remark.startswith(repr(name))
    assert reason in remark


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("Wait Time", "wait_time:int"),
        ("waitTime", "wait_time:int"),
        ("Größe (m²)", "grosse_m2:int"),
        ("", "unnamed:int"),
        ("% paid", "percent_paid:int"),
        ("id", "id_:int"),
        ("user", "user:int"),
        ("model_config", "model_config_:int"),
    ],
)
def test_a_header_becomes_a_name(write: Write, header: str, field: str) -> None:
    remarks, words = described(write(**{header: cells(1, 2, 3)}), "late")
    assert f"features=good:float {field}" in words
    (remark,) = [line for line in remarks if line.startswith(field)]
    assert (repr(header) in remark) == (field != "user:int")


def test_of_a_name_that_stands_twice_the_first_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "h.csv"
    path.write_text("X,x!,x!,good,late\n" + "1,2,5,1.5,yes\n3,4,6,2.5,no\n5,6,7,1.5,no\n" * 20)
    remarks, words = described(str(path), "late")
    assert "features=x:int good:float" in words
    assert sum("left out, it becomes x, as 'X' does" in line for line in remarks) == 2


@pytest.mark.parametrize(
    ("columns", "target", "fault"),
    [
        ({}, "gone", "no column 'gone', only 'late', 'good'"),
        ({"late": ["NA"] * 11 + cells("yes", "no")[:49]}, "late", "49 rows with a target"),
        ({"late": cells("yes")}, "late", "always 'yes'"),
        ({"late": [f"A{n}" for n in range(ROWS)]}, "late", "another text in nearly every row"),
        ({"Late": cells(1, 2)}, "Late", "could be either of 'late' and 'Late'"),
        ({"a b": cells(1, 2, 3), "A.b": cells(1, 2, 3)}, "a b", "either of 'a b' and 'A.b'"),
        ({"late": cells("2024-01-01", "2024-01-02")}, "late", "predict how long it is until then"),
        ({"good": cells(1)}, "late", "no column left to be a feature"),
    ],
)
def test_what_cannot_be_described_is_said_in_one_line(
    write: Write, columns: dict[str, list[str]], target: str, fault: str
) -> None:
    with pytest.raises(Unfit) as unfit:
        described(write(**columns), target)
    assert fault in str(unfit.value)
    assert "\n" not in str(unfit.value)


def test_of_what_is_left_out_the_target_is_no_part(write: Write) -> None:
    with pytest.raises(Unfit) as unfit:
        described(write(good=cells(1)), "late")
    assert str(unfit.value).endswith("no column left to be a feature: 'good': always '1'")


def test_a_target_that_is_no_number_after_all_keeps_its_rows(write: Write) -> None:
    remarks, words = described(write(late=cells("0", "1", "1e999")), "late")
    assert "target=late:category" in words
    assert remarks[0] == "a history.csv: 60 rows"


def accepted(path: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **answers: str) -> list[str]:
    """The rows of a history as they are staged with these answers."""
    monkeypatch.chdir(folder)
    assert all_faults(answers_with({"history": path} | answers)) == []
    return (folder / ".history.csv").read_text("utf-8").splitlines()


@pytest.mark.parametrize("row", [0, ROWS - 1])  # with a target and without
def test_rows_whose_target_is_missing_as_in_other_columns_are_left_out(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: int
) -> None:
    sex = ["female", "male", "male"] * 18 + ["NA"] * 6
    mass = cells("3750.5", "3800", "3250.5")
    mass[row] = "NA"
    path = write(sex=sex, mass=mass)
    remarks, words = described(path, "sex")
    assert remarks[0] == "a history.csv: 54 rows, 6 without a target left out"
    assert "sex:category (2 values: female, male; 'NA' for missing)" in remarks
    assert "target=sex:category" in words
    answers = dict(word.split("=", 1) for word in words[4:])
    assert len(accepted(path, tmp_path, monkeypatch, **answers)) == 1 + 54


@pytest.mark.parametrize(
    ("column", "other", "fields", "staged"),
    [
        (cells("3,751", "2,5"), cells("3,23", "1,5"), "x:float y:float", "3.751"),
        (cells("3,751", "2,112"), cells("3,23", "1,5"), "x:float y:float", "3.751"),
        (cells("3.751", "2.112"), cells("3,23", "1,5"), "x:int y:float", "3751"),
        (cells("NA", "EU", "US"), cells("NA", "1.5", "2"), "x:category? y:float?", ""),
        (cells("?", "EU", "US"), cells("Y", "n", "?"), "x:category? y:bool?", ""),
        (
            cells("NA", "EU", "US"),
            cells("NA", "2024-05-01", "2024-05-02"),
            "x:category? y:datetime?",
            "",
        ),
        (cells("NA", "EU", "US"), cells("NA", "007", "0815"), "x:category y:category", "NA"),
    ],
)
def test_what_a_cell_means_does_not_hang_on_which_columns_are_declared(
    write: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    column: list[str],
    other: list[str],
    fields: str,
    staged: str,
) -> None:
    path = write(x=column, y=other)
    _, words = described(path, "late")
    features = next(word for word in words if word.startswith("features="))
    assert features == f"features=good:float {fields}"
    for declared in (fields, fields.split(maxsplit=1)[0]):
        lines = accepted(path, tmp_path, monkeypatch, features=declared, target="late:bool")
        assert lines[1].split(",")[0] == staged


def test_a_target_means_the_same_as_a_number_and_as_a_class(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(x=["NA", "NA", *cells("1", "2", "3")[2:]])
    for kind in ("int", "category"):
        target = f"x:{kind}"
        lines = accepted(path, tmp_path, monkeypatch, features="good:float", target=target)
        assert len(lines) == 1 + 58


def test_order_and_leaks_are_told(write: Write, tmp_path: Path) -> None:
    path = write(x=["a"] * 30 + ["b"] * 30, good=["2.5", "1"] * 30)
    done = subprocess.run(
        [sys.executable, "-m", "stamping.describe", path, "late"],
        cwd=TEMPLATE,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert "\nsplit=shuffled\n  the rows are sorted by x\n" in done.stdout
    assert (
        "\nWARNING: good alone predicts the target almost perfectly (accuracy 1.000)" in done.stdout
    )
    assert shlex.split(done.stdout.splitlines()[-1])[-1] == "split=shuffled"


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("h.csv", b"a,b\n1,2\n", "always '2'"),
        ("h.csv", b"a,b\n1,2\n2,3\n", "has 2 rows"),
        ("h.csv", b"a,b\n1\n", "has 1 cells in row 1 (line 2), not 2"),
        ("h.csv", b"\xff\xfe\x00", "is no CSV: "),
        ("h.csv", None, "cannot be read: No such file"),
        ("{{ h }}.csv", b"a,b\n", "Jinja"),
    ],
)
def test_a_bad_file_ends_with_one_line(
    tmp_path: Path, name: str, content: bytes | None, fault: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    words = [sys.executable, "-m", "stamping.describe", str(tmp_path / name), "b"]
    result = subprocess.run(words, cwd=TEMPLATE, capture_output=True, encoding="utf-8")
    assert result.returncode == 1
    assert result.stdout == ""
    assert fault in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_numeric_target_may_differ_in_every_row(write: Write) -> None:
    _, words = described(write(late=[str(number) for number in range(ROWS)]), "late")
    assert "target=late:int" in words


def test_the_sample_is_described_as_its_default_answers(tmp_path: Path) -> None:
    copy = tmp_path / "sample.csv"
    copy.write_bytes(SAMPLE.read_bytes())
    _, words = described(str(copy), "wait_seconds")
    assert words[4:6] == [f"{answer}={ANSWERS[answer]}" for answer in ("features", "target")]


def test_the_command_can_be_pasted(stamp: Stamp, write: Write, tmp_path: Path) -> None:
    remarks, words = described(write(region=cells("it's", "b", "")), "late")
    assert "region:category? (20 missing; 2 values: b, it's)" in remarks
    answers = dict(word.split("=", 1) for word in words[4:])
    project = stamp(tmp_path / "out", **answers)
    header = (project / "data" / "history.csv").read_text("utf-8").splitlines()[0]
    assert header == "good,region,late"


TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
CELL = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.booleans().map(str),
    st.sampled_from(["", "NA", "yes", "0", "1", "007", "2024-01-01", " ", "1e999", "1_0", "a,b"]),
    st.sampled_from(
        ["1,5", "1.234", "1,234.5", "1 000", "none", "?", "11/10/2026", "27.11.26 8:15"]
    ),
    TEXT,
)


@st.composite
def tables(draw: st.DrawFn) -> dict[str, list[str]]:
    """Columns of any name, each of a few values or of many."""
    names = draw(
        st.lists(TEXT | st.from_regex(r"[a-z]{1,6}", fullmatch=True), max_size=5, unique=True)
    )
    pools = [
        draw(st.lists(CELL, min_size=1, max_size=draw(st.sampled_from([2, 4, 60])))) for _ in names
    ]
    return dict(zip(names, (cells(*pool) for pool in pools), strict=True))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(tables())
def test_whatever_is_described_is_accepted(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: dict[str, list[str]]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(**columns)
    for target in (*list(columns)[:1], "late"):
        with suppress(Unfit):
            _, words = described(path, target)
            answers = dict(word.split("=", 1) for word in words[4:])
            assert all_faults(answers_with(answers)) == []
