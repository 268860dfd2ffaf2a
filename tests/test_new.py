"""`make new`: from a table to a project that has answered; asked questions, and what goes wrong."""

import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from conftest import TEMPLATE, answers_with
from hypothesis import given
from hypothesis import strategies as st

from stamping import new, values
from stamping.answers import all_faults, entity_faults
from stamping.defaults import entity_of, project_name_of, singular
from stamping.description import describe
from stamping.jinja import plural
from stamping.new import answers_for, run
from stamping.questions import ask_names, by_default, by_prompt

ROWS = 120
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(name, column=cells, …)`: a CSV of this name; by default wines with their quality."""

    def run(stem: str = "wines", **columns: list[Any]) -> Path:
        dice = random.Random(2)
        strength = [round(dice.uniform(8, 14), 1) for _ in range(ROWS)]
        table = {
            "X": list(range(1, ROWS + 1)),
            "Alcohol %": strength,
            "colour": [dice.choice(["red", "white", "rosé"]) for _ in range(ROWS)],
            "Quality": [int(each / 2 + dice.random()) for each in strength],
            **columns,
        }
        path = tmp_path / f"{stem}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(table)
            writer.writerows(zip(*table.values(), strict=True))
        return path

    return run


def asked(**known: str) -> Callable[[str, str, Any], str]:
    """Answers the question in which a key stands; all others by their default."""

    def ask(question: str, default: str, faults: Callable[[str], Iterable[str]]) -> str:
        answer = next((known[key] for key in known if key in question), default)
        assert list(faults(answer)) == []
        return answer

    return ask


def command(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """The command, as make calls it."""
    return subprocess.run(
        [sys.executable, "-m", "stamping.new", *map(str, arguments)],
        cwd=TEMPLATE,
        capture_output=True,
        encoding="utf-8",
        check=False,
        **options,
    )


@pytest.mark.parametrize(
    ("stem", "name", "entity"),
    [
        ("flights", "Flights", "flight"),
        ("flights50k", "Flights50k", "flight"),
        ("penguins_raw", "Penguins Raw", "penguin"),
        ("TitanicSurvival", "Titanic Survival", "titanic_survival"),
        ("Größen 2024", "Grossen 2024", "grossen"),
        ("iris", "Iris", "iris"),
        ("house-prices.train", "House Prices Train", "house_price"),
        ("predictions", "Predictions", "case"),
        ("data", "Data", "case"),
        ("2024-05-01", "X2024 05 01", "case"),
        ("class", "Class", "case"),
    ],
)
def test_names_follow_the_file(stem: str, name: str, entity: str) -> None:
    assert project_name_of(stem) == name
    assert entity_of(stem) == entity


@pytest.mark.parametrize(
    "word",
    ["order", "biopsy", "box", "day", "dish", "batch", "loss", "status", "sales_person", "child"],
)
def test_the_singular_is_what_has_the_plural(word: str) -> None:
    assert singular(word) == word
    assert singular(plural(word)) == word


@given(st.text(max_size=60))
def test_whatever_the_file_is_called_the_defaults_will_do(stem: str) -> None:
    answers = ask_names(stem, asked())
    assert list(entity_faults(answers["entity"], plural(answers["entity"]))) == []


def test_a_table_gets_answers_that_are_accepted(
    write: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write()
    answers = answers_for(path, "Quality", by_default)
    assert answers == {
        "project_name": "Wines",
        "project_slug": "wines",
        "entity": "wine",
        "team": "wines",
        "features": "alcohol_percent:float colour:category",
        "target": "quality:int",
        "history": str(path),
        "split": "order",
    }
    monkeypatch.chdir(tmp_path)
    rest = {"__plural": "wines", "__timezone": "UTC", "_output_dir": str(tmp_path)}
    assert all_faults(answers_with(rest | answers)) == []
    said = capsys.readouterr().out
    assert "'X': left out, another whole number" in said
    assert "split=order" in said
    assert "WARNING" not in said


def test_order_and_leaks_are_told(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    days = [f"2026-{1 + row // 28:02}-{1 + row % 28:02}" for row in range(ROWS)]
    quality = [row % 7 + random.Random(row).random() for row in range(ROWS)]
    copy = [f"{each * 100:.1f}" for each in quality]
    path = write(day=days, Quality=quality, points=copy)
    assert answers_for(path, "Quality", by_default)["split"] == "time:day"
    said = capsys.readouterr().out
    assert "the rows are sorted along day" in said
    assert re.search(r"WARNING: points alone predicts .*R² (1\.000|0\.99\d)", said)


def test_what_is_asked_is_done(write: Write) -> None:
    path = write(customer=[f"C{row % 40}" for row in range(ROWS)])
    answers = answers_for(
        path,
        "Quality",
        asked(
            kind="",
            **{"number, or the name of a class": "class", "leave out": "colour, Alcohol %"},
            Split="group:customer",
            Name="Good Wine",
            row="bottle",
            Team="cellar",
        ),
    )
    assert answers["target"] == "quality:category"
    assert answers["features"] == "customer:category"
    assert answers["split"] == "group:customer"
    assert [answers[each] for each in ("project_name", "project_slug", "entity", "team")] == [
        "Good Wine",
        "good-wine",
        "bottle",
        "cellar",
    ]


def test_a_wrong_answer_is_asked_again(write: Write) -> None:
    code = [f"A{row}" if row else "" for row in range(ROWS)]
    path = write(at=["", *["2026-05-01", "2026-05-02"] * 59, ""], code=code)
    typed = {
        "red": "number or class",  # of the kind
        "number": "",
        "bouquet": "no feature is called bouquet",
        "colour, at, Alcohol %": "one feature has to stay",
        "none": "",
        "random": "'random' is none of order, shuffled",
        "group:cellar": "there is no column cellar",
        "time:colour": "which has no order in time",
        "time:Quality": "'quality' is the target",
        "time:at": "'at' may be missing, and every row has to be placed",
        "group:code": "code is missing in some rows, and every row has to be placed",
        "time:X": "",
        "🍷": "neither a letter",
        "w" * 41: "longer than 40",
        "Wine": "",
        "Wine Bottle": "not snake_case",
        "prediction": "taken by",
        "bottle": "",
        '"': "neither a letter",
        "cellar": "",
    }
    ask = click.command()(lambda: click.echo(json.dumps(answers_for(path, "Quality", by_prompt))))
    result = CliRunner().invoke(ask, input="".join(f"{line}\n" for line in typed))
    assert result.exit_code == 0, result.output
    for fault in filter(None, typed.values()):
        assert fault in result.output
    answers = json.loads(result.stdout.splitlines()[-1])
    assert (answers["target"], answers["split"]) == ("quality:int", "time:x")
    assert (answers["entity"], answers["team"]) == ("bottle", "cellar")


def test_classes_that_pandas_has_written_as_floats_are_asked_about(write: Write) -> None:
    path = write(Quality=["", *[f"{row % 3}.0" for row in range(ROWS - 1)]])
    known = {"number, or the name of a class": "class"}
    assert answers_for(path, "Quality", asked(**known))["target"] == "quality:category"


def test_values_are_typed_and_thinned(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(
        Quality=["", *[f"{row}.5" for row in range(ROWS - 1)]],
        at=["2026-05-01", *["2026-05-02T12:00:00Z"] * (ROWS - 2), "2026-05-03"],
        late=["", *["yes", "no"] * 59, "yes"],
    )
    table = values.values_of(describe(path, "Quality"))
    assert table.kinds == {
        "alcohol_percent": "float",
        "colour": "category",
        "quality": "float",
        "late": "bool",
        "at": "datetime",
    }
    assert table.columns["quality"] == [row + 0.5 for row in range(ROWS - 1)]
    assert table.columns["late"][:2] == [True, False]
    assert table.columns["at"][-2:] == [1777723200.0, 1777766400.0]
    assert set(table.columns["colour"]) == {"red", "white", "rosé"}
    assert table.left_out["x"] == list(range(2, ROWS + 1))
    monkeypatch.setattr(values, "MOST_ROWS", 50)
    monkeypatch.setattr("stamping.reading.CHUNK_ROWS", 7)
    thinned = values.values_of(describe(path, "Quality"))
    assert thinned.left_out["x"] == list(range(2, ROWS + 1, 3))
    assert thinned.columns["quality"] == table.columns["quality"][::3]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["", ""], "usage: make new CSV=history.csv TARGET=column [OUT=..] [YES=1]"),
        (["nowhere.csv", "x"], "new: nowhere.csv cannot be read: No such file or directory"),
        (["{table}", "gone"], "new: there is no column 'gone'"),
    ],
)
def test_a_fault_is_one_line(
    write: Write, tmp_path: Path, arguments: list[str], fault: str
) -> None:
    paths = [each.format(table=write()) for each in arguments]
    done = command(*paths, "--out", tmp_path / "out", "--yes")
    assert done.returncode == 1
    assert done.stderr.startswith(fault)
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_there_is_left_alone(write: Write, tmp_path: Path) -> None:
    mine = tmp_path / "out" / "wines" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    done = command(write(), "Quality", "--out", tmp_path / "out", "--yes")
    assert done.returncode == 1
    assert f"new: {mine.parent} is there already" in done.stderr
    assert [*mine.parent.iterdir()] == [mine]


def test_what_cannot_be_stamped_out_is_told_in_one_line(write: Write, tmp_path: Path) -> None:
    answers = answers_for(write(), "Quality", by_default) | {"split": "nonsense"}
    with pytest.raises(new.Failed, match="split: 'nonsense' is none of") as failed:
        new.make(tmp_path / "out" / "wines", answers)
    assert "\n" not in str(failed.value)
    assert not (tmp_path / "out" / "wines").exists()


def test_what_is_remarked_on_the_history_is_printed(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    days = [f"{1 + row % 28}/{1 + row % 12}/25" for row in range(ROWS)]
    path = write(day=days, Quality=["", *[str(row % 9) for row in range(ROWS - 1)]])
    answers = answers_for(path, "Quality", by_default)
    capsys.readouterr()
    new.stamp_out(tmp_path / "out", answers)
    said = capsys.readouterr().out.splitlines()
    assert f"{path}: day: two-digit years taken as 1969 to 2068" in said
    assert f"{path}: 1 rows left out, without quality" in said
    assert all(line.startswith(f"{path}: ") for line in said)


def test_no_answers_means_that_nothing_is_made(write: Write, tmp_path: Path) -> None:
    done = command(write(), "Quality", "--out", tmp_path / "out", input="")
    assert done.returncode == 1
    assert done.stderr.endswith("new: stopped; nothing was left behind\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_everything_and_leaves_nothing(tmp_path: Path, number: int) -> None:
    project = tmp_path / "out" / "wines"
    script = f"""
import signal
from pathlib import Path
from stamping.new import removed_if_stopped, run
for number in (signal.SIGINT, signal.SIGTERM):  # the former is ignored in the background of a shell
    signal.signal(number, signal.default_int_handler)
project = Path({str(project)!r})
with removed_if_stopped(project):
    project.mkdir(parents=True)
    run(["sh", "-c", "sleep 600 & echo $! ; wait"], cwd=project)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=TEMPLATE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        child = int(process.stdout.readline())
        process.send_signal(number)
        _, said = process.communicate()
    assert b"KeyboardInterrupt" in said
    assert not (tmp_path / "out").exists()
    assert not Path(f"/proc/{child}/cwd").exists() or sys.platform != "linux"


def test_what_make_hands_on_is_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAKEFLAGS", "n -- TARGET=x")
    status, said = run(["env"], capture=True)
    assert status == 0
    assert "MAKEFLAGS" not in said
    assert "PATH" in said


@pytest.mark.parametrize(
    ("versions", "fault"),
    [
        (
            "  3f2a9c0d1e5b  2026-11-27 ...",
            "training has not made the model the current one, see above",
        ),
        ("* 3f2a9c0d1e5b  2026-11-27 ...", "the project's demo failed"),
        ("", "the project's demo failed"),
        (None, "the project's demo failed"),
    ],
)
def test_a_demo_that_fails_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, versions: str | None, fault: str
) -> None:
    project = tmp_path / "my wines"

    def stamp_out(out: Path, answers: dict[str, str]) -> None:
        tools = project / "model" / ".venv" / "bin"
        tools.mkdir(parents=True)
        (project / "Makefile").write_text("demo:\n\t@exit 1\n")
        if versions is not None:
            (tools / "model").write_text(f"#!/bin/sh\nprintf '{versions}'\n")
            (tools / "model").chmod(0o755)

    monkeypatch.setattr(new, "stamp_out", stamp_out)
    with pytest.raises(new.Failed) as failed:
        new.make(project, {})
    assert str(failed.value).startswith(fault)
    assert f"cd '{project}' && make" in str(failed.value)
    assert project.exists()


def test_make_calls_it() -> None:
    settings = ["CSV=a b.csv", "TARGET=Sale Price", "OUT=/srv/x y", "YES=1"]
    for last, expected in ((settings, " --yes"), (settings[:-1], "")):
        done = subprocess.run(
            ["make", "--dry-run", "--old-file=.venv/ready", "new", *last],
            cwd=TEMPLATE,
            env={name: text for name, text in os.environ.items() if name not in new.OF_MAKE},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.rstrip("\n").rstrip(" ") == (
            f'.venv/bin/python -m stamping.new "a b.csv" "Sale Price" --out "/srv/x y"{expected}'
        )


@pytest.mark.slow
def test_a_table_becomes_a_project_that_has_answered(write: Write, tmp_path: Path) -> None:
    done = command(write(), "Quality", "--out", tmp_path / "out", "--yes", timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    project = tmp_path / "out" / "wines"
    rows = re.findall(r"^ *\d+ +[\d.]+ +\d+ +model [0-9a-f]{12}$", done.stdout, re.M)
    assert len(rows) == 5, done.stdout
    assert re.search(r"mean_absolute_error 0\.\d+, and [01]\.\d+ for a constant", done.stdout)
    assert done.stdout.endswith(f"  cd {project} && make up\n")
    assert not list((project / "run").rglob("*.sock")), "a process was left running"
