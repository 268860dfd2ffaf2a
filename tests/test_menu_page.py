"""The page that compares all deployments. Nothing is measured here."""

import json
import sys
from pathlib import Path
from typing import Any

import menu_page
import pytest
from lines import lines_of, lines_of_dish
from processes import Failed

import menu as measuring
from stamping.menu import menu


def test_the_published_page_is_that_of_its_numbers() -> None:
    results, about = json.loads(menu_page.NUMBERS.read_text("utf-8")), measuring.ABOUT
    page, chart = ((menu_page.DOCS / name).read_text("utf-8") for name in ("menu.md", "menu.svg"))
    assert page == menu_page.page(results, about)
    assert chart == menu_page.draw(results, about)
    assert [*results["deployments"]] == [*about]
    assert not any("error" in each for each in results["deployments"].values())


def test_every_dish_is_compared() -> None:
    assert {each["dish"] for each in measuring.ABOUT.values() if "dish" in each} == {*menu()}


@pytest.mark.parametrize("failing", [True, False])
def test_a_run_is_published_whole_or_not_at_all(
    failing: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def measured(name: str, number: int) -> dict[str, Any]:
        if failing and name == "c":
            raise Failed("no compiler")
        return {"one_row_ms": 1.0 + number}

    build, docs = tmp_path / "build", tmp_path / "docs"
    for folder in (build, docs):
        folder.mkdir()
    monkeypatch.setattr(menu_page, "BUILD", build)
    monkeypatch.setattr(menu_page, "DOCS", docs)
    monkeypatch.setattr(menu_page, "NUMBERS", docs / "menu.json")
    monkeypatch.setattr(measuring, "stamp_out", lambda: None)
    monkeypatch.setattr(measuring, "lines", lambda name: 7)
    monkeypatch.setattr(measuring, "bench", measured)
    monkeypatch.setattr(measuring, "measure_way", lambda way: measured(way, 0))
    monkeypatch.setattr(measuring, "measure_bulk", lambda: measured("bulk", 0))
    monkeypatch.setattr(measuring, "NUMBERS", ("one_row_ms",))
    monkeypatch.setattr(sys, "argv", ["menu.py", "--rounds", "3"])

    assert measuring.main() == failing

    printed = capsys.readouterr().out
    assert ("FAILED: embedded: no compiler" in printed) == failing
    where = build if failing else docs
    found = json.loads((where / "menu.json").read_text("utf-8"))["deployments"]
    assert found["browser"]["one_row_ms"] == {"median": 2.0, "min": 1.0, "max": 3.0}
    assert found["embedded"].get("error") == ("no compiler" if failing else None)
    assert [*docs.iterdir()] == [] or not failing


def test_comments_and_docstrings_are_no_lines(tmp_path: Path) -> None:
    sources = {
        "one.py": '"""A module."""\n\n# why\nx = "#"\n\ndef f():\n    """What."""\n    return 1\n',
        "two.c": "/* what\n   why */\nint x; // y\n\nint z;\n",
        "three.sql": "-- why\nSELECT 1;\n",
        "tests/no.py": "x = 1\n",
        "Makefile": "x:\n",
        "settings.toml": "x = 1\n",
    }
    for name, text in sources.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    assert [lines_of(tmp_path / name) for name in [*sources][:3]] == [3, 2, 1]
    assert lines_of_dish(tmp_path) == 6
