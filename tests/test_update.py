"""`make update` in a project: what has changed between two releases of (a copy of) the template."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import TEMPLATE
from test_projects import environment

from stamping.locks import combined
from stamping.update import news, without_secret

STAMPED = "{{cookiecutter.project_slug}}"
PLAIN = "contract/src/contract/types.py"
JINJA = "service/src/service/use_cases.py"
OTHER = "service/src/service/ops.py"
MOVED = "service/src/service/docs.py"
GONE = "docs/adr/measurements.md"
UNWANTED = "dev/soak.py"
NEW = "docs/new.md"
DECISIONS = "docs/adr/README.md"
VERSIONS = "service/src/service/migrations/versions"
PINS = "model/requirements.txt"
MIGRATION = 'revision = "{}"\ndown_revision = "{}"\n\n\ndef upgrade() -> None:\n    pass\n'


SOMEBODY = {
    f"GIT_{role}_{what}": "x@y" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
}


def git(folder: Path, *arguments: str | Path) -> str:
    names = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgSign=false")
    command = ["git", *names, "-c", "init.defaultBranch=main", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def commit(folder: Path, message: str) -> str:
    """The commit of all that is there."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--no-verify", "--message", message)
    return git(folder, "rev-parse", "HEAD").strip()


def add(path: Path, text: str) -> None:
    """Append the text to the file, which is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text, f"{path} has no {old!r}"
    path.write_text(text.replace(old, new, 1), "utf-8")


def contents(project: Path) -> dict[str, bytes]:
    """All files that git tracks, but for the data."""
    names = git(project, "ls-files", "-z").split("\0")
    return {
        name: (project / name).read_bytes()
        for name in names
        if name and not name.startswith("data/") and (project / name).exists()
    }


@dataclass
class Template:
    """A copy of the template with releases of its own, whose tools are those of these tests."""

    folder: Path

    @property
    def stamped(self) -> Path:
        return self.folder / STAMPED

    def release(self, tag: str) -> None:
        edit(self.folder / "stamping/__init__.py", self.tag, tag)
        edit(
            self.folder / "CHANGELOG.md", "# Changelog\n", f"# Changelog\n\n## {tag}\n\n- {tag}!\n"
        )
        commit(self.folder, tag)
        git(self.folder, "tag", tag)

    @property
    def tag(self) -> str:
        found = re.search('(?m)^TAG = "(.*)"$', (self.folder / "stamping/__init__.py").read_text())
        return found[1] if found else ""

    def stamp(self, out: Path, tag: str, **answers: str) -> Path:
        """A project of one of its releases, all of it committed."""
        git(self.folder, "checkout", "--quiet", tag)
        config = self.folder.parent / "config.yaml"
        config.write_text(f"cookiecutters_dir: {out}\nreplay_dir: {out}\n")
        options = ["--no-input", f"--config-file={config}", f"--output-dir={out}"]
        pairs = [f"{answer}={value}" for answer, value in answers.items()]
        command = [sys.executable, "-m", "cookiecutter", str(self.folder), *options, *pairs]
        subprocess.run(command, cwd=self.folder, check=True)
        (project,) = (path for path in out.iterdir() if path.is_dir())
        git(project, "init", "--quiet")
        commit(project, "stamped out")
        return project


def copy_of_the_template(folder: Path) -> Template:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=TEMPLATE, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if not name.startswith(("benchmarks/", "tests/")) and (TEMPLATE / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TEMPLATE / name, folder / name)
    git(folder, "init", "--quiet")
    return Template(folder)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    copy = copy_of_the_template(tmp_path_factory.mktemp("template") / "template")
    makefile = copy.folder / "Makefile"
    text, _, rest = makefile.read_text("utf-8").partition(".venv/ready: requirements.txt\n")
    _, _, rest = rest.partition("\n\n")
    makefile.write_text(f"{text}.venv/ready:\n\tln -s {Path(sys.prefix)} .venv\n\n{rest}", "utf-8")
    stamped = copy.stamped
    copy.release("v0.1.0")

    add(stamped / PLAIN, "# of the template\n")
    add(stamped / JINJA, "# of the {{ cookiecutter.entity }}\n")
    for name in (MOVED, UNWANTED, "data/README.md"):
        add(stamped / name, "# of the template\n")
    (stamped / GONE).unlink()
    for name in (NEW, "dev/faults/more.py"):
        add(stamped / name, "new\n")
    edit(stamped / DECISIONS, "\n\nA new decision", "\n| 33 | of the template |\n\nA new decision")
    for number, follows in (("0003", "0002"), ("0004", "0003")):
        add(stamped / VERSIONS / f"{number}_more.py", MIGRATION.format(number, follows))
    edit(stamped / "model/pyproject.toml", "dependencies = [\n", 'dependencies = [\n    "added",\n')
    for name in (PINS, "model/requirements-dev.txt"):
        pins = "added==1.0 \\\n    --hash=sha256:00\njoblib==7.0 \\\n    --hash=sha256:22\n"
        (stamped / name).write_text(combined((stamped / name).read_text("utf-8"), pins), "utf-8")
    edit(copy.folder / "cookiecutter.json", '  "split"', '  "region": "here",\n  "split"')
    copy.release("v0.2.0")

    edit(stamped / PLAIN, "# of the template\n", "# of the template, once more\n")
    copy.release("v0.10.0")
    copy.release("v1.0.0-rc1")
    git(copy.folder, "tag", "vNext")
    return copy


Update = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def update(template: Template, tmp_path: Path) -> Update:
    """`update(project, …)`: `make update`, by default to v0.2.0, where uv does what it is told."""

    def run(
        project: Path,
        version: str = "v0.2.0",
        source: str = str(template.folder),
        uv: str = "exit 9",
    ) -> subprocess.CompletedProcess[str]:
        stub = tmp_path / "uv"
        stub.write_text(f"#!/bin/sh\n{uv}\n")
        stub.chmod(0o755)
        return subprocess.run(
            ["make", "update", f"VERSION={version}", f"TEMPLATE={source}"],
            cwd=project,
            env={**environment(PYTHON=sys.executable), **SOMEBODY, "UV": str(stub)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def updated(done: subprocess.CompletedProcess[str]) -> str:
    """What was printed by an update that is committed."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write_history(path: Path) -> Path:
    rows = "".join(
        f"{age / 7:.3f},{'{{ x }} é' if age % 2 else '{% y'},{age % 3}\n" for age in range(80)
    )
    path.write_text(f"Age,what,Late\n{rows},,1\n", "utf-8")
    return path


