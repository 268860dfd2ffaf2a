"""Ordering: `make dishes` and `make order` in a project, and that `make update` follows."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Stamp, StampFailed
from test_projects import environment
from test_update import SOMEBODY, Template, add, commit, copy_of_the_template, edit, git

SMALL = "menu/small/{{cookiecutter.dish}}"
Make = Callable[..., subprocess.CompletedProcess[str]]


def write_dish(template: Path, name: str, able: str, **settings: object) -> None:
    dish = {"dish": name, "__when": f"when you want {name}", **settings}
    add(template / "menu" / name / "cookiecutter.json", json.dumps(dish))
    add(
        template / "menu" / name / "{{cookiecutter.dish}}" / "Makefile",
        f"able:\n\t@{able}\n\ncheck:\n\t@echo checked {{{{ cookiecutter.__plural }}}}\n",
    )


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """A copy of the template with two more dishes, one of which serves no model."""
    copy = copy_of_the_template(tmp_path_factory.mktemp("menu") / "template")
    write_dish(copy.folder, "small", "true", _shared=["both.py"])
    write_dish(copy.folder, "greedy", "echo 'it needs more' >&2; exit 1")
    add(copy.folder / "menu/shared/both.py", "# {{ as it is }}\n")
    makefile = copy.folder / "Makefile"
    text, _, rest = makefile.read_text("utf-8").partition(".venv/ready: requirements.txt\n")
    _, _, rest = rest.partition("\n\n")
    makefile.write_text(f"{text}.venv/ready:\n\tln -s {Path(sys.prefix)} .venv\n\n{rest}", "utf-8")
    copy.release("v0.1.0")
    add(copy.folder / SMALL / "Makefile", "# newer\n")
    add(copy.folder / SMALL / "new.py", '"""New."""\n')
    copy.release("v0.2.0")
    return copy


@pytest.fixture
def project(template: Template, tmp_path: Path) -> Path:
    return template.stamp(tmp_path / "out", "v0.1.0", __template=str(template.folder))


def make(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments],
        cwd=project,
        env={**environment(PYTHON=sys.executable), **SOMEBODY},
        capture_output=True,
        text=True,
        check=False,
    )


def ordered(project: Path, dish: str) -> str:
    done = make(project, "order", f"DISH={dish}")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_dish_is_a_folder_and_one_line_of_a_list(project: Path) -> None:
    assert "  small       when you want small\n" in make(project, "dishes").stdout
    assert "dishes/small/README.md" in ordered(project, "small")
    assert git(project, "status", "--porcelain") == " M .template.json\n?? dishes/\n"
    assert git(project, "diff", "--numstat") == "1\t1\t.template.json\n"
    assert {path.name for path in (project / "dishes/small").iterdir()} == {"Makefile", "both.py"}
    assert (project / "dishes/small/both.py").read_text() == "# {{ as it is }}\n"
    listed = make(project, "dishes").stdout
    assert "* small " in listed
    assert "  greedy " in listed
    assert make(project, "dishes/small/check").stdout == "checked orders\n"
    assert "dishes/small" in make(project, "--dry-run", "check").stdout
    again = make(project, "order", "DISH=small")
    assert again.returncode != 0
    assert "dishes/small is there already" in again.stderr


def test_what_cannot_be_ordered_says_why_and_leaves_nothing(project: Path) -> None:
    for dish, why in (
        ("greedy", "it needs more\n"),
        ("greedy", "order: greedy cannot serve this project's model, see above; nothing is"),
        ("cake", "there is no dish 'cake'; there are: "),
        ("../../x", "there is no dish '../../x'; there are: "),
        ("", "say which one: make order DISH=name"),
    ):
        done = make(project, "order", f"DISH={dish}")
        assert done.returncode != 0
        assert why in done.stderr
        assert git(project, "status", "--porcelain") == ""
        assert not (project / "dishes").exists()


def test_an_update_follows_dishes_and_leaves_alone_those_that_were_deleted(
    project: Path,
) -> None:
    ordered(project, "small")
    add(project / "dishes/small/both.py", "# ours\n")
    commit(project, "ordered")
    assert make(project, "update", "VERSION=v0.2.0").returncode == 0
    assert (project / "dishes/small/Makefile").read_text().endswith("# newer\n")
    assert (project / "dishes/small/new.py").exists()
    assert (project / "dishes/small/both.py").read_text().endswith("# ours\n")
    assert '"__dishes": "small"' in (project / ".template.json").read_text()


def test_a_deleted_dish_stays_deleted_and_can_be_ordered_again(project: Path) -> None:
    ordered(project, "small")
    commit(project, "ordered")
    git(project, "rm", "-r", "--quiet", "dishes")
    commit(project, "not wanted")
    assert "dishes" not in make(project, "--dry-run", "check").stdout.replace("make dishes", "")
    done = make(project, "update", "VERSION=v0.2.0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (project / "dishes").exists()
    ordered(project, "small")
    assert (project / "dishes/small/new.py").exists()


def test_a_project_of_a_release_without_a_menu_is_told_to_update(
    template: Template, project: Path, tmp_path: Path
) -> None:
    git(tmp_path, "clone", "--quiet", template.folder, "older")
    older = tmp_path / "older"
    git(older, "rm", "-r", "--quiet", "menu", "stamping/menu.py")
    commit(older, "as it once was")
    git(older, "tag", "--force", "v0.1.0")
    done = make(project, "dishes", f"TEMPLATE={older}")
    assert done.returncode != 0
    assert "v0.1.0 of the template has no menu yet: make update" in done.stderr


def test_a_template_that_is_not_released_again_yet_is_taken_as_it_stands(
    template: Template, project: Path, tmp_path: Path
) -> None:
    git(template.folder, "checkout", "--quiet", "v0.2.0")
    git(tmp_path, "clone", "--quiet", "--no-tags", template.folder, "newer")
    newer = tmp_path / "newer"
    done = make(project, "dishes", f"TEMPLATE={newer}")
    assert "has no v0.1.0, which .template.json names" in done.stderr
    edit(newer / "stamping/__init__.py", "v0.2.0", "v0.1.0")
    commit(newer, "comes after v0.1.0")
    assert make(project, "order", "DISH=small", f"TEMPLATE={newer}").returncode == 0
    assert (project / "dishes/small/new.py").exists()


def test_an_unknown_dish_is_a_fault_of_the_answers(stamp: Stamp, tmp_path: Path) -> None:
    with pytest.raises(StampFailed, match="__dishes: 'cake' is none of "):
        stamp(tmp_path, __dishes="cake")


def test_dishes_can_be_stamped_out_at_once(template: Template, project: Path) -> None:
    ordered(project, "small")
    again = template.stamp(
        project.parent / "again", "v0.1.0", __template=str(template.folder), __dishes="small"
    )
    assert git(project, "ls-files", "--others") == "dishes/small/Makefile\ndishes/small/both.py\n"
    for name in ("dishes/small/Makefile", "dishes/small/both.py", ".template.json"):
        assert (again / name).read_bytes() == (project / name).read_bytes()
