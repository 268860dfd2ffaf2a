"""Check every answer, print one line per fault, and stage the checked history.

The history is staged in the new project's folder, in the form in which post_gen places it.
"""

import contextlib
import csv
import importlib.metadata
import json
import keyword
import math
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ANSWERS = json.loads(r"""
{{ cookiecutter | tojson }}
""")

STAGED = Path(".history.csv")
SAMPLE_FITS = ("hour:float day:category distance:float items:int", "wait_seconds:float")
FEWEST_ROWS = 50
LONGEST_NAME = 40
LONGEST_TEXT = {"project_name": 60, "description": 120, "team": 40}

TYPES = {
    "float": "a finite number",
    "int": "a whole number within ±2^53",
    "bool": "true or false (yes or no, 1 or 0)",
    "category": "a text of 1 to 200 characters, none a control character",
}
NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*", re.ASCII)
WHOLE = re.compile(r"\s*[+-]?[0-9]{1,40}\s*", re.ASCII)
CATEGORY = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,200}")
BOOLS = dict.fromkeys(("true", "yes", "1"), "true") | dict.fromkeys(("false", "no", "0"), "false")

PYTHON = " ".join(keyword.kwlist).lower()
# The service quotes its names, but people who query its database by hand do not.
SQL = """
    add all alter analyse analyze and any array as asc asymmetric authorization autoincrement
    between binary both case cast check collate collation column commit concurrently constraint
    create cross current_catalog current_date current_role current_schema current_time
    current_timestamp current_user default deferrable delete desc distinct do drop else end escape
    except exists false fetch for foreign freeze from full grant group having ilike in index
    initially inner insert intersect into is isnull join lateral leading left like limit localtime
    localtimestamp natural not nothing notnull null offset on only or order outer overlaps placing
    primary raise references returning right select session_user set similar some symmetric
    system_user table tablesample then to trailing transaction true union unique update user using
    values variadic verbose when where window with cmax cmin ctid tableoid xmax xmin
"""
FIELDS_TAKEN = """
    id type metadata created_at recorded_at probabilities
    bool datetime dict float int mapped_column now registry self str type_annotation_map types
    construct copy from_orm json parse_file parse_obj parse_raw schema schema_json
    update_forward_refs validate
"""
ENTITIES_TAKEN = """
    any base base_model class_var config_dict fault health inputs literal mapped metadata
    model_version moment outcome prediction problem request served_by
"""
PLURALS_TAKEN = """
    alembic_version docs health livez metrics model_versions predictions readyz
"""


def main() -> None:
    """Exit with 1 after a line a fault, or leave the history staged."""
    faults = all_faults()
    if faults:
        STAGED.unlink(missing_ok=True)
        remove_nested_folders()
        sys.exit(
            "\n".join(["", "Nothing is stamped out, for these answers are at fault:", *faults])
        )


def all_faults() -> list[str]:
    """One line on each fault of the answers."""
    return [
        *version_faults(),
        *text_faults(),
        *slug_faults(),
        *entity_faults(),
        *field_faults(),
        *history_faults(),
    ]


def remove_nested_folders() -> None:
    """Remove every folder that a slug like a/b made; cookiecutter would remove the last alone."""
    folder, parts = Path.cwd(), Path(ANSWERS["project_slug"]).parts
    with contextlib.suppress(OSError):
        for _ in parts if len(parts) > 1 else ():
            folder.rmdir()
            folder = folder.parent


def short(value: str) -> str:
    """The value on one line, quoted, cut where it gets long."""
    return repr(value) if len(value) <= 40 else f"{value[:40]!r}..."


def version_faults() -> Iterator[str]:
    """The fault of a cookiecutter that is too old."""
    installed = importlib.metadata.version("cookiecutter")
    if [int(part) for part in re.findall(r"\d+", installed)[:2]] < [2, 7]:
        yield f"cookiecutter: this is {installed}, and the template needs 2.7 or later"