@pytest.fixture(params=["sample", "none", "file"])
def answers(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Answers with a history of each kind."""
    none = {"history": "none", "__timezone": "Europe/Berlin", "split": "shuffled"}
    return {
        "sample": {},
        "none": {"entity": "box", "__plural": "boxen", "target": "open:bool", **none},
        "file": {
            "features": "age:float? what:category?",
            "target": "late:int",
            "history": str(write_history(tmp_path / "h.csv")),
        },
    }[request.param]


def test_an_untouched_project_becomes_what_the_newer_version_stamps_out(
    template: Template, update: Update, tmp_path: Path, answers: dict[str, str]
) -> None:
    source = str(template.folder)
    project = template.stamp(tmp_path / "old", "v0.1.0", **answers)
    fresh = template.stamp(tmp_path / "new", "v0.2.0", **answers, __template=source)
    (tmp_path / "h.csv").unlink()
    data = {path: path.read_bytes() for path in (project / "data").iterdir()}
    before = git(project, "rev-parse", "HEAD")

    said = updated(update(project))
    assert "v0.1.0 -> v0.2.0\nv0.2.0\n\n- v0.2.0!\n" in said
    assert contents(project) == contents(fresh)
    assert {path: path.read_bytes() for path in (project / "data").iterdir()} == data
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "rev-list", "--first-parent", "HEAD").split()[1:] == before.split()
    record = json.loads((project / ".template.json").read_text("utf-8"))
    assert (record["template"], record["tag"]) == (source, "v0.2.0")
    assert record["answers"]["region"] == "here"

    # What is recorded needs to be said no more.
    assert "v0.2.0 -> v0.10.0" in updated(update(project, version="", source=""))
    assert "this project has v0.10.0" in updated(update(project, version="v0.2.0", source=""))
    assert (project / PLAIN).read_text("utf-8").endswith("# of the template, once more\n")


def test_the_teams_own_work_is_kept(template: Template, update: Update, tmp_path: Path) -> None:
    project = template.stamp(tmp_path / "out", "v0.1.0")
    edit(project / PLAIN, '"""', '"""Ours. ')
    add(project / OTHER, "# ours\n")
    add(project / "docs/ours.md", "ours\n")
    edit(project / DECISIONS, "\n\nA new decision", "\n| 33 | ours |\n\nA new decision")
    add(project / "data/history.csv", "1,Mon,2,3,4\n")
    (project / "docs/adr/0032-chaos.md").unlink()
    (project / UNWANTED).unlink()
    (project / MOVED).rename(project / "service/src/service/pages.py")
    (project / "dev/faults").rename(project / "dev/breaks")
    ours = MIGRATION.format("ab12", "0002")
    add(project / VERSIONS / "ab12_ours.py", ours)
    add(project / "artifacts/log.jsonl", "ignored by git\n")
    commit(project, "ours")
    data = (project / "data/history.csv").read_bytes()

    said = updated(update(project))
    assert f"{UNWANTED}: changed in the template, stays deleted here" in said
    assert "migration 0003 of the template follows ab12, your last one" in said
    plain = (project / PLAIN).read_text("utf-8")
    assert plain.startswith('"""Ours. ')
    assert plain.endswith("# of the template\n")
    assert (project / OTHER).read_text("utf-8").endswith("# ours\n")
    assert (project / "docs/ours.md").read_text() == "ours\n"
    decisions = (project / DECISIONS).read_text("utf-8")
    assert "\n| 33 | ours |\n| 33 | of the template |\n\nA new" in decisions
    assert (project / "artifacts/log.jsonl").read_text() == "ignored by git\n"
    assert (project / "data/history.csv").read_bytes() == data
    for gone in ("docs/adr/0032-chaos.md", UNWANTED, MOVED, GONE):
        assert not (project / gone).exists()
    moved = (project / "service/src/service/pages.py").read_text("utf-8")
    assert moved.endswith("# of the template\n")
    assert (project / "dev/breaks/more.py").read_text() == "new\n"
    assert (project / VERSIONS / "ab12_ours.py").read_text() == ours
    theirs = (project / VERSIONS / "0003_more.py").read_text()
    assert theirs == MIGRATION.format("0003", "ab12")
    assert git(project, "status", "--porcelain") == ""
    assert "v0.2.0 -> v0.10.0" in updated(update(project, version="v0.10.0"))


@pytest.mark.parametrize(
    ("own", "named"),
    [
        ({"0003": "0002"}, "0003, 0004"),
        ({"ab12": "0002", "cd34": "0002"}, "0004, ab12, cd34"),
    ],
)
def test_migrations_that_cannot_be_put_in_a_row_are_told(
    template: Template, update: Update, tmp_path: Path, own: dict[str, str], named: str
) -> None:
    project = template.stamp(tmp_path / "out", "v0.1.0")
    for name, follows in own.items():
        add(project / VERSIONS / f"{name}_ours.py", MIGRATION.format(name, follows))
    commit(project, "ours")
    done = update(project)
    assert done.returncode != 0
    assert f"The migrations do not stand in a row, see {named}: " in done.stdout
    assert "`git add` it, then: git commit\n" in done.stdout
    git(project, "merge", "--abort")
    assert git(project, "status", "--porcelain") == ""


@pytest.mark.parametrize("kind", ["squashed", "shallow", "worktree", "folder"])
def test_any_history_will_do(template: Template, update: Update, tmp_path: Path, kind: str) -> None:
    project = template.stamp(tmp_path / "out", "v0.1.0")
    add(project / OTHER, "# ours\n")
    commit(project, "ours")
    if kind == "squashed":
        git(project, "switch", "--quiet", "--create", "update")
        updated(update(project))
        git(project, "switch", "--quiet", "main")
        git(project, "merge", "--quiet", "--squash", "update")
        commit(project, "squashed")
        git(project, "branch", "--quiet", "-D", "update")
    elif kind == "shallow":
        for _ in range(2):
            add(project / OTHER, "# ours\n")
            commit(project, "ours")
        git(tmp_path, "clone", "--quiet", "--depth=1", project.as_uri(), "shallow")
        project = tmp_path / "shallow"
        assert git(project, "rev-list", "--count", "HEAD") == "1\n"
    elif kind == "worktree":
        git(project, "worktree", "add", "--quiet", tmp_path / "worktree")
        project = tmp_path / "worktree"
    else:
        folder = tmp_path / "all" / "teams" / "ours"
        folder.parent.mkdir(parents=True)
        shutil.rmtree(project / ".git")
        project.rename(folder)
        add(tmp_path / "all" / NEW, "of all\n")
        git(tmp_path / "all", "init", "--quiet")
        commit(tmp_path / "all", "all")
        project = folder
    updated(update(project, version="v0.10.0"))
    assert (project / PLAIN).read_text("utf-8").endswith("\n# of the template, once more\n")
    assert (project / OTHER).read_text("utf-8").endswith("# ours\n")
    assert (project / NEW).read_text() == "new\n"
    assert not (project / GONE).exists()
    if kind == "folder":
        assert (tmp_path / "all" / NEW).read_text() == "of all\n"


def test_everybody_makes_the_same_commits(
    template: Template, update: Update, tmp_path: Path
) -> None:
    project = template.stamp(tmp_path / "out", "v0.1.0")
    git(tmp_path, "clone", "--quiet", project, "other")
    parents = []
    for each in (project, tmp_path / "other"):
        for version in ("v0.2.0", "v0.10.0"):
            updated(update(each, version=version))
            parents.append(git(each, "rev-parse", "HEAD^2"))
    assert parents[:2] == parents[2:]
    assert git(project, "rev-list", "--count", "HEAD^2") == "3\n"


def test_a_conflict_is_an_ordinary_merge_in_progress(
    template: Template, update: Update, tmp_path: Path
) -> None:
    project = template.stamp(tmp_path / "out", "v0.1.0")
    add(project / PLAIN, "# ours\n")
    add(project / "data/history.csv", "1,Mon,2,3,4\n")
    head = commit(project, "ours")
    before = contents(project)
    for _ in range(2):
        done = update(project)
        assert done.returncode != 0
        assert f"In conflict with your changes: {PLAIN}\n" in done.stdout
        assert "git merge --abort" in done.stdout
        assert "All conflicts fixed" not in (status := git(project, "status"))
        assert "git merge --abort" in status
        assert (project / PLAIN).read_text("utf-8").count("\n=======\n") == 1
        git(project, "merge", "--abort")
        assert git(project, "status", "--porcelain", "--ignored") == ""
        assert git(project, "rev-parse", "HEAD").strip() == head
        assert contents(project) == before

    update(project)
    git(project, "checkout", "--quiet", "--theirs", PLAIN)
    git(project, "add", PLAIN)
    git(project, "commit", "--quiet", "--no-edit")
    assert (
        git(project, "log", "-1", "--format=%s")
        == "Update to v0.2.0 of the template, from v0.1.0\n"
    )
    assert json.loads((project / ".template.json").read_text())["tag"] == "v0.2.0"
    assert git(project, "rev-parse", "HEAD^1").strip() == head
    assert "v0.2.0 -> v0.10.0" in updated(update(project, version="v0.10.0"))


def own_dependency(project: Path) -> None:
    """A dependency that the team has added to its model."""
    edit(
        project / "model/pyproject.toml",
        "]\n\n[project.optional",
        '    "zz-own",\n]\n\n[project.optional',
    )
    for name in (PINS, "model/requirements-dev.txt"):
        add(project / name, "zz-own==3.0 \\\n    --hash=sha256:11\n")
        edit(project / name, "\njoblib==", "\njoblib==6.0.")
    commit(project, "own dependency")


def test_dependencies_are_locked_anew_where_both_sides_have_changed_them(
    template: Template, update: Update, tmp_path: Path
) -> None:
    project = template.stamp(tmp_path / "out", "v0.1.0")
    own_dependency(project)
    calls = tmp_path / "calls"
    lock = f'echo "$@" >> {calls}; for last; do :; done; echo "# locked" >> "$last"'
    updated(update(project, uv=lock))
    assert f"-o {PINS}\n" in calls.read_text()
    pins = (project / PINS).read_text("utf-8")
    assert "\nadded==1.0 \\\n    --hash=sha256:00\n" in f"\n{pins}"
    assert pins.endswith("zz-own==3.0 \\\n    --hash=sha256:11\n# locked\n")
    assert "\njoblib==7.0 \\\n    --hash=sha256:22\n" in pins
    assert "<<<" not in pins
    declared = (project / "model/pyproject.toml").read_text("utf-8")
    assert '    "added",\n' in declared
    assert '    "zz-own",\n' in declared
    assert git(project, "status", "--porcelain") == ""


def test_a_lock_that_fails_leaves_the_merge_to_go_on_with(
    template: Template, update: Update, tmp_path: Path
) -> None:
    project = template.stamp(tmp_path / "out", "v0.1.0")
    own_dependency(project)
    done = update(project, uv="echo no network >&2; exit 2")
    assert done.returncode != 0
    assert "no network" in done.stderr
    assert "make lock && git add --update && git commit" in done.stdout
    assert git(project, "diff", "--name-only", "--diff-filter=U") == ""
    git(project, "add", "--update")
    git(project, "commit", "--quiet", "--no-edit")
    assert json.loads((project / ".template.json").read_text())["tag"] == "v0.2.0"


@pytest.mark.parametrize(
    ("state", "options", "fault"),
    [
        ("edited", {}, "something is not committed"),
        ("untracked", {}, "something is not committed"),
        ("clean", {"source": ""}, "make update TEMPLATE=path-or-URL"),
        ("clean", {"source": "nowhere"}, "cannot be read"),
        ("clean", {"version": "v7.0.0"}, "has no release v7.0.0"),
        ("clean", {"version": "vNext"}, "has no release vNext"),
        ("unrecorded", {}, ".template.json cannot be read"),
        ("ignored", {}, "did not match any file"),
    ],
)
def test_what_cannot_be_updated_is_left_alone(
    template: Template,
    update: Update,
    tmp_path: Path,
    state: str,
    options: dict[str, str],
    fault: str,
) -> None:
    project = template.stamp(tmp_path / "out", "v0.1.0")
    if state == "edited":
        add(project / OTHER, "# ours\n")
    elif state == "untracked":
        add(project / NEW, "ours\n")
    elif state == "unrecorded":
        (project / ".template.json").unlink()
        commit(project, "no record")
    elif state == "ignored":
        git(project, "rm", "--quiet", "--cached", ".template.json")
        add(project / ".gitignore", ".template.json\n")
        commit(project, "ignored")
    before = git(project, "status", "--porcelain") + git(project, "rev-parse", "HEAD")
    done = update(project, **options)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("update: ")]
    assert fault in line
    assert git(project, "status", "--porcelain") + git(project, "rev-parse", "HEAD") == before


