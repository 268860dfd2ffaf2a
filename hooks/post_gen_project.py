"""Place the history with its provenance, fill in the examples, and print the next steps.

By now pre_gen_project has checked the answers and staged a history that comes from a file.
"""

import csv
import hashlib
import json
import math
import random
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ANSWERS = json.loads(r"""
{{ cookiecutter | tojson }}
""")

STAGED = Path(".history.csv")
DATA = Path("data")
HISTORY = DATA / "history.csv"
PROVENANCE = DATA / "provenance.json"
EXAMPLES = Path("contract", "src", "contract", "examples.json")
README = Path("README.md")

FIELDS = [field.split(":") for field in [*ANSWERS["features"].split(), ANSWERS["target"]]]
KINDS = {name: kind.rstrip("?") for name, kind in FIELDS}
OPTIONAL = {name for name, kind in FIELDS if kind.endswith("?")}
*FEATURES, TARGET = KINDS
READ: dict[str, Callable[[str], Any]] = {
    "float": float,
    "int": int,
    "bool": "true".__eq__,
    "category": str,
}

SYNTHETIC_ROWS = 2000
SYNTHETIC = (
    "SYNTHETIC: these rows are made up from the declared fields. What is learnt from them says"
    " nothing about the world; replace them before anyone relies on a prediction."
)


def main() -> None:
    """Leave data/, the contract's examples and the README complete."""
    provenance = place()
    facts = [f"- {key}: {to_json(value)}" for key, value in provenance.items()]
    fill(DATA / "README.md", PROVENANCE="\n".join(facts))

    with HISTORY.open(encoding="utf-8", newline="") as file:
        examples = [typed(row) for row in pick(list(csv.DictReader(file)))]
    write(EXAMPLES, "[\n" + ",\n".join(f"  {to_json(each)}" for each in examples) + "\n]\n")
    outcome = {TARGET: examples[0].pop(TARGET)}
    fill(README, EXAMPLE_REQUEST=quotable(examples[0]), EXAMPLE_OUTCOME=quotable(outcome))

    print(f"\nNext:\n  cd {shlex.quote(str(Path.cwd()))}\n  make demo\n  make up")
    if provenance["synthetic"]:
        print(f"\ndata/history.csv is {SYNTHETIC}")


def place() -> dict[str, Any]:
    """Put the history and its provenance into data/; the provenance."""
    if ANSWERS["history"] == "sample":
        (DATA / "sample.csv").replace(HISTORY)
        (DATA / "sample.json").replace(PROVENANCE)
        provenance: dict[str, Any] = json.loads(PROVENANCE.read_text("utf-8"))
        return provenance
    for name in ("sample.csv", "sample.json", "sample-license.txt"):
        (DATA / name).unlink(missing_ok=True)
    synthetic = ANSWERS["history"] == "none"
    if synthetic:
        write(HISTORY, "".join(f"{','.join(row)}\n" for row in [KINDS, *made_up()]))
    else:
        STAGED.replace(HISTORY)
    source = "made up from the declared fields" if synthetic else Path(ANSWERS["history"]).name
    content = HISTORY.read_bytes()
    provenance = {
        "source": source,
        "synthetic": synthetic,
        "rows": content.count(b"\n") - 1,
        "sha256": hashlib.sha256(content).hexdigest(),
        "license": None,
        "caveat": SYNTHETIC if synthetic else None,
    }
    write(PROVENANCE, json.dumps(provenance, indent=2, ensure_ascii=False) + "\n")
    return provenance


def made_up() -> Iterator[list[str]]:
    """Rows whose target grows with every feature, but for some noise.

    One share between 0 and 1 decides a cell; `random()` alone draws it, since that is what Python
    promises to keep the same in every version.
    """
    draw = random.Random(0).random
    for _ in range(SYNTHETIC_ROWS):
        shares = {name: draw() for name in FEATURES}
        known = {name for name in FEATURES if name not in OPTIONAL or draw() > 0.1}
        cells = [cell(KINDS[name], shares[name]) if name in known else "" for name in FEATURES]
        score = sum(shares[name] - 0.5 for name in FEATURES if name in known)
        score = score / math.sqrt(len(FEATURES)) + 0.2 * (draw() - 0.5)
        yield [*cells, cell(KINDS[TARGET], min(max(0.5 + score, 0), 0.999))]


def cell(kind: str, share: float) -> str:
    """The value that stands this far along the range of its type."""
    if kind == "float":
        return f"{100 * share:.2f}"
    if kind == "int":
        return str(int(100 * share))
    if kind == "bool":
        return "true" if share >= 0.5 else "false"
    return ("low", "lower", "higher", "high")[int(4 * share)]


def pick(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Five rows spread over the last fifth; the last has a missing value where any there does."""
    late = rows[len(rows) * 4 // 5 :]
    picked = [late[(len(late) - 1) * step // 4] for step in range(5)]
    incomplete = [row for row in late if "" in row.values()]
    return [*picked[:4], next(iter(incomplete), picked[4])]


def typed(row: dict[str, str]) -> dict[str, Any]:
    """The row with its cells as JSON values."""
    return {
        name: None if name in OPTIONAL and not text else READ[KINDS[name]](text)
        for name, text in row.items()
    }


def to_json(value: object) -> str:
    """JSON on one line, with letters of all alphabets as they are."""
    return json.dumps(value, ensure_ascii=False)


def quotable(value: object) -> str:
    """JSON that a shell leaves alone within single quotes."""
    return to_json(value).replace("'", r"\u0027")


def fill(path: Path, **texts: str) -> None:
    """Put each text where its token stands in the file, if there is such a file."""
    if path.exists():
        text = path.read_text("utf-8")
        write(path, re.sub("|".join(texts), lambda token: texts[token[0]], text))


def write(path: Path, text: str) -> None:
    """Write UTF-8 with the same line ends everywhere, in a folder that is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8", newline="\n")


if __name__ == "__main__":
    main()
