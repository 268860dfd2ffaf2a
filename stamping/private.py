"""The private variables of cookiecutter.json: what they are is derived, not asked."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import Environment, StrictUndefined

from stamping import TEMPLATE
from stamping.names import short

DEFAULTS = json.loads((TEMPLATE / "cookiecutter.json").read_text("utf-8"))
MAY_DIFFER = ("__plural", "__timezone", "__template", "__examples", "__dishes")
"""Those that people may give, which are checked as the answers are."""


def derived(answers: Mapping[str, str]) -> dict[str, Any]:
    """The private variables that nobody may give, as they follow from the answers."""
    jinja = Environment(  # noqa: S701 - no HTML
        undefined=StrictUndefined, keep_trailing_newline=True
    )
    return {
        name: jinja.from_string(value).render(cookiecutter=answers)
        if isinstance(value, str)
        else value
        for name, value in DEFAULTS.items()
        if name.startswith("_") and name not in (*MAY_DIFFER, "__prompts__")
    }


def private_faults(answers: Mapping[str, Any]) -> Iterator[str]:
    """The faults of private variables that were given from outside."""
    for name, value in derived(answers).items():
        if answers[name] != value:
            given, right = short(str(answers[name])), short(str(value))
            yield f"{name}: {given} is not {right}, as follows from the answers; leave it out"
