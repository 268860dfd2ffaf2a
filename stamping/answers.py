"""Check every answer, print one line per fault, and stage the checked history.

The history is staged in the new project's folder, in the form in which `placing` places it.
"""

import contextlib
import importlib.metadata
import json
import keyword
import re
import sys
import zoneinfo
from collections.abc import Iterator, Mapping
from pathlib import Path

from stamping import menu, staging
from stamping.cells import KINDS
from stamping.fields import WAYS, Field, features_of, field_of, split_column
from stamping.names import LONGEST, name_of, short, visible
from stamping.private import private_faults

SAMPLE_FITS = ("hour:float day:category distance:float items:int", "wait_seconds:float")
LONGEST_TEXT = {"project_name": 60, "description": 120, "team": 40}
INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Characters that show nothing although Python takes them for printable."""
ORDERED = ("float", "int", "datetime")
"""The kinds of column in whose order rows can stand."""

PYTHON = " ".join(keyword.kwlist).lower()
ENTITIES_TAKEN = """
    alive any base base_model class_var config_dict fault health idempotency_key inputs literal
    mapped metadata model_version moment outcome prediction problem ready request served_by
"""
PLURALS_TAKEN = """
    alembic_version docs explain health idempotency_keys livez metrics model_versions predictions
    readyz report
"""

Answers = Mapping[str, str]


def main(answers: Answers) -> None:
    """Exit with 1 after a line a fault, or leave the history staged."""
    faults = all_faults(answers)
    if faults:
        staging.remove()
        remove_nested_folders(answers["project_slug"])
        sys.exit(
            "\n".join(["", "Nothing is stamped out, for these answers are at fault:", *faults])
        )


def all_faults(answers: Answers) -> list[str]:
    """One line on each fault of the answers."""
    faults = [
        *version_faults(),
        *text_faults(answers),
        *slug_faults(answers["project_slug"]),
        *entity_faults(answers["entity"], answers["__plural"]),
        *field_faults(answers),
        *split_faults(answers),
        *timezone_faults(answers["__timezone"]),
        *menu.dish_faults(answers["__dishes"]),
        *private_faults(answers),
        *history_faults(answers),
    ]
    return list(map(visible, faults))


def remove_nested_folders(slug: str) -> None:
    """Remove every folder that a slug like a/b made; cookiecutter would remove the last alone."""
    folder, parts = Path.cwd(), Path(slug).parts
    with contextlib.suppress(OSError):
        for _ in parts if len(parts) > 1 else ():
            folder.rmdir()
            folder = folder.parent


def version_faults() -> Iterator[str]:
    """The fault of a cookiecutter that is too old."""
    installed = importlib.metadata.version("cookiecutter")
    if [int(part) for part in re.findall(r"\d+", installed)[:2]] < [2, 7]:
        yield f"cookiecutter: this is {installed}, and the template needs 2.7 or later"


def text_faults(answers: Answers) -> Iterator[str]:
    """The faults of the texts for people, which end up in YAML, TOML, Python and a shell."""
    for answer, longest in LONGEST_TEXT.items():
        value = answers[answer]
        if not any(character.isalnum() for character in value):
            yield f"{answer}: {short(value)} has neither a letter nor a digit"
        if len(value) > longest:
            yield f"{answer}: {short(value)} is longer than {longest} characters"
        if value != value.strip():
            yield f"{answer}: {short(value)} starts or ends with a space"
        if bad := sorted(filter(_may_not_stand_in_text, set(value))):
            yield f"{answer}: {short(value)} holds {' '.join(map(ascii, bad))}"


def _may_not_stand_in_text(character: str) -> bool:
    """Whether it ends a string, a comment or a template somewhere, or people cannot see it."""
    return not character.isprintable() or character in INVISIBLE or character in '"\\`${}<>'


def slug_faults(slug: str) -> Iterator[str]:
    """The faults of the name of folders, images and Kubernetes objects."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*[a-z0-9]", slug):
        yield f"project_slug: {short(slug)} is not kebab-case (a-z, 0-9, inner -; a letter first)"
    if len(slug) > LONGEST:
        yield f"project_slug: {short(slug)} is longer than {LONGEST} characters"


def entity_faults(entity: str, plural: str) -> Iterator[str]:
    """The faults of the entity's name and of its plural."""
    taken = {"Python": PYTHON, "the stamped code": ENTITIES_TAKEN}
    yield from (f"entity: {fault}" for fault in _word_faults(entity, taken))
    taken = {"Python": PYTHON, "the stamped code": PLURALS_TAKEN, "the entity": entity}
    for fault in _word_faults(plural, taken):
        yield f"__plural: {fault}; say __plural=... for another plural of the entity"


