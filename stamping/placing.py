"""Place the history with its provenance, fill in the examples, and print the next steps.

By now the answers are checked, and a history that comes from a file is staged.
"""

import csv
import hashlib
import json
import re
import shlex
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from stamping import RECORD, menu, synthetic
from stamping.fields import READ, Field, features_of, field_of
from stamping.names import indented, visible
from stamping.record import text_of
from stamping.staging import STAGED, Facts

DATA = Path("data")
HISTORY = DATA / "history.csv"
PROVENANCE = DATA / "provenance.json"
EXAMPLES = Path("contract", "src", "contract", "examples.json")
README = Path("README.md")

LARGEST_IN_GIT = 20_000_000
"""Bytes of the largest history that git is to track."""
NOT_IN_GIT = (
    "It is larger than 20 MB, and so git does not track it: keep it where the team keeps its data,"
    " and put it here\nin every clone that trains; `provenance.json` has its digest."
)

Answers = Mapping[str, str]


def main(answers: Answers) -> None:
    """Leave data/, the contract's examples, the README and the record complete."""
    fields = [*features_of(answers), field_of(answers["target"])]
    recorded = answers["__examples"]
    examples = json.loads(recorded) if recorded else place_data(answers, fields)
    write(RECORD, text_of(answers, to_json(examples)))
    write(EXAMPLES, "[\n" + ",\n".join(f"  {to_json(each)}" for each in examples) + "\n]\n")
    for dish in answers["__dishes"].split():
        menu.serve(dish, answers)
    target = fields[-1].name
    outcome = {target: examples[0].pop(target)}
    fill(README, EXAMPLE_REQUEST=quotable(examples[0]), EXAMPLE_OUTCOME=quotable(outcome))
    print(f"\nNext:\n  cd {shlex.quote(str(Path.cwd()))}\n  make demo\n  make up")
    if answers["history"] == "none":
        print(f"\ndata/history.csv is {synthetic.CAVEAT}")


def place_data(answers: Answers, fields: list[Field]) -> list[dict[str, Any]]:
    """Leave data/ complete; the examples in it."""
    facts = Facts.take()
    provenance = place(answers, fields, facts)
    provenance_lines = [f"- {key}: {to_json(value)}" for key, value in provenance.items()]
    is_large = HISTORY.stat().st_size > LARGEST_IN_GIT
    if is_large:
        write(DATA / ".gitignore", f"/{HISTORY.name}\n")
    fill(
        DATA / "README.md",
        COLUMNS="\n".join(table_of(fields, answers["split"], facts)),
        NOT_IN_GIT=f"\n{NOT_IN_GIT}" if is_large else "",
        PROVENANCE="\n".join(provenance_lines),
    )

    for remark in facts.remarks:
        print(f"{answers['history']}: {remark}")
    if facts.without_target:
        rest = f"{facts.without_target} rows left out, without {fields[-1].name}"
        print(f"{answers['history']}: {rest}")
    zone = ZoneInfo(answers["__timezone"])
    return [typed(row, fields, zone) for row in pick(HISTORY, provenance["rows"])]


def place(answers: Answers, fields: list[Field], facts: Facts) -> dict[str, Any]:
    """Put the history and its provenance into data/; the provenance."""
    if answers["history"] == "sample":
        (DATA / "sample.csv").replace(HISTORY)
        (DATA / "sample.json").replace(PROVENANCE)
        provenance: dict[str, Any] = json.loads(PROVENANCE.read_text("utf-8"))
        return provenance
    for name in ("sample.csv", "sample.json", "sample-license.txt"):
        (DATA / name).unlink(missing_ok=True)
    is_made_up = answers["history"] == "none"
    if is_made_up:
        names = [field.name for field in fields]
        rows = [names, *synthetic.made_up(fields[:-1], fields[-1])]
        write(HISTORY, "".join(f"{','.join(row)}\n" for row in rows))
    else:
        STAGED.replace(HISTORY)
    source = "made up from the declared fields" if is_made_up else Path(answers["history"]).name
    with HISTORY.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    provenance = {
        "source": source,
        "synthetic": is_made_up,
        "rows": synthetic.ROWS if is_made_up else facts.rows,
        "sha256": digest,
        "license": None,
        "caveat": synthetic.CAVEAT if is_made_up else None,
    }
    if facts.without_target:
        provenance["without_target"] = facts.without_target
    write(PROVENANCE, indented(provenance))
    return provenance


def table_of(fields: list[Field], split: str, facts: Facts) -> list[str]:
    """The lines of a table in Markdown: each column of the history and what it is there for."""
    by = split.partition(":")[2]
    rows = [["column", "type", "role"], ["---", "---", "---"]]
    for field in fields:
        role = "target" if field == fields[-1] else "feature"
        role += f", split by {split.partition(':')[0]}" if field.name == by else ""
        kind = f"{field.kind}, may be missing" if field.optional else field.kind
        rows.append([f"`{field.name}`", kind, role])
    if by and by not in {field.name for field in fields}:
        rows.append([f"`{by}`", facts.split_kind, f"split by {split.partition(':')[0]}"])
    if facts.headers:
        headers = [as_code(header) for header in facts.headers.values()]
        for row, header in zip(rows, ["header in the source", "---", *headers], strict=True):
            row.append(header)
    return [f"| {' | '.join(row)} |" for row in rows]


def as_code(text: str) -> str:
    """A text on one line as code in a table in Markdown; nothing for no text."""
    line = visible(" ".join(text.split())).replace("|", r"\|")
    fence = "``" if "`" in line else "`"
    return f"{fence}{' ' * (len(fence) - 1)}{line}{' ' * (len(fence) - 1)}{fence}" if line else ""


def pick(history: Path, rows: int) -> list[dict[str, str]]:
    """Five rows spread over the last fifth; the last has a missing value where any there does."""
    with history.open(encoding="utf-8", newline="") as file:
        header = next(csv.reader([file.readline()]))
        late = list(csv.reader(islice(file, rows * 4 // 5, None)))  # no cell has a line break
    picked = [late[(len(late) - 1) * step // 4] for step in range(5)]
    incomplete = next((row for row in late if "" in row), picked[4])
    return [dict(zip(header, row, strict=True)) for row in [*picked[:4], incomplete]]


def typed(row: Mapping[str, str], fields: Iterable[Field], zone: ZoneInfo) -> dict[str, Any]:
    """The declared cells of a row as the API writes them; the zone is that of the team."""
    read = READ | {"datetime": partial(in_utc, zone=zone)}
    return {
        name: None if optional and not row[name] else read[kind](row[name])
        for name, kind, optional in fields
    }


def in_utc(text: str, zone: ZoneInfo) -> str:
    """A moment in ISO 8601 in UTC; one without an offset is meant in this zone."""
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def to_json(value: object) -> str:
    """JSON on one line, with letters of all alphabets as they are."""
    return visible(json.dumps(value, ensure_ascii=False))


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