def text_faults() -> Iterator[str]:
    """The faults of the texts for people, which end up in YAML, TOML, Python and a shell."""
    for answer, longest in LONGEST_TEXT.items():
        value = ANSWERS[answer]
        if not any(character.isalnum() for character in value):
            yield f"{answer}: {short(value)} has neither a letter nor a digit"
        if len(value) > longest:
            yield f"{answer}: {short(value)} is longer than {longest} characters"
        if value != value.strip():
            yield f"{answer}: {short(value)} starts or ends with a space"
        if bad := sorted({each for each in value if not each.isprintable() or each in '"\\`${}<>'}):
            yield f"{answer}: {short(value)} holds {' '.join(map(repr, bad))}"


def slug_faults() -> Iterator[str]:
    """The faults of the name of folders, images and Kubernetes objects."""
    slug = ANSWERS["project_slug"]
    if not re.fullmatch(r"[a-z][a-z0-9-]*[a-z0-9]", slug):
        yield f"project_slug: {short(slug)} is not kebab-case (a-z, 0-9, inner -; a letter first)"
    if len(slug) > LONGEST_NAME:
        yield f"project_slug: {short(slug)} is longer than {LONGEST_NAME} characters"


def name_faults(name: str, taken: dict[str, str]) -> Iterator[str]:
    """The faults of a name that becomes an identifier; `taken` has, by owner, the names in use."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        yield f"{short(name)} is not snake_case (a-z, 0-9, _; a letter first)"
    if len(name) > LONGEST_NAME:
        yield f"{short(name)} is longer than {LONGEST_NAME} characters"
    for owner, names in taken.items():
        if name in names.split():
            yield f"{short(name)} is taken by {owner}"


def entity_faults() -> Iterator[str]:
    """The faults of the entity's name and of its plural."""
    entity, plural = ANSWERS["entity"], ANSWERS["__plural"]
    taken = {"Python": PYTHON, "the stamped code": ENTITIES_TAKEN}
    yield from (f"entity: {fault}" for fault in name_faults(entity, taken))
    taken = {"Python": PYTHON, "SQL": SQL, "the stamped code": PLURALS_TAKEN, "the entity": entity}
    for fault in name_faults(plural, taken):
        yield f"__plural: {fault}; say __plural=... for another plural of the entity"


def field_name_faults(name: str, target: str) -> Iterator[str]:
    """The faults of the name of a feature, or of the target."""
    stamped = f"{FIELDS_TAKEN} expected_{target}"
    yield from name_faults(name, {"Python": PYTHON, "SQL": SQL, "the stamped code": stamped})
    if name.startswith("model_"):
        yield f"{short(name)} is taken by pydantic, as is every model_..."


def split(field: str) -> tuple[str, str, bool]:
    """The name, the type and whether a cell may be missing."""
    name, _, kind = field.partition(":")
    return name, kind.removesuffix("?"), kind.endswith("?")


def field_faults() -> Iterator[str]:
    """The faults of the features and of the target: names, types, and how they go together."""
    features, target = ANSWERS["features"].split(), ANSWERS["target"]
    names = [split(feature)[0] for feature in features]
    target_name, _, target_optional = split(target)
    if not features:
        yield "features: there is none; write them like hour:float day:category"
    for answer, field in [*(("features", feature) for feature in features), ("target", target)]:
        name, kind, _ = split(field)
        yield from (f"{answer}: {fault}" for fault in field_name_faults(name, target_name))
        if kind not in TYPES:
            yield f"{answer}: {short(field)} has none of the types {' '.join(TYPES)}, as name:type"
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"features: {short(name)} is there more than once"
    if target_name in names:
        yield f"target: {short(target_name)} is among the features"
    if target_optional:
        yield f"target: {short(target)} may not be missing; leave out the ?"


