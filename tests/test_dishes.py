"""Every dish of the menu, ordered into projects of each task, passes its own check there."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Stamp
from lines import is_source, lines_of, lines_of_dish
from test_projects import KINDS, REPOSITORY, environment, write_history

from stamping.menu import SHARED, menu

DISHES = sorted(menu())
HEAVY = {"c", "central", "javascript", "notebook", "spark"}
"""Those that download more than 300 MB."""
MOST_LINES = {"c": 216, "front": 430}
"""Of source, and 200 of all others; the translator of the graph, which some share, aside."""
MOMENTS = "petal_length:float? seen_at:datetime placed_at:datetime?"
TASKS = {
    "default": KINDS["default"],
    "binary with missing values": KINDS["binary with missing values"],
    "multi-class with moments": KINDS["multi-class by one feature"] | {"features": MOMENTS},
}


@pytest.fixture(scope="module")
def all_dishes(tmp_path_factory: pytest.TempPathFactory, stamp: Stamp) -> Path:
    return stamp(tmp_path_factory.mktemp("all"), __dishes=" ".join(DISHES))


def contents(folder: Path) -> dict[Path, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in files}


@pytest.mark.parametrize("dish", DISHES)
def test_a_dish_is_small_and_says_what_it_is(dish: str, all_dishes: Path) -> None:
    folder = all_dishes / "dishes" / dish
    shared = filter(is_source, map(Path, menu()[dish].get("_shared", [])))
    own = lines_of_dish(folder) - sum(lines_of(SHARED / path) for path in shared)
    assert own <= MOST_LINES.get(dish, 200)
    readme, makefile = ((folder / name).read_text("utf-8") for name in ("README.md", "Makefile"))
    assert readme.startswith("# ")
    assert len(readme.splitlines()) <= 80
    for target in ("able", "bench", "check"):
        assert re.search(rf"(?m)^{target}:", makefile), target
    assert (folder / "tests").is_dir()
    for path, content in contents(folder).items():
        text = content.decode("utf-8")
        assert "cookiecutter" not in text.lower(), path
        assert "https://registry." not in text, path
        assert not re.search(r"/tmp/w|/work/", text), path
    when = menu()[dish]["__when"]
    assert "\n" not in when
    assert len(when) <= 100


def test_a_dish_is_the_same_whichever_others_there_are(
    all_dishes: Path, stamp: Stamp, tmp_path: Path
) -> None:
    alone = stamp(tmp_path, __dishes=DISHES[0])
    assert [path.name for path in (alone / "dishes").iterdir()] == [DISHES[0]]
    without = contents(all_dishes)
    for path, content in contents(alone).items():
        assert path == Path(".template.json") or without[path] == content


def test_what_is_shared_is_used() -> None:
    shared = {name for settings in menu().values() for name in settings.get("_shared", [])}
    assert shared == {str(path.relative_to(SHARED)) for path in SHARED.rglob("*.py")}


def on_the_bench(project: Path) -> Path:
    """The project, moved to where the one before it was, whose installed packages it takes over."""
    bench = REPOSITORY / "build" / "dishes" / os.environ.get("PYTEST_XDIST_WORKER", "main")
    dishes = [f"dishes/{dish}" for dish in DISHES]
    for folder in (".", "contract", "service", "model", "dev", *dishes):
        for installed in (".venv", "node_modules"):
            if (bench / folder / installed).exists():
                shutil.move(bench / folder / installed, project / folder / installed)
    shutil.rmtree(bench, ignore_errors=True)
    bench.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(project, bench)
    return bench


def make(project: Path, *arguments: str) -> bool:
    """Whether make succeeds; what it prints is printed."""
    done = subprocess.run(
        ["make", *arguments],
        cwd=project,
        env=environment(PYTHON=sys.executable),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(done.stdout[-20_000:])
    skipped = "CI" in os.environ and re.search(r"\d skipped", done.stdout)
    return done.returncode == 0 and not skipped


def cases() -> Iterator[Any]:
    """The dishes to be checked together in a project of each kind."""
    for kind in TASKS:
        for heavy in (False, True):
            marks = [pytest.mark.menu] if heavy or kind != "default" else []
            dishes = [each for each in DISHES if (each in HEAVY) == heavy]
            name = f"{kind}-{'heavy' if heavy else 'light'}"
            yield pytest.param(kind, dishes, id=name, marks=marks)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "dishes"), [*cases()])
def test_every_dish_passes_its_check(
    kind: str, dishes: list[str], stamp: Stamp, tmp_path: Path
) -> None:
    answers = dict(TASKS[kind])
    if answers:
        write_history(tmp_path / "history.csv", answers)
        answers["history"] = str(tmp_path / "history.csv")
    project = on_the_bench(stamp(tmp_path / "out", __dishes=" ".join(DISHES), **answers))
    assert make(project, "setup", "dev/.venv/ready", "train", "FORCE=1")
    assert [dish for dish in dishes if not make(project, f"dishes/{dish}/check")] == []
