"""`make field NAME=tip:float?`: one more input, in the contract, the table and a migration."""

import ast
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from contract import FEATURES, TARGET, features
from contract.names import name_of
from service import schemas, tables

ROOT = Path(__file__).resolve().parent.parent
TYPES = {
    "float": ("Float", "float"),
    "int": ("Int", "int"),
    "bool": ("Bool", "bool"),
    "category": ("Category", "str"),
    "datetime": ("Datetime", "datetime"),
}
"""The type in the contract and in the table."""
TABLE = next(
    each.class_
    for each in tables.Base.registry.mappers
    if {TARGET.name, "recorded_at"} <= {*each.columns.keys()}
)


def parse(field: str) -> tuple[str, str]:
    """The name and the type in `name:type?`.

    Raises:
        ValueError: what is wrong with it.
    """
    name, _, kind = field.partition(":")
    answer = getattr(schemas, TABLE.__name__).model_fields
    metadata = schemas.Metadata.model_fields
    taken = {*vars(tables), *vars(schemas), *vars(features), *vars(TABLE)}
    taken |= {*answer, *metadata, *(column.name for column in FEATURES)}
    if name != name_of(name):
        raise ValueError(f"{name!r} is no name that the code can have; write {name_of(name)}")
    if name in taken:
        raise ValueError(f"{name!r} is taken")
    if kind.removesuffix("?") not in TYPES:
        raise ValueError(f"the type {kind!r} is none of {' '.join(f'{each}?' for each in TYPES)}")
    if not kind.endswith("?"):
        raise ValueError(f"no row of the past has it, so it may be missing: {field}?")
    return name, kind.removesuffix("?")


def insert(path: Path, after: int, text: str) -> None:
    """Put text behind this line of a file."""
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join([*lines[:after], text, *lines[after:]]), "utf-8")
    print(f"changed {path.relative_to(ROOT)}")


def body_of(path: Path, name: str) -> list[ast.stmt]:
    """The statements of a class in a file."""
    tree = ast.parse(path.read_text("utf-8"))
    (found,) = (each for each in tree.body if isinstance(each, ast.ClassDef) and each.name == name)
    return found.body


def run(*command: str, **environment: str) -> None:
    """Run a command of the project; what it says is shown only if it fails."""
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\n{' '.join(command)}: failed; `git diff` shows what is changed")


def main() -> None:
    """Write the field where it belongs, pin the contract's messages, write the migration."""
    os.chdir(ROOT)
    try:
        name, kind = parse(sys.argv[1] if len(sys.argv) > 1 else "")
    except ValueError as error:
        sys.exit(f"NAME: {error}; for example: make field NAME=tip:float?")
    in_contract, in_table = TYPES[kind]
    contract = Path(features.__file__)
    last = body_of(contract, "Inputs")[-1]
    words = name.replace("_", " ").capitalize()
    field = f'\n    {name}: types.{in_contract} | None = None\n    """{words}."""\n'
    insert(contract, last.end_lineno or 0, field)
    table = Path(tables.__file__)
    (target,) = (
        each
        for each in body_of(table, TABLE.__name__)
        if isinstance(each, ast.AnnAssign) and ast.unparse(each.target) == TARGET.name
    )
    insert(table, target.lineno - 1, f"    {name}: Mapped[{in_table} | None]\n")
    run("make", "--silent", "golden")
    print("changed contract/src/contract/golden/, examples.json")
    with tempfile.TemporaryDirectory() as folder:  # where all migrations so far are applied
        scratch = {"DATABASE_URL": f"sqlite:///{folder}/scratch.db"}
        run("service/.venv/bin/service", "migrate", **scratch)
        run("service/.venv/bin/service", "revision", f"add {name}", **scratch)
    run(".venv/bin/ruff", "format", "--quiet")
    print(f"changed service/src/service/migrations/versions/: a migration adds {name}\n")
    print(f"Next: a column {name} in data/history.csv, if you have it, then `make train check`.")


if __name__ == "__main__":
    main()