def history_faults() -> Iterator[str]:
    """The faults of the history; one that has none is staged."""
    history = ANSWERS["history"]
    if history == "none":
        return
    if history == "sample":
        if (" ".join(ANSWERS["features"].split()), ANSWERS["target"]) != SAMPLE_FITS:
            yield "history: sample fits the default features and target only; name a CSV, or none"
        return
    found = {path.resolve() for path in places(history) if os.path.isfile(path)}
    if not found:
        looked = ", ".join(str(path.parent) for path in places(history))
        yield f"history: there is no file {short(history)} (looked in {looked})"
    elif len(found) > 1:
        yield f"history: {short(history)} is more than one file; write its whole path"
    else:
        path = found.pop()
        name = short(path.name)
        try:
            yield from (f"history: {name} {fault}" for fault in table_faults(*read(path)))
        except ValueError as error:
            yield f"history: {name} {error}"


def places(history: str) -> list[Path]:
    """Where a path may lead.

    A relative path starts where the user called. Hooks run elsewhere, so it is the shell's PWD. For
    calls without a shell, from another folder than PWD, the output folder (by default the caller's
    own) and its parent are tried as well. During an update by cruft, which knows no output folder,
    the history is also found where it was placed before.
    """
    path = Path(os.path.expanduser(history))
    called = Path(os.environ.get("PWD", ""))
    if "_output_dir" not in ANSWERS:
        placed = called / "data" / "history.csv"
        return [called / path if os.path.isfile(called / path) else placed]
    output = Path(ANSWERS["_output_dir"])
    return list(dict.fromkeys(base / path for base in (called, output, output.parent)))


def read(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and the rows with the line of the file on which each ends.

    Raises ValueError with what is wrong in one line, where it is no CSV.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            rows = [(reader.line_num, row) for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"is no CSV in UTF-8: {error}") from error
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    for number, (line, row) in enumerate(rows, 1):
        if len(row) != len(header):
            raise ValueError(
                f"has {len(row)} cells in row {number} (line {line}), not {len(header)}"
            )
    return header, rows


def table_faults(header: list[str], rows: list[tuple[int, list[str]]]) -> Iterator[str]:
    """The faults of the declared columns, which are staged."""
    if len(rows) < FEWEST_ROWS:
        yield f"has {len(rows)} rows, and {FEWEST_ROWS} are the fewest to train on"
    columns: dict[str, list[str | None]] = {}
    for name, kind, optional in map(split, [*ANSWERS["features"].split(), ANSWERS["target"]]):
        if (times := header.count(name)) != 1:
            found = f"{times} columns" if times else "no column"
            yield f"has {found} {short(name)} in its header {short(','.join(header))}"
        elif kind in TYPES:
            texts = [row[header.index(name)] for _, row in rows]
            cells = ["" if optional and not text else plain(kind, text) for text in texts]
            columns[name] = cells
            if misfits := [number for number, cell in enumerate(cells) if cell is None]:
                line, text = rows[misfits[0]][0], texts[misfits[0]]
                found = short(text) if text else "an empty cell (declare it with ? if it may be)"
                yield (
                    f"column {short(name)} has {found} in row {misfits[0] + 1} (line {line}), not"
                    f" {TYPES[kind]}; such rows: {len(misfits)}"
                )
    target, kind, _ = split(ANSWERS["target"])
    classes = set(columns.get(target, ())) - {None}
    if kind in ("bool", "category") and len(classes) == 1:
        yield f"has one class only, {short(str(*classes))}, in the target {short(target)}"
    with STAGED.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def plain(kind: str, text: str) -> str | None:
    """The cell as the project will hold it; None where it is not a value of this type.

    What a value is, contract/types.py says in the project; a test holds the two together.
    """
    if kind == "bool":
        return BOOLS.get(text.strip().lower())
    if kind == "category":
        return text if CATEGORY.fullmatch(text) else None
    if not NUMBER.fullmatch(text):
        return None
    if kind == "float":
        return text.strip() if math.isfinite(float(text)) else None
    number = int(text) if WHOLE.fullmatch(text) else float(text)
    return str(int(number)) if abs(number) <= 2**53 and number % 1 == 0 else None


if __name__ == "__main__":
    main()
