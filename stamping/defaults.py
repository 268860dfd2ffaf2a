"""Answers that would do, from the name of a file: the project's name, and what a row is."""

import re

from stamping.answers import LONGEST_TEXT, entity_faults
from stamping.jinja import plural
from stamping.names import LONGEST, name_of

NO_NOUN = re.compile("all|clean|csv|data|dataset|export|full|history|log|raw|sample|table|train|x")
"""What people put behind the name of a table; `x` is what name_of puts before digits."""
ANYTHING = "case"


def project_name_of(stem: str) -> str:
    """For people: `penguins_raw` is `Penguins Raw`."""
    words = name_of(stem).strip("_").split("_")
    name = " ".join(map(str.capitalize, words))[: LONGEST_TEXT["project_name"]].strip()
    return name if len(name) > 1 else f"{name} Project"


def entity_of(stem: str) -> str:
    """What a row is: of `penguins_raw` a `penguin`."""
    words = re.sub(r"\d+[km]?(?=_|$)", "", name_of(stem)).strip("_").split("_")
    while words and (NO_NOUN.fullmatch(words[-1]) or not words[-1]):
        words.pop()
    entity = singular("_".join(words))[:LONGEST].strip("_")
    return ANYTHING if list(entity_faults(entity, plural(entity))) else entity


def singular(word: str) -> str:
    """The singular of an English noun in snake_case, mostly; what looks like one stays."""
    if word.endswith("people"):
        return f"{word.removesuffix('people')}person"
    if word.endswith("children"):
        return word.removesuffix("ren")
    if word.endswith(("ss", "us", "is", "series", "species")):
        return word
    if word.endswith("ies"):
        return f"{word.removesuffix('ies')}y"
    if word.endswith(("sses", "xes", "zes", "ches", "shes")) or re.search("[^o]uses$", word):
        return word.removesuffix("es")
    return word.removesuffix("s")
