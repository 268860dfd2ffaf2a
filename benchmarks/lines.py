"""How many lines of source a team owns.

Without blank lines, comments and docstrings; without tests, benchmarks, locks, settings of tools.
"""

import ast
import re
from pathlib import Path

NOT_SOURCE = {"README.md", "Makefile", "py.typed"}
SETTINGS = {".ini", ".json", ".toml"}
FOLDERS_LEFT_OUT = {"tests", "build", "node_modules", "__pycache__"}
SLASHES = re.compile(r"/\*.*?\*/|(?<![:'\"])//[^\n]*", re.DOTALL)
COMMENTS = {
    **dict.fromkeys((".c", ".h", ".ts", ".tsx", ".js", ".mjs", ".css"), SLASHES),
    ".sql": re.compile(r"--[^\n]*"),
    ".html": re.compile(r"<!--.*?-->", re.DOTALL),
}
HASH = re.compile(r"^\s*#[^\n]*", re.MULTILINE)


def lines_of_dish(folder: Path) -> int:
    """Those of a dish's folder."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return sum(lines_of(path) for path in paths if is_source(path.relative_to(folder)))


def is_source(path: Path) -> bool:
    """Whether a file of a dish is its source, given its path within the dish."""
    lock = path.name.startswith("requirements") and path.suffix in (".txt", ".in")
    is_left_out = lock or path.name in NOT_SOURCE or path.suffix in SETTINGS
    is_hidden = any(part.startswith(".") for part in path.parts)
    return not (is_left_out or is_hidden or FOLDERS_LEFT_OUT & {*path.parts})


def lines_of(path: Path) -> int:
    """Those of one file."""
    text = path.read_text("utf-8")
    if path.suffix == ".py":
        text = without_docstrings(text)
    text = COMMENTS.get(path.suffix, HASH).sub("", text)
    return sum(bool(line.strip()) for line in text.splitlines())


def without_docstrings(text: str) -> str:
    """Python without its docstrings, which are expressions that are nothing but a text."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", 0), str):
            end = node.end_lineno or node.lineno
            lines[node.lineno - 1 : end] = [""] * (end - node.lineno + 1)
    return "\n".join(lines)
