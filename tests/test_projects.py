"""Projects of every kind are stamped out and run through their own `make check`."""

import csv
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
Stamp = Callable[..., Path]

FORTY = " ".join(
    f"{kind}_{number}:{kind}{'?' if number % 3 == 0 else ''}"
    for number in range(10)
    for kind in ("float", "int", "bool", "category")
)
NEW_YEAR = datetime(2026, 1, 1)
AWKWARD = [
    'O\'Brien "junior"',
    "Åse Ødegård",
    "日本 語",
    "🚀 to the moon",
    "a\\b",
    "{{ x }}",
    "true",
]

# Each kind of project: its answers, and the values that its categories take.
KINDS: dict[str, dict[str, str]] = {
    "default": {},
    "forty features": {
        "project_name": "Forty",
        "entity": "machine",
        "features": FORTY,
        "target": "hours_left:int",
    },
    "binary with missing values": {
        "project_name": "Patient Readmissions",
        "entity": "patient",
        "features": "age:int? smoker:bool? ward:category? dose:float? stays:int",
        "target": "outcome:bool",
    },
    "awkward names and values": {
        "project_name": "L'été à l'hôpital",
        "description": "Où l'on attend: 100 % ça & plus 🚀",
        "entity": "biopsy",
        "features": (
            "name:category data:category? count:int a_name_of_exactly_forty_characters_it_is:float"
            " table:float order:category user:int? select:bool type_:category class_:float"
            " metadata_:int id_:float row_:int model_config_:category float_:float self_:bool"
            " placed_at:datetime biopsy_id:int served_by:category"
        ),
        "target": "a_target_of_exactly_forty_characters_iti:category",
        "__timezone": "America/New_York",
    },
    "multi-class by one feature": {
        "project_name": "Iris",
        "entity": "iris",
        "features": "petal_length:float",
        "target": "species:category",
    },
    "no history": {
        "project_name": "Greenfield",
        "entity": "visit",
        "features": (
            "placed_at:datetime seen_at:datetime? hour:float weekday:category regular:bool"
            " basket:int?"
        ),
        "target": "channel:category",
        "history": "none",
        "split": "time:placed_at",
        "__timezone": "Europe/Berlin",
    },
}


def columns(answers: dict[str, str]) -> list[tuple[str, str]]:
    """The names and kinds of the features and of the target, in order."""
    fields = [*answers["features"].split(), answers["target"]]
    return [(name, kind) for name, _, kind in (field.partition(":") for field in fields)]


def write_history(path: Path, answers: dict[str, str], rows: int = 400) -> None:
    """A history in which the target follows from the first feature, give or take."""
    dice = random.Random(7)
    labels = AWKWARD if "awkward" in path.stem else ["red", "green", "blue"]
    make: dict[str, Callable[[float], Any]] = {
        "float": lambda at: round(10 * at + dice.random(), 3),
        "int": lambda at: int(100 * at) + dice.randrange(3),
        "bool": lambda at: str(at + dice.random() > 1).lower(),
        "datetime": lambda at: f"{NEW_YEAR + timedelta(hours=int(8000 * at)):%d.%m.%Y %H:%M}",
        "category": lambda at: labels[int(at * len(labels))],
    }
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        *features, target = columns(answers)
        writer.writerow([name for name, _ in [*features, target]])
        for _ in range(rows):
            at = dice.random()
            cells = [
                "" if kind.endswith("?") and dice.random() < 0.2 else make[kind.rstrip("?")](at)
                for _, kind in features
            ]
            writer.writerow([*cells, make[target[1]](at)])


ON_BOTH_DATABASES = {"default", "binary with missing values", "awkward names and values"}
"""One kind of each task; the others save time and run on SQLite."""
ALIKE = (
    "test_process.py",
    "test_chaos.py",
    "test_check.py",
    "test_new_feature.py",
    "test_runbook.py",
    "test_systemd.py",
    "test_tracing.py",
)
"""Suites that take long and do not depend on the answers; one kind runs them."""
WITHOUT_ALIKE = " ".join(f"--ignore=tests/{name}" for name in ALIKE)


@pytest.fixture
def project(request: pytest.FixtureRequest, stamp: Stamp, tmp_path: Path) -> Path:
    """A stamped-out project of one kind."""
    kind: str = request.param
    answers = dict(KINDS[kind])
    if answers and "history" not in answers:
        history = tmp_path / f"{kind.replace(' ', '-')}.csv"
        write_history(history, answers)
        answers["history"] = str(history)
    return stamp(tmp_path / "out", **answers)


NOT_THEIRS = {"VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"}


def environment(**more: str) -> dict[str, str]:
    """What a stamped-out project runs with: nothing of these tests' own make and Python."""
    kept = {name: value for name, value in os.environ.items() if name not in NOT_THEIRS}
    return {**kept, "UV": str(Path(sys.executable).parent / "uv"), **more}


