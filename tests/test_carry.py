"""`make carry`: what was changed in a stamped-out copy comes back into (a copy of) the template."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import TEMPLATE, Stamp

STAMPED = "{{cookiecutter.project_slug}}"
PLAIN = "contract/src/contract/types.py"
JINJA = "service/src/service/use_cases.py"


@dataclass
class Bench:
    """A copy of the template and a project that was stamped out from it."""

    template: Path
    project: Path

    def carry(self, *arguments: str | Path) -> str:
        """What it printed; it has to succeed."""
        done = self.run(*(arguments or [self.project]))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        config = self.template.parent / "config.yaml"
        home = self.template.parent
        config.write_text(f"cookiecutters_dir: {home}\nreplay_dir: {home}\n")
        return subprocess.run(
            [sys.executable, self.template / "tools" / "carry.py", *arguments],
            env={**os.environ, "COOKIECUTTER_CONFIG": str(config)},
            capture_output=True,
            text=True,
            check=False,
        )

    def source(self, path: str) -> Path:
        return self.template / STAMPED / path

    def sources(self) -> dict[Path, bytes]:
        """All that the template stamps out."""
        found = (self.template / STAMPED).rglob("*")
        return {path: path.read_bytes() for path in found if path.is_file()}


@pytest.fixture
def bench(stamp: Stamp, tmp_path: Path) -> Bench:
    template = tmp_path / "template"
    for folder in ("hooks", "stamping", "tools", STAMPED):
        shutil.copytree(TEMPLATE / folder, template / folder)
    shutil.copy2(TEMPLATE / "cookiecutter.json", template)
    return Bench(template, stamp(tmp_path / "out"))


def add(path: Path, text: str) -> None:
    """Append the text to the file, which is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def test_an_unchanged_copy_leaves_nothing_to_do(bench: Bench) -> None:
    before = bench.sources()
    assert bench.carry() == "nothing differs from the template\n"
    assert bench.sources() == before


def test_a_file_without_jinja_is_copied_and_of_any_other_the_diff_is_shown(bench: Bench) -> None:
    before = bench.sources()
    add(bench.project / PLAIN, "# plain\n")
    add(bench.project / JINJA, "# mine\n")
    said = bench.carry()
    assert f"carried  {PLAIN}\n" in said
    assert f"by hand  {JINJA}: " in said
    assert f"--- {STAMPED}/{JINJA}\n+++ {bench.project / JINJA}\n" in said
    assert "\n+# mine\n" in said
    assert "# plain" not in said
    carried = bench.source(PLAIN)
    assert carried.read_bytes() == (bench.project / PLAIN).read_bytes()
    assert bench.sources() == before | {carried: before[carried] + b"# plain\n"}
    # What was carried differs no more; the rest is told again until it is done.
    assert PLAIN not in bench.carry()


def test_new_files_are_carried_and_what_git_ignores_is_not(bench: Bench) -> None:
    for path in ("model/tests/test_new.py", "docs/new/why.md"):
        add(bench.project / path, "new\n")
    for path in (".env", "run/lock", "model/.venv/bin/python", "model/src/model/__pycache__/x.pyc"):
        add(bench.project / path, "ignored\n")
    assert bench.carry() == "carried  docs/new/why.md\ncarried  model/tests/test_new.py\n"
    assert bench.source("docs/new/why.md").read_text() == "new\n"
    assert not bench.source(".env").exists()


@pytest.mark.parametrize("path", [PLAIN, "model/tests/test_new.py"])
def test_what_jinja_would_read_is_not_carried(bench: Bench, path: str) -> None:
    before = bench.sources()
    add(bench.project / path, 'f"{{literal}}"\n')
    said = bench.carry()
    assert f"by hand  {path}: " in said
    assert '\n+f"{{literal}}"' in said
    assert bench.sources() == before


def test_what_a_hook_made_is_shown_and_not_carried(bench: Bench) -> None:
    before = bench.sources()
    add(bench.project / "data/history.csv", "1,Mon,2,3,4\n")
    said = bench.carry()
    assert "by hand  data/history.csv: " in said
    assert "\n+1,Mon,2,3,4\n" in said
    assert bench.sources() == before


def test_a_deleted_file_is_told_and_stays(bench: Bench) -> None:
    (bench.project / PLAIN).unlink()
    assert bench.carry() == f"missing  {PLAIN}: in the template only\n"
    assert bench.source(PLAIN).exists()


def test_a_copy_that_is_out_of_date_takes_nothing_back(bench: Bench) -> None:
    add(bench.source(PLAIN), "# of the template\n")
    later = (bench.project / PLAIN).stat().st_mtime + 60
    os.utime(bench.source(PLAIN), (later, later))
    said = bench.carry()
    assert f"newer    {PLAIN}: " in said
    assert "\n-# of the template" in said
    assert bench.source(PLAIN).read_text().endswith("# of the template\n")


def test_a_copy_of_other_answers_is_compared_with_them(
    bench: Bench, stamp: Stamp, tmp_path: Path
) -> None:
    answers = ["entity=box", "history=none"]
    project = stamp(tmp_path / "other", **dict(answer.split("=") for answer in answers))
    add(project / PLAIN, "# plain\n")
    add(project / JINJA, "# mine\n")
    said = bench.carry(project, *answers)
    assert said.splitlines()[0] == f"carried  {PLAIN}"
    assert f"--- {STAMPED}/{JINJA}\n" in said
    assert "README.md" not in said

    refused = bench.run(project, "entity=A box")
    assert refused.returncode == 1
    assert "could not be stamped out" in refused.stderr


@pytest.mark.parametrize("arguments", [[], [""], ["nowhere"], [TEMPLATE / "tests"]])
def test_a_wrong_folder_is_refused_in_one_line(bench: Bench, arguments: list[str | Path]) -> None:
    before = bench.sources()
    refused = bench.run(*arguments)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.count("\n") == 1
    assert bench.sources() == before
