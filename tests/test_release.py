"""What a release owes to those who have the one before; CONTRIBUTING.md says how to make one."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TEMPLATE, Stamp
from test_projects import environment
from test_update import SOMEBODY, STAMPED, VERSIONS, Template, answers, commit, contents, git

from stamping import TAG

__all__ = ["answers"]
CHANGELOG = (TEMPLATE / "CHANGELOG.md").read_text("utf-8")


def releases(changelog: str) -> list[str]:
    """Those that the changelog names, the newest first."""
    return re.findall(r"(?m)^## (v\d+\.\d+\.\d+)\b", changelog)


def last_release(changelog: str, tags: list[str], is_shallow: bool = False) -> str | None:
    """The newest release that has its tag; None if there was none yet.

    Raises:
        LookupError: a release has no tag here, and is not the one that is being made.
    """
    _, _, unreleased = changelog.partition("## Unreleased\n")
    is_being_made = not unreleased.partition("\n## ")[0].strip() and not is_shallow
    named = releases(changelog)
    missing = [release for release in named if release not in tags]
    if missing and not (is_being_made and missing == named[:1]):
        raise LookupError(
            f"no tag {' '.join(missing)} here: git fetch --tags, --unshallow if need be"
        )
    return next((release for release in named if release in tags), None)


@pytest.fixture(scope="module")
def before() -> str:
    """The tag of the last release; without one, the tests say that they have nothing to compare."""
    is_shallow = git(TEMPLATE, "rev-parse", "--is-shallow-repository") == "true\n"
    try:
        found = last_release(CHANGELOG, git(TEMPLATE, "tag", "--list").split(), is_shallow)
    except LookupError as fault:
        if os.environ.get("GITHUB_ACTIONS"):  # where the workflow fetches them
            raise
        pytest.skip(f"nothing is known of the last release: {fault}")
    return found or pytest.skip("no release is tagged yet, so there is nothing to update from")


def test_the_newest_release_is_what_a_project_records() -> None:
    assert [*releases(CHANGELOG), TAG][0] == TAG


@pytest.mark.parametrize(
    ("headings", "tags", "expected"),
    [
        ("## Unreleased\n\n- a\n", [], None),
        ("## v0.1.0 — 2026-11-28\n\n- a\n", [], None),
        ("## Unreleased\n\n- b\n\n## v0.1.0\n", ["v0.1.0"], "v0.1.0"),
        ("## Unreleased\n\n- b\n\n## v0.1.0\n", [], LookupError),
        ("## v0.2.0\n\n- b\n\n## v0.1.0\n", ["v0.1.0"], "v0.1.0"),
        ("## Unreleased\n\n## v0.10.0\n\n## v0.9.0\n", ["v0.10.0", "v0.9.0"], "v0.10.0"),
        ("## v0.2.0\n\n- b\n\n## v0.1.0\n", [], LookupError),
    ],
)
def test_a_missing_tag_is_not_taken_for_no_release(
    headings: str, tags: list[str], expected: str | type[Exception] | None
) -> None:
    if expected is LookupError:
        with pytest.raises(LookupError, match="git fetch --tags"):
            last_release(headings, tags)
    else:
        assert last_release(headings, tags) == expected


def test_a_shallow_clone_may_lack_the_tag() -> None:
    with pytest.raises(LookupError, match="--unshallow"):
        last_release("## v0.1.0\n\n- a\n", [], is_shallow=True)


@pytest.mark.slow
def test_an_untouched_project_of_the_last_release_becomes_what_is_stamped_out_now(
    before: str, stamp: Stamp, tmp_path: Path, answers: dict[str, str]
) -> None:
    git(tmp_path, "clone", "--quiet", "--branch", before, TEMPLATE, "template")
    project = Template(tmp_path / "template").stamp(tmp_path / "old", before, **answers)
    done = subprocess.run(
        [sys.executable, "-m", "stamping.update", project],
        cwd=TEMPLATE,
        env={**environment(), **SOMEBODY},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    fresh = stamp(tmp_path / "new", **answers)
    git(fresh, "init", "--quiet")
    commit(fresh, "stamped out")
    assert contents(project) == contents(fresh)


def test_what_projects_rely_on_is_still_there(before: str) -> None:
    released = json.loads(git(TEMPLATE, "show", f"{before}:cookiecutter.json"))
    now = json.loads((TEMPLATE / "cookiecutter.json").read_text("utf-8"))
    assert released.keys() <= now.keys(), "a project that has this answer cannot be updated"
    changed = git(
        TEMPLATE, "diff", "--diff-filter=a", "--name-only", before, "--", f"{STAMPED}/{VERSIONS}"
    )
    assert changed == "", "databases have applied these migrations"
    recorded = git(TEMPLATE, "show", f"{before}:stamping/__init__.py")
    assert f'TAG = "{before}"' in recorded, "its projects record another release"
