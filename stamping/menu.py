"""`python -m stamping.menu PROJECT [DISH [TEMPLATE]]`: what can be ordered, or one more dish.

A dish is a further deployment of a project's model, a folder of its own in `dishes/`. In `menu/` it
is a small cookiecutter, rendered with the answers of the project. Which ones a project has is one
of these, `__dishes`, so that whatever stamps the project out again stamps them out as well.
A project's `make dishes` and `make order` call this in a clone of the template at its version.
"""

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stamping import RECORD, TEMPLATE
from stamping.git import Refused, run
from stamping.names import indented, short

MENU = TEMPLATE / "menu"
SHARED = MENU / "shared"
"""The files that several dishes have alike; each names those that it has, as `_shared`."""
DISHES = "dishes"

Answers = Mapping[str, Any]


def menu() -> dict[str, dict[str, Any]]:
    """The settings of each dish: its name, when to choose it (`__when`), what it shares."""
    found = sorted(MENU.glob("*/cookiecutter.json"))
    return {path.parent.name: json.loads(path.read_text("utf-8")) for path in found}


def dish_faults(dishes: str) -> Iterator[str]:
    """The faults of an answer that names dishes."""
    for dish in dishes.split():
        if dish not in menu():
            yield f"__dishes: {short(dish)} is none of {' '.join(menu())}"


def serve(dish: str, answers: Answers) -> None:
    """Put a dish into the `dishes/` of the current folder, rendered with the project's answers."""
    from cookiecutter.generate import generate_files

    settings = menu()[dish]
    context = {"cookiecutter": {**answers, "_copy_without_render": [], **settings}}
    # The project's own folder was new, or `cookiecutter` was to overwrite it.
    generate_files(str(MENU / dish), context, DISHES, overwrite_if_exists=True, accept_hooks=False)
    for name in settings.get("_shared", []):
        shutil.copy2(SHARED / name, Path(DISHES, dish, name))


def order(project: Path, dish: str, template: str = "") -> None:
    """Add a dish to a project: its folder, and its name to the record.

    Raises:
        Refused: there is no such dish, or its folder is there already.
    """
    folder, record = project / DISHES / dish, json.loads((project / RECORD).read_text("utf-8"))
    if dish not in menu():
        raise Refused(f"there is no dish {short(dish)}; there are: {' '.join(menu())}")
    if folder.exists():
        raise Refused(f"{folder.relative_to(project)} is there already")
    answers = record["answers"]
    answers["__dishes"] = " ".join(sorted({*answers.get("__dishes", "").split(), dish}))
    record["template"] = template or record["template"]
    with TemporaryDirectory() as scratch:
        recorded, out = Path(scratch, RECORD), Path(scratch, "out")
        recorded.write_text(json.dumps(record), "utf-8")
        run(["make", "--silent", "-C", TEMPLATE, ".venv/ready"], TEMPLATE)
        run([TEMPLATE / ".venv/bin/python", "-m", "stamping.rendering", recorded, out], TEMPLATE)
        (rendered,) = out.iterdir()
        folder.parent.mkdir(exist_ok=True)
        shutil.move(rendered / DISHES / dish, folder)
    (project / RECORD).write_text(indented(record), "utf-8", newline="\n")


def main(project: Path, dish: str = "", template: str = "") -> None:
    """List the dishes, those that are there marked; or add one."""
    if dish:
        order(project, dish, template)
        return
    for name, settings in menu().items():
        is_there = (project / DISHES / name).exists()
        print(f"{'*' if is_there else ' '} {name:<12}{settings['__when']}")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]).resolve(), *sys.argv[2:4])
    except Refused as reason:
        sys.exit(f"order: {reason}")