def test_a_template_without_the_recorded_version_is_refused(
    template: Template, update: Update, tmp_path: Path
) -> None:
    project = template.stamp(tmp_path / "out", "v0.1.0")
    source = tmp_path / "shallow"
    git(
        tmp_path,
        "clone",
        "--quiet",
        "--depth=1",
        "--branch=v0.2.0",
        template.folder.as_uri(),
        source,
    )
    done = update(project, source=str(source))
    assert done.returncode != 0
    assert "the template has no tag v0.1.0" in done.stderr
    git(source, "fetch", "--quiet", "--depth=1", "origin", "tag", "v0.1.0")
    updated(update(project, source=str(source)))


@pytest.mark.slow
def test_each_version_has_its_own_tools(update: Update, tmp_path: Path) -> None:
    copy = copy_of_the_template(tmp_path / "template")
    made = [tmp_path / "of the old", tmp_path / "of the new"]
    edit(copy.folder / "Makefile", "\t@touch $@\n", f"\t@touch $@ '{made[0]}'\n")
    copy.release("v0.1.0")
    edit(copy.folder / "Makefile", str(made[0]), str(made[1]))
    add(copy.folder / "requirements.txt", "# moved\n")
    add(copy.stamped / PLAIN, "# of the template\n")
    copy.release("v0.2.0")
    project = copy.stamp(tmp_path / "out", "v0.1.0")
    updated(update(project, source=str(copy.folder)))
    assert all(path.exists() for path in made)
    assert (project / PLAIN).read_text("utf-8").endswith("# of the template\n")