def _word_faults(word: str, taken: dict[str, str]) -> Iterator[str]:
    """The faults of a word that becomes an identifier; `taken` has, by owner, those in use."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", word):
        yield f"{short(word)} is not snake_case (a-z, 0-9, _; a letter first)"
    if len(word) > LONGEST:
        yield f"{short(word)} is longer than {LONGEST} characters"
    for owner, words in taken.items():
        if word in words.split():
            yield f"{short(word)} is taken by {owner}"


def name_faults(name: str, target: str) -> Iterator[str]:
    """The faults of the name of a column."""
    if not name:
        yield "a column without a name; write name:type"
    elif name != name_of(name):
        yield f"{short(name)} is no name of a column; write {name_of(name)}"
    elif name == f"expected_{target}":
        yield f"{short(name)} is the name of the prediction itself"


def field_faults(answers: Answers) -> Iterator[str]:
    """The faults of the features and of the target: names, types, and how they go together."""
    features, target = features_of(answers), field_of(answers["target"])
    if not features:
        yield "features: there is none; write them like hour:float day:category"
    for answer, word in [
        *(("features", word) for word in answers["features"].split()),
        ("target", answers["target"]),
    ]:
        name, kind, _ = field_of(word)
        yield from (f"{answer}: {fault}" for fault in name_faults(name, target.name))
        if kind not in KINDS:
            yield f"{answer}: {short(word)} has none of the types {' '.join(KINDS)}, as name:type"
    names = [feature.name for feature in features]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"features: {short(name)} is there more than once"
    if target.name in names:
        yield f"target: {short(target.name)} is among the features"
    if target.kind == "datetime":
        yield f"target: {short(answers['target'])} is a datetime; predict how long it is until then"
    if target.optional:
        yield f"target: {short(answers['target'])} may not be missing; leave out the ?"


def split_faults(answers: Answers) -> Iterator[str]:
    """The faults of how rows are split, but for a column that is to be found in the history."""
    split, name = answers["split"], split_column(answers)
    way = split.partition(":")[0]
    target = field_of(answers["target"]).name
    declared = {feature.name: feature for feature in features_of(answers)}
    if way not in WAYS or (way in ("time", "group")) != (":" in split):
        yield f"split: {short(split)} is none of order, shuffled, time:column and group:column"
    elif not name and ":" in split:
        yield f"split: {short(split)} names no column"
    elif name == target:
        yield f"split: {short(name)} is the target"
    elif name in declared:
        yield from (f"split: {fault}" for fault in _split_feature_faults(way, declared[name]))
    elif name and answers["history"] in ("none", "sample"):
        yield f"split: {short(name)} is none of the features, and the history has nothing else"
    elif name:
        yield from (f"split: {fault}" for fault in name_faults(name, target))


def _split_feature_faults(way: str, feature: Field) -> Iterator[str]:
    if feature.optional:
        yield f"{short(feature.name)} may be missing, and every row has to be placed"
    if way == "time" and feature.kind not in ORDERED:
        yield f"{short(feature.name)} is a {feature.kind}, which has no order in time"


def timezone_faults(timezone: str) -> Iterator[str]:
    """The fault of the time zone in which moments without an offset are meant."""
    if timezone == "UTC":
        return
    try:
        zoneinfo.ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        yield f"__timezone: {short(timezone)} is no time zone; write one like Europe/Berlin"


def example_faults(answers: Answers) -> Iterator[str]:
    """The fault of examples that were recorded when the history was there."""
    fields = [*features_of(answers), field_of(answers["target"])]
    names = [field.name for field in fields]
    try:
        rows = json.loads(answers["__examples"])
        is_sound = len(rows) > 0 and all([*row] == names for row in rows)
    except (TypeError, ValueError):
        is_sound = False
    if not is_sound:
        yield f"{short(answers['__examples'])} is not JSON of rows with {', '.join(names)}"


def history_faults(answers: Answers) -> Iterator[str]:
    """The faults of the history; one that has none is staged."""
    history = answers["history"]
    if answers["__examples"]:  # a project is stamped out again; its history stays where it is
        yield from (f"__examples: {fault}" for fault in example_faults(answers))
        return
    if history == "none":
        return
    if history == "sample":
        if (" ".join(answers["features"].split()), answers["target"]) != SAMPLE_FITS:
            yield "history: sample fits the default features and target only; name a CSV, or none"
        return
    yield from (f"history: {fault}" for fault in staging.stage(answers))
