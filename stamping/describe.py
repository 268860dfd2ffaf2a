"""`make describe CSV=... TARGET=...`: what a CSV holds, and the cookiecutter command for it."""

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from stamping.description import Description, Unfit, describe
from stamping.leaks import find_leaks
from stamping.names import short, visible
from stamping.order import propose_split
from stamping.values import Table, values_of


def main(arguments: list[str]) -> None:
    """Print what was found and the command, or exit with 1 after one line."""
    if len(arguments) != 2 or not all(arguments):
        sys.exit("usage: make describe CSV=history.csv TARGET=column")
    try:
        found = describe(path_of(arguments[0]), arguments[1])
    except Unfit as error:
        sys.exit(f"describe: {error}")
    table = values_of(found)
    split, remarks = findings(table)
    print("\n  ".join(lines(found)), end="\n\n")
    print("\n".join(remarks), end="\n\n")
    print("Paste this, change what you know better; it asks for the other answers:", end="\n\n")
    print(command(found, split))


def path_of(csv: str) -> Path:
    """The path of a file, if an answer can hold it."""
    path = Path(csv).expanduser().resolve()
    if re.search(r"{[{%#]", str(path)):
        raise Unfit(f"{path} would be read as a Jinja template; rename it")
    return path


def lines(found: Description) -> Iterator[str]:
    """One line on the file, and one on each of its columns."""
    without = found.without_target
    left_out = [f"{without} without a target left out"] if without else []
    facts = [f"{found.rows} rows", *left_out, *found.source.remarks]
    yield f"{visible(found.source.path.name)}: {', '.join(facts)}"
    for each in found.columns:
        if each.reason:
            yield f"{short(each.header)}: left out, {each.reason}"
        else:
            header = [] if each.header == each.name else [short(each.header)]
            details = "; ".join([*header, *each.remarks])
            yield f"{each.field}{f' ({details})' if details else ''}"


def findings(table: Table) -> tuple[str, list[str]]:
    """The split to propose, and the lines that say why, and which features may be leaks."""
    proposal = propose_split(
        table.kinds, table.columns, table.target, table.left_out, table.optional
    )
    leaks = find_leaks(table.kinds, table.columns, table.target)
    return proposal.split, [
        f"split={proposal.split}",
        *(f"  {reason}" for reason in proposal.reasons),
        *(f"WARNING: {leak}" for leak in leaks),
    ]


def command(found: Description, split: str) -> str:
    """What stamps the project out, to be pasted into a shell."""
    answers = [f"{answer}={value}" for answer, value in found.answers().items()]
    answers.append(f"split={split}")
    return shlex.join([".venv/bin/cookiecutter", ".", "-o", "..", *answers])


if __name__ == "__main__":
    main(sys.argv[1:])