def on_the_bench(project: Path) -> Path:
    """The project, moved to where the one before it was, whose installed packages it takes over.

    All kinds of project install the same packages. That a project sets itself up from nothing is
    what `test_setup_done_again_does_nothing` and `make demo` show.
    """
    bench = REPOSITORY / "build" / "bench" / os.environ.get("PYTEST_XDIST_WORKER", "main")
    for unit in ("", "contract", "service", "model", "dev"):
        if (bench / unit / ".venv").exists():
            shutil.move(bench / unit / ".venv", project / unit / ".venv")
    shutil.rmtree(bench, ignore_errors=True)
    bench.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(project, bench)
    return bench


def check(project: Path, tmp_path: Path, *options: str, **variables: str) -> None:
    """Run `make check` of a project, with these options of pytest and these variables."""
    cache = str(tmp_path.parent / "mypy")
    settings = environment(MYPY_CACHE_DIR=cache, PYTEST_ADDOPTS=" ".join(options), **variables)
    done = subprocess.run(
        ["make", "check"],
        cwd=project,
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(done.stdout[-20_000:])
    assert done.returncode == 0
    # Every suite ran, and nothing was left out without being seen.
    assert len(re.findall(r"^\d+ passed", done.stdout, re.M)) == 4
    if os.environ.get("CI"):
        assert "skipped" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("project", [*KINDS][1:], indirect=True)
def test_a_project_passes_its_own_checks(
    project: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    # The default one passes them in `test_season.py`.
    on_both = request.node.callspec.params["project"] in ON_BOTH_DATABASES
    one = [] if on_both else ["-k 'not postgresql'"]
    # Measuring the coverage takes a third of the time, and it was held to its limit there.
    check(on_the_bench(project), tmp_path, WITHOUT_ALIKE, *one, COVER="")


@pytest.mark.parametrize("project", KINDS, indirect=True)
def test_no_trace_of_the_template_is_left(project: Path) -> None:
    for path in project.rglob("*"):
        if not path.is_file() or path.suffix in (".csv", ".webp"):
            continue
        text = path.read_text("utf-8")
        assert "cookiecutter" not in text.lower(), path
        if path.suffix == ".html":
            continue  # Jinja of the service's own
        assert "EXAMPLE_" not in text, path
        assert not re.search(r"\{%|(?<!\$)\{\{ |\{\{cook", text) or path.name in (
            ".template.json",
            "README.md",
            "examples.json",
            "pyproject.toml",
        ), path


@pytest.mark.slow
def test_setup_done_again_does_nothing(stamp: Stamp, tmp_path: Path) -> None:
    project = stamp(tmp_path)
    for _ in range(2):
        done = subprocess.run(
            ["make", "setup"],
            cwd=project,
            env=environment(),
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout == ""
    token = project / ".env"
    assert token.stat().st_mode & 0o777 == 0o600
    assert token.read_text().startswith("MODEL_TOKENS=")
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    status = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=all"],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    for unwanted in (".env", ".venv", "egg-info", "__pycache__"):
        assert unwanted not in status.stdout


@pytest.mark.slow
def test_the_workflows_are_sound(stamp: Stamp, tmp_path: Path) -> None:
    """By actionlint, which is not on PyPI; zizmor is part of either `make lint`."""
    project = stamp(tmp_path)
    tool = REPOSITORY / "build" / "actionlint"
    subprocess.run(
        [
            "npm",
            "install",
            "--silent",
            "--no-fund",
            "--no-audit",
            "--prefix",
            tool,
            "actionlint@2.0.6",
        ],
        check=True,
        timeout=120,
    )
    script = """
      const { createLinter } = require(process.argv[1]);
      const { readFileSync } = require('fs');
      createLinter().then((lint) => {
        const found = lint(readFileSync(process.argv[2], 'utf8'), process.argv[2]);
        console.log(JSON.stringify(found));
        process.exit(0);
      });
    """

    def lint(workflow: Path) -> list[Any]:
        done = subprocess.run(
            ["node", "-e", script, tool / "node_modules/actionlint/node.cjs", workflow],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        found: list[Any] = json.loads(done.stdout)
        # The npm package has an actionlint of before 2023, when GitHub brought in `vars`.
        return [each for each in found if 'undefined variable "vars"' not in each["message"]]

    for workflow in [*project.glob(".github/workflows/*"), *REPOSITORY.glob(".github/workflows/*")]:
        assert lint(workflow) == [], workflow
    broken = tmp_path / "broken.yml"
    sound = (project / ".github/workflows/check.yml").read_text()
    broken.write_text(sound.replace("runs-on: ubuntu-latest", "runs-on: nowhere-1"))
    assert lint(broken), "actionlint does not see a runner that does not exist"
