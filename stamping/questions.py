"""What a table cannot tell about itself: asked, or answered by what would do."""

from collections.abc import Callable, Iterable

import click
from slugify import slugify

from stamping.answers import entity_faults, slug_faults, split_faults, text_faults
from stamping.defaults import entity_of, project_name_of
from stamping.description import Description
from stamping.jinja import plural
from stamping.names import name_of
from stamping.values import Table

MOST_CLASSES = 10
"""Different whole numbers that may be names of classes."""

Faults = Callable[[str], Iterable[str]]
"""The faults of an answer, a line each."""
Ask = Callable[[str, str, Faults], str]
"""Asks a question that has a default; the answer, which has no faults."""


def by_prompt(question: str, default: str, faults: Faults) -> str:
    """Ask until the answer has no faults."""

    def checked(answer: str) -> str:
        if found := list(faults(answer.strip())):
            raise click.BadParameter("; ".join(found))
        return answer.strip()

    answer: str = click.prompt(question, default=default, value_proc=checked, err=True)
    return answer


def by_default(question: str, default: str, faults: Faults) -> str:
    """Ask nothing."""
    return default


def ask_target_kind(table: Table, ask: Ask) -> str:
    """Whether a target of few whole numbers is a number or a class; otherwise its kind."""
    name, kind = table.target, table.kinds[table.target]
    values = sorted(set(table.columns[name])) if kind == "int" else []
    if not 0 < len(values) <= MOST_CLASSES:
        return kind

    def faults(answer: str) -> Iterable[str]:
        if answer not in ("number", "class"):
            yield "number or class"

    shown = ", ".join(map(str, values))
    question = f"{name} is one of {shown}: a number, or the name of a class?"
    return "category" if ask(question, "number", faults) == "class" else "int"


def ask_left_out(description: Description, ask: Ask) -> list[str]:
    """The names of features to leave out."""
    known = {name: each.name for each in description.features for name in (each.header, each.name)}

    def faults(answer: str) -> Iterable[str]:
        words = words_of(answer)
        yield from (f"no feature is called {word}" for word in words if word not in known)
        if {known.get(word) for word in words} == set(known.values()):
            yield "one feature has to stay"

    question = "Features to leave out, such as what is known only afterwards (with commas between)"
    return [known[word] for word in words_of(ask(question, "none", faults))]


def words_of(answer: str) -> list[str]:
    """The words of a list with commas."""
    return [word.strip() for word in answer.split(",") if word.strip() not in ("", "none")]


def ask_split(answers: dict[str, str], table: Table, default: str, ask: Ask) -> str:
    """How rows are split to judge the model."""

    def faults(answer: str) -> Iterable[str]:
        split = named(answer)
        name = split.partition(":")[2]
        found = [*split_faults({**answers, "split": split})]
        if not found and name and name not in table.columns | table.left_out:
            found.append(f"there is no column {name}")
        elif not found and name in table.optional:
            found.append(f"{name} is missing in some rows, and every row has to be placed")
        return found

    question = "Split: order (oldest first), shuffled, time:column or group:column"
    return named(ask(question, default, faults))


def named(split: str) -> str:
    """The split with the name of its column where its header was said."""
    way, colon, column = split.partition(":")
    return f"{way}:{name_of(column)}" if colon and column else split


def ask_names(stem: str, ask: Ask) -> dict[str, str]:
    """What the project is called, what it is about, and whose it is."""
    fine = {"project_name": "fine", "description": "fine", "team": "fine"}

    def name_faults(name: str) -> Iterable[str]:
        yield from text_faults({**fine, "project_name": name})
        yield from slug_faults(slug_of(name))

    def team_faults(team: str) -> Iterable[str]:
        return text_faults({**fine, "team": team})

    def word_faults(entity: str) -> Iterable[str]:
        return entity_faults(entity, plural(entity))

    name = ask("Name of the project, for people", project_name_of(stem), name_faults)
    entity = ask("What one row is about, singular (snake_case)", entity_of(stem), word_faults)
    team = ask("Team that owns it", plural(entity).replace("_", " "), team_faults)
    return {"project_name": name, "project_slug": slug_of(name), "entity": entity, "team": team}


def slug_of(name: str) -> str:
    """The name of the project's folder, as cookiecutter.json has it."""
    return slugify(name) or "-"
