"""The history as a project holds it: in one plain form, with its provenance and examples."""

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from conftest import TEMPLATE, Stamp, answers_with
from test_history import DATA, FIELDS, HEADER, rows, to_csv

from stamping.answers import all_faults


def test_a_history_is_placed_in_one_plain_form(stamp: Stamp, tmp_path: Path) -> None:
    table = rows()
    table[0] = ["", "+7", "YES", 'Köln, "Süd" 🚀', "it's"]
    table[1] = [" 1e3 ", "4.0", "0", "", " b "]
    table[2] = ["+.5", " 4e1", " true ", "n", "a"]
    mixed = [[row[4], "drop me", *row[:4]] for row in [HEADER, *table]]
    text = "\ufeff" + to_csv(mixed).replace("drop me", "extra", 1) + "\n"
    (tmp_path / "Mixed up.csv").write_bytes(text.encode())
    project = stamp(tmp_path / "out", history=str(tmp_path / "Mixed up.csv"), **FIELDS)

    content = (project / "data" / "history.csv").read_bytes()
    lines = content.decode().split("\n")
    assert lines[0] == ",".join(HEADER)
    assert lines[1] == """,7,true,"Köln, ""Süd"" 🚀",it's"""
    assert lines[2] == "1e3,4,false,,b"
    assert lines[3] == "+.5,40,true,n,a"
    assert lines[4:] == [*(",".join(row) for row in table[3:]), ""]
    assert json.loads((project / "data" / "provenance.json").read_text("utf-8")) == {
        "source": "Mixed up.csv",
        "synthetic": False,
        "rows": 60,
        "sha256": hashlib.sha256(content).hexdigest(),
        "license": None,
        "caveat": None,
    }
    names = {path.name for path in (project / "data").iterdir()}
    assert names == {"README.md", "history.csv", "provenance.json"}
    assert not (project / ".history.csv").exists()
    texts = [path.read_bytes() for path in project.rglob("*") if path.is_file()]
    assert not [text for text in texts if str(tmp_path).encode() in text]
    assert "Mixed up.csv" in (project / "data" / "README.md").read_text("utf-8")


def test_rows_without_a_target_are_left_out_and_counted(stamp: Stamp, tmp_path: Path) -> None:
    table = rows(70)
    for row in table[:12]:
        row[4] = ""
    (tmp_path / "h.csv").write_text(to_csv([[*HEADER[:4], "Out|come"]], table))
    target = {"target": "out_come:category"}
    project = stamp(tmp_path / "out", history=str(tmp_path / "h.csv"), **FIELDS | target)
    provenance = json.loads((project / "data" / "provenance.json").read_text("utf-8"))
    assert (provenance["rows"], provenance["without_target"]) == (58, 12)
    lines = (project / "data" / "history.csv").read_text("utf-8").splitlines()
    assert lines[1:] == [",".join(row) for row in table[12:]]
    readme = (project / "data" / "README.md").read_text("utf-8")
    assert "| `out_come` | category | target | `Out\\|come` |" in readme
    assert "- without_target: 12" in readme


def test_what_a_file_and_its_headers_hide_is_made_visible(stamp: Stamp, tmp_path: Path) -> None:
    file = tmp_path / "h\u2028\u202e\n.csv"
    rows = "".join(f"{number},{number % 7}\n" for number in range(60))
    file.write_text(f"Age\u200b\x85,late\n{rows}", "utf-8")
    project = stamp(tmp_path / "out", features="age:int", target="late:int", history=str(file))
    for name in ("provenance.json", "README.md"):
        text = (project / "data" / name).read_text("utf-8")
        assert r"h\u2028\u202e\n.csv" in text
        assert all(line.isprintable() for line in text.split("\n"))
    assert r"| `Age\u200b" in text
    provenance = json.loads((project / "data" / "provenance.json").read_text("utf-8"))
    assert provenance["source"] == file.name


