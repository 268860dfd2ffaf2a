"""What a project records of how it was stamped out, and what that is when it is done again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stamping import TAG
from stamping.names import indented
from stamping.private import DEFAULTS


def text_of(answers: Mapping[str, str], examples: str) -> str:
    """The text of the record: the template, its tag, the answers.

    No path of this machine is in it. A history from a file is recorded by its name; since the file
    is not there the next time, the examples that came from it are recorded beside.
    """
    kept = {name: answers[name] for name in DEFAULTS if not name.startswith("_")}
    kept["history"] = Path(answers["history"]).name
    kept |= {name: answers[name] for name in ("__plural", "__timezone", "__dishes")}
    if kept["history"] not in ("sample", "none"):
        kept["__examples"] = examples
    return indented({"template": answers["__template"], "tag": TAG, "answers": kept})


def context_of(record: Mapping[str, Any]) -> dict[str, str]:
    """The recorded answers as cookiecutter takes them: each is rendered to what it is."""
    answers: dict[str, str] = {**record["answers"], "__template": record["template"]}
    return {name: text.replace("{", "{{ '{' }}") for name, text in answers.items()}
