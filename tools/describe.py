"""`make describe CSV=... TARGET=...`: read a CSV, print the cookiecutter command that fits it."""

import json
import re
import shlex
import sys
import unicodedata
from pathlib import Path
from types import ModuleType
from typing import Any

HOOK = Path(__file__).parent.parent / "hooks" / "pre_gen_project.py"
MOST_CATEGORIES = 200
MISSING = {"-", "?", "n/a", "na", "nan", "none", "null"}
DATE = re.compile(
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}"
    r"|\d{1,2}[-/. ](\d{1,2}|[A-Za-z]{3,9})[-/. ]\d{2,4}"
    r"|[A-Za-z]{3,9} \d{1,2},? \d{4})([T ,].*)?"
    r"|\d{1,2}:\d{2}(:\d{2}.*)?"
)


class Unfit(Exception):
    """Why a column cannot be declared, or a file not be described, in one line."""


def describe(csv: str, target: str) -> tuple[list[str], str]:
    """One line on each column of the file, and the command.

    Raises Unfit where no command would fit.
    """
    path, hook = Path(csv).resolve(), load_hook()
    if re.search(r"{[{%#]", str(path)):
        raise Unfit(f"{path} would be read as a Jinja template; rename it")
    try:
        header, numbered = hook.read(path)
    except ValueError as error:
        raise Unfit(f"{csv} {error}") from error
    if len(numbered) < hook.FEWEST_ROWS:
        raise Unfit(f"{csv} has {len(numbered)} rows; {hook.FEWEST_ROWS} are the fewest")
    if target not in header:
        raise Unfit(f"{csv} has no column {target!r}, only {', '.join(map(hook.short, header))}")

    remarks, features, label = [f"{path.name}: {len(numbered)} rows"], [], ""
    for index, name in enumerate(header):
        cells = [row[index] for _, row in numbered]
        try:
            kind = kind_of(hook, [cell for cell in cells if cell], is_target=name == target)
            check_name(hook, name, header, target)
            if name == target and "" in cells:
                raise Unfit(f"{cells.count('')} cells are empty; leave these rows out")
        except Unfit as reason:
            if name == target:
                raise Unfit(f"the target {name!r} will not do: {reason}") from reason
            remarks.append(f"{hook.short(name)}: left out, {reason}")
            continue
        field = f"{name}:{kind}{'?' if '' in cells else ''}"
        remarks.append(f"{field} {detail(cells, kind)}".rstrip())
        if name == target:
            label = field
        else:
            features.append(field)
    if not features:
        raise Unfit("; ".join([*remarks, "no column is left to be a feature"]))
    answers = [f"features={' '.join(features)}", f"target={label}", f"history={path}"]
    return remarks, shlex.join([".venv/bin/cookiecutter", ".", "-o", "..", *answers])


def load_hook(**answers: str) -> Any:
    """pre_gen_project as a module: the rules that will check the answers decide what fits here."""
    source = HOOK.read_text("utf-8").replace("{{ cookiecutter | tojson }}", json.dumps(answers))
    module = ModuleType("pre_gen_project")
    exec(compile(source, HOOK, "exec"), module.__dict__)
    return module


def check_name(hook: Any, name: str, header: list[str], target: str) -> None:
    """Raise Unfit where the project could not use the column's name."""
    if header.count(name) > 1:
        raise Unfit("more than one column has this name")
    if not (faults := list(hook.field_name_faults(name, target))):
        return
    bare = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", bare).strip("_").lower()
    legal = snake not in header and not list(hook.field_name_faults(snake, target))
    advice = f"rename the column{f' to {snake}' if legal else ''} to use it"
    raise Unfit(f"{' and '.join(faults)}; {advice}")


def kind_of(hook: Any, cells: list[str], is_target: bool) -> str:
    """The type of a column, from the cells that are not empty; raises Unfit where it has none."""
    values = set(cells)

    def fits(kind: str) -> bool:
        return all(hook.plain(kind, value) is not None for value in values)

    if len(values) < 2:
        raise Unfit(f"always {hook.short(cells[0])}" if cells else "always empty")
    if fits("bool") and len({hook.plain("bool", value) for value in values}) == 2:
        return "bool"
    is_unique = len(values) == len(cells)
    if not any(re.fullmatch(r"\s*[+-]?0\d+\s*", value) for value in values):
        if fits("int") and not any(re.search("[.eE]", value) for value in values):
            if is_unique and not is_target:
                raise Unfit("another whole number in every row, like an id")
            return "int"
        if fits("float"):
            if all(re.fullmatch(r"\s*[+-]?\d+\s*", value) for value in values):
                raise Unfit("whole numbers beyond 2^53, like an id")
            return "float"
    missing = sorted(value for value in values if value.strip().lower() in MISSING)
    if missing and all(hook.plain("float", value) for value in values.difference(missing)):
        raise Unfit(f"numbers but for {missing[0]!r}; empty the cells whose value is missing")
    if all(DATE.fullmatch(value) for value in values):
        raise Unfit("dates or times; turn what matters of them into numbers or categories")
    if not fits("category"):
        raise Unfit("free text, longer than 200 characters or with control characters")
    if is_unique:
        raise Unfit("another text in every row, like an id")
    if len(values) > min(MOST_CATEGORIES, len(cells) / 2):
        raise Unfit(f"free text, {len(values)} different ones in {len(cells)} cells")
    return "category"


def detail(cells: list[str], kind: str) -> str:
    """What else is worth knowing of a column that can be declared."""
    values = sorted(set(cells) - {""})
    parts = [f"{cells.count('')} missing"] if "" in cells else []
    if kind in ("bool", "category"):
        shown = ", ".join(values[:8])
        parts.append(f"{len(values)} values: {shown}{', ...' if len(values) > 8 else ''}")
    elif kind == "int" and len(values) <= 10:
        parts.append(f"only {len(values)} values; if they are names of classes, say category")
    return f"({'; '.join(parts)})" if parts else ""


def main(arguments: list[str]) -> None:
    """Print what was found and the command, or exit with 1 after one line."""
    if len(arguments) != 2 or not all(arguments):
        sys.exit("usage: make describe CSV=history.csv TARGET=column")
    try:
        remarks, command = describe(*arguments)
    except Unfit as error:
        sys.exit(f"describe: {error}")
    print("\n  ".join(remarks), end="\n\n")
    print("Paste this, change what you know better; it asks for the other answers:", end="\n\n")
    print(command)


if __name__ == "__main__":
    main(sys.argv[1:])
