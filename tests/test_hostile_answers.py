"""Whatever is given: it is rejected in a line, or what is stamped out is sound source."""

import ast
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import TEMPLATE, answers_with
from cookiecutter.utils import create_env_with_context
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stamping.answers import all_faults
from stamping.private import DEFAULTS

STAMPED = TEMPLATE / "{{cookiecutter.project_slug}}"
JINJA = create_env_with_context({"cookiecutter": {"_extensions": DEFAULTS["_extensions"]}})
SOURCES = {
    path: JINJA.from_string(text)
    for path in sorted(STAMPED.rglob("*"))
    if path.is_file() and "cookiecutter." in (text := path.read_text("utf-8", errors="ignore"))
}
PARSERS: dict[str, Callable[[str], Any]] = {
    ".py": ast.parse,
    ".toml": tomllib.loads,
    ".yml": yaml.safe_load,
    ".json": json.loads,
}
TEXTS = ("project_name", "description", "team")
GIVEN = [name for name, value in DEFAULTS.items() if isinstance(value, str)]
WORDS = r"""
    ' " ''' "\"" \ ` $ $( ${{ {{ {% {# }} %} < > <!-- --> # ; : - & * ! | % @ = ~ [ ] ( ) , +
    import os _ é ß 🚀 a 1 float int order
"""
SIGNS = '""" \t \n \r \0 \x1b[2J \x85 \u2028 \u202e \u200b \ufeff'
HOSTILE = st.lists(st.sampled_from([*WORDS.split(), *SIGNS.split(" "), " "]), max_size=8)
HARMLESS = st.text("abé1 _'#:;-&*!|%@[](),=~+🚀", max_size=20)
VALUES = st.text() | HOSTILE.map("".join) | HARMLESS


def is_sound(answers: dict[str, Any]) -> dict[Path, str]:
    """What is stamped out of the files that hold answers, each of which has to parse."""
    found = {path: source.render(cookiecutter=answers) for path, source in SOURCES.items()}
    for path, text in found.items():
        PARSERS.get(path.suffix, str)(text)
    return found


def shape(path: Path, text: str) -> object:
    """What a text for people must not change: the code around strings, the number of lines."""
    if path.suffix != ".py":
        return len(text.splitlines())
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


PLAIN = {path: shape(path, text) for path, text in is_sound(answers_with({})).items()}


@pytest.mark.parametrize("answer", GIVEN)
@settings(max_examples=60, deadline=None)
@given(value=VALUES)
@example(value="l'été: - [x](y) #1 & *b !c %d @e | f -- ; = ~ ''' 🚀")
def test_an_answer_is_rejected_or_gives_sound_source(answer: str, value: str) -> None:
    answers = answers_with({answer: value})
    faults = all_faults(answers)
    assert all(line.isprintable() for line in faults)
    if faults:
        assert any(line.startswith(f"{answer}: ") for line in faults), faults
        return
    for path, text in is_sound(answers).items():
        assert answer not in TEXTS or shape(path, text) == PLAIN[path], path