def test_an_address_is_recorded_without_its_secret() -> None:
    assert without_secret("https://me:secret@x.example.org/t.git") == "https://x.example.org/t.git"
    assert without_secret("git@x.example.org:t.git") == "git@x.example.org:t.git"


def test_the_pins_of_both_sides_are_put_together() -> None:
    ours = (
        "b==1 \\\n    --hash=1\nc==1 ; python_full_version < '3.12' \\\n    --hash=2\n"
        "z==1 \\\n    --hash=3\n"
    )
    theirs = "a[x]==2 \\\n    --hash=4\nb==2 \\\n    --hash=5 \\\n    --hash=6\n"
    assert combined(ours, theirs) == (
        "a[x]==2 \\\n    --hash=4\nb==2 \\\n    --hash=5 \\\n    --hash=6\n"
        "c==1 ; python_full_version < '3.12' \\\n    --hash=2\nz==1 \\\n    --hash=3\n"
    )


def test_news_are_those_since_the_recorded_version(tmp_path: Path) -> None:
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text(
        "# C\n\n## Unreleased\n\n- u\n\n## v0.3.0 — 2027-01-01\n\n- c\n\n## v0.2.0\n\n- b\n"
    )
    assert news(changelog, "v0.2.0") == ["v0.3.0 — 2027-01-01\n\n- c"]
