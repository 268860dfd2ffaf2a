"""`make update`, `make dishes`, `make order`: what the template has for its projects.

This fetches the template, at a newer version or at the one that the project has, and has that
version do it. `.template.json` says where the template is, which version this project has, and what
was answered.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / ".template.json"
RELEASE = re.compile(r"v(\d+)\.(\d+)\.(\d+)")


def update(version: str, given: str) -> None:
    """Update to this version of the template, or the newest; the template may be elsewhere now."""
    record = record_of(given)
    template = record["template"]
    refs = git("ls-remote", "--tags", "--refs", "--", template).split()
    tags = [ref.removeprefix("refs/tags/") for ref in refs[1::2]]
    wanted = version or max(tags, key=order_of, default="")
    if wanted not in tags or not order_of(wanted):
        fail(f"{template} has no release {version or 'like v1.2.3'} among its tags")
    if order_of(wanted) <= order_of(record["tag"]):
        print(f"this project has {record['tag']}; {wanted} is not newer")
        return
    with template_at(template, wanted) as folder:
        sys.exit(run_there(folder, "stamping.update", given))


def dishes(given: str) -> None:
    """List the deployments that can be ordered."""
    record = record_of(given)
    with menu_at(record) as folder:
        sys.exit(run_there(folder, "stamping.menu"))


def order(dish: str, given: str) -> None:
    """Add a deployment, unless it cannot serve the current version, which it then says itself."""
    if not dish:
        fail("say which one: make order DISH=name; `make dishes` lists them")
    record, before = record_of(given), RECORD.read_bytes()
    with menu_at(record) as folder:
        if status := run_there(folder, "stamping.menu", dish, given):
            sys.exit(status)
    made = ROOT / "dishes" / dish
    command = ["make", "--silent", "--no-print-directory", "-C", str(made), "able"]
    if subprocess.run(command, check=False).returncode:
        shutil.rmtree(made)
        with suppress(OSError):
            made.parent.rmdir()  # unless there are others
        RECORD.write_bytes(before)
        fail(f"{dish} cannot serve this project's model, see above; nothing is changed")
    print(f"dishes/{dish}/README.md says what it is; make -C dishes/{dish} check tests it")


def fail(fault: str) -> NoReturn:
    """Exit with 1 after a line on why it cannot be done."""
    sys.exit(f"{sys.argv[1]}: {fault}")


def record_of(given: str) -> dict[str, Any]:
    """What the project records, with where the template is now, if that was given."""
    try:
        record: dict[str, Any] = json.loads(RECORD.read_text("utf-8"))
    except (OSError, ValueError) as fault:
        fail(f"{RECORD.name} cannot be read: {fault}")
    record["template"] = given or record["template"]
    if not record["template"]:
        fail(f"say where the template is: make {sys.argv[1]} TEMPLATE=path-or-URL")
    return record


def order_of(tag: str) -> list[int]:
    """By which a release is newer than another; what is no release comes before all."""
    found = RELEASE.fullmatch(tag)
    return [int(number) for number in found.groups()] if found else []


@contextmanager
def menu_at(record: Mapping[str, Any]) -> Iterator[Path]:
    """The template at the version that the project has, or as it stands after that, with a menu."""
    tag = record["tag"]
    with TemporaryDirectory() as scratch:
        folder = Path(scratch, "template")
        git("clone", "--quiet", "--", record["template"], folder)
        comes_after = f'TAG = "{tag}"' in (folder / "stamping/__init__.py").read_text("utf-8")
        is_released = tag in git("-C", folder, "tag").split()
        if is_released and not (comes_after and no_menu(folder, tag)):
            git("-C", folder, "checkout", "--quiet", tag)
        elif not comes_after:
            fail(f"the template has no {tag}, which {RECORD.name} names")
        if no_menu(folder, "HEAD"):
            fail(f"{tag} of the template has no menu yet: make update")
        yield folder


def no_menu(template: Path, version: str) -> bool:
    """Whether there was none yet."""
    return not git("-C", template, "ls-tree", "--name-only", version, "menu")


@contextmanager
def template_at(template: str, tag: str) -> Iterator[Path]:
    """A clone of the template at one of its tags, for as long as it is needed."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch, "template")
        quiet = ("--quiet", "--config", "advice.detachedHead=false", "--branch", tag)
        git("clone", *quiet, "--", template, folder)
        yield folder


def git(*arguments: str | Path) -> str:
    """What a git command prints; what went wrong it says itself."""
    done = subprocess.run(["git", *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        fail("the template cannot be read, see above")
    return done.stdout


def run_there(template: Path, module: str, *arguments: str) -> int:
    """Have a version of the template do it; the exit status."""
    command = [sys.executable, "-m", module, str(ROOT), *arguments]
    return subprocess.run(command, cwd=template, check=False).returncode


COMMANDS: dict[str, Callable[..., None]] = {"update": update, "dishes": dishes, "order": order}

if __name__ == "__main__":
    try:
        COMMANDS[sys.argv[1]](*sys.argv[2:])
    except KeyboardInterrupt:
        sys.exit(130)