def test_a_large_history_is_not_tracked_and_is_not_held_in_memory(tmp_path: Path) -> None:
    row = ",".join(["2013-01-01T10:00:00Z", *["123456.5"] * 4, "N{}", "{}"]) + "\n"
    with (tmp_path / "h.csv").open("w") as file:
        file.write("at,a,b,c,d,tail,late\n")
        file.writelines(row.format(n % 4000, n % 7) for n in range(330_000))
    answers = [
        "features=at:category a:float b:float c:float d:float tail:category",
        *["target=late:int", "history=h.csv"],
    ]
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    config = tmp_path / "config.yaml"
    config.write_text(f"cookiecutters_dir: {tmp_path}\nreplay_dir: {tmp_path}\n")
    options = ["--no-input", "--config-file", str(config)]
    words = [sys.executable, "-m", "cookiecutter", str(TEMPLATE), *options, *answers]
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        env={**os.environ, "PWD": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert int(done.stdout.splitlines()[-1]) < 300_000  # kilobytes
    data = tmp_path / "order-wait-times" / "data"
    assert (data / "history.csv").stat().st_size > 20_000_000
    assert (data / ".gitignore").read_text("utf-8") == "/history.csv\n"
    assert "git does not track it" in (data / "README.md").read_text("utf-8")


def test_the_sample_is_placed_with_its_licence(stamp: Stamp, tmp_path: Path) -> None:
    data = stamp(tmp_path) / "data"
    assert (data / "history.csv").read_bytes() == (DATA / "sample.csv").read_bytes()
    assert (data / "provenance.json").read_bytes() == (DATA / "sample.json").read_bytes()
    names = {path.name for path in data.iterdir()}
    assert names == {"README.md", "history.csv", "provenance.json", "sample-license.txt"}
    readme = (data / "README.md").read_text("utf-8")
    assert "does not say whether they are real or simulated" in readme
    assert "PROVENANCE" not in readme


@pytest.mark.parametrize("kind", ["float", "int", "bool", "category"])
def test_a_made_up_history_can_be_learnt_and_says_what_it_is(
    stamp: Stamp, scratch: Path, kind: str
) -> None:
    features = "a:float? b:int? c:bool? d:category? e:float f:int g:bool h:category"
    answers = {"features": features, "target": f"t:{kind}", "history": "none"}
    project = stamp(scratch, **answers)
    provenance = json.loads((project / "data" / "provenance.json").read_text("utf-8"))
    assert provenance["synthetic"] is True
    assert "SYNTHETIC" in provenance["caveat"]
    assert "SYNTHETIC" in (project / "data" / "README.md").read_text("utf-8")

    # It passes the checks that a history from a file has to pass.
    placed = project / "data" / "history.csv"
    assert all_faults(answers_with(answers | {"history": str(placed)})) == []
    with placed.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == provenance["rows"] == 2000
    empty = Counter(name for row in table for name, text in row.items() if not text)
    assert set(empty) == set("abcd")
    assert all(100 < count < 300 for count in empty.values())

    values = [{"true": 1.0, "false": 0.0}.get(row["t"], row["t"]) for row in table]
    order = {"low": 0, "lower": 1, "higher": 2, "high": 3}
    outcomes = [float(order.get(str(value), value)) for value in values]
    if kind in ("bool", "category"):
        assert min(Counter(outcomes).values()) > 100
    mean = sum(outcomes) / len(outcomes)
    pairs = [
        (outcome > mean, float(row["e"])) for row, outcome in zip(table, outcomes, strict=True)
    ]
    high, low = ([value for above, value in pairs if above is side] for side in (True, False))
    assert sum(high) / len(high) > sum(low) / len(low) + 10


def test_examples_have_moments_as_the_api_writes_them(stamp: Stamp, tmp_path: Path) -> None:
    for at, example in {
        "29.03.2026 03:30": "2026-03-29T01:30:00Z",
        "2026-12-31 23:30:00.5": "2026-12-31T22:30:00.500000Z",
        "2026-12-31T23:30:00-05:00": "2027-01-01T04:30:00Z",
        "2026-07-01": "2026-06-30T22:00:00Z",
    }.items():
        table = [[at, str(number)] for number in range(50)]
        (tmp_path / "h.csv").write_text(to_csv([["at", "count"]], table), "utf-8")
        project = stamp(
            tmp_path / "out",
            history=str(tmp_path / "h.csv"),
            features="at:datetime",
            target="count:int",
            __timezone="Europe/Berlin",
        )
        text = (project / "contract/src/contract/examples.json").read_text("utf-8")
        assert {row["at"] for row in json.loads(text)} == {example}
        shutil.rmtree(project)


def test_examples_come_from_the_later_part(stamp: Stamp, tmp_path: Path) -> None:
    table = [["21.5", *row[1:3], 'it\'s "here" $HOME `x`', row[4]] for row in rows(100)]
    table[93][0] = ""
    (tmp_path / "h.csv").write_text(to_csv([HEADER], table), "utf-8")
    project = stamp(tmp_path / "out", history=str(tmp_path / "h.csv"), **FIELDS)
    text = (project / "contract" / "src" / "contract" / "examples.json").read_text("utf-8")
    examples = json.loads(text)
    assert [example["visits"] for example in examples] == [80, 84, 89, 94, 93]
    assert [example["age"] for example in examples] == [21.5, 21.5, 21.5, 21.5, None]
    assert examples[0] == {
        "age": 21.5,
        "visits": 80,
        "smoker": True,
        "region": 'it\'s "here" $HOME `x`',
        "outcome": "a",
    }
    assert len(text.splitlines()) == 7

    readme = (project / "README.md").read_text("utf-8")
    assert "EXAMPLE_" not in readme
    shown = [json.loads(echoed(quoted)) for quoted in re.findall(r"-d ('[^']*')", readme)]
    outcome = {"outcome": examples[0].pop("outcome")}
    assert examples[0] in shown
    assert outcome in shown


def echoed(words: str) -> str:
    """What the shell makes of the words."""
    command = ["sh", "-c", f"printf %s {words}"]
    return subprocess.run(command, capture_output=True, check=True, encoding="utf-8").stdout
