"""What the template's own Jinja needs: an extension that cookiecutter loads (`_extensions`)."""

import logging

from jinja2 import Environment
from jinja2.ext import Extension

from stamping import TEMPLATE


class Stamping(Extension):
    """The filter `plural`, the global `template_folder`, and a log without tracebacks."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters["plural"] = plural
        environment.globals["template_folder"] = str(TEMPLATE)
        logging.getLogger("cookiecutter.hooks").addFilter(without_traceback)


def plural(word: str) -> str:
    """The plural of an English noun in snake_case."""
    if word.endswith("person"):
        return f"{word.removesuffix('person')}people"
    if word.endswith("child"):
        return f"{word}ren"
    if word.endswith("sis"):
        return f"{word.removesuffix('is')}es"
    if word.endswith("iz"):
        return f"{word}zes"
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return f"{word}es"
    if word.endswith("y") and word[-2:-1] not in ("a", "e", "i", "o", "u", ""):
        return f"{word.removesuffix('y')}ies"
    return f"{word}s"


def without_traceback(record: logging.LogRecord) -> bool:
    """Cut what cookiecutter logs of a hook that failed to its line: the hook has said why."""
    record.exc_info = None
    return True
