"""The rows of the compile gate, as far as requests can have them, and what is predicted of each."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contract import FEATURES

ROWS = Path(__file__).resolve().parent.parent / "build/parity.jsonl"
BATCH = 2000

Row = dict[str, Any]


def batches() -> Iterator[tuple[list[Row], list[Row]]]:
    """Batches of rows as they stand in JSON, and what scikit-learn predicts."""
    every = [json.loads(line) for line in ROWS.read_text("utf-8").rstrip("\n").split("\n")]
    rows = [each for each in every if can_be_sent(each["features"])]
    assert len(rows) > max(100, len(every) / 2)
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        yield [plain(each["features"]) for each in batch], [each["expected"] for each in batch]


def can_be_sent(row: Row) -> bool:
    """Whether its moments are whole microseconds: a text has no more, so nobody can ask others."""
    moments = (row[each.name] for each in FEATURES if each.kind == "datetime")
    return all(at is None or datetime.fromtimestamp(at, UTC).timestamp() == at for at in moments)


def plain(row: Row) -> Row:
    """A row with its moments as texts."""
    moments = {each.name for each in FEATURES if each.kind == "datetime"}
    return {
        name: datetime.fromtimestamp(value, UTC).isoformat()
        if name in moments and value is not None
        else value
        for name, value in row.items()
    }


def tensors(rows: list[Row]) -> list[dict[str, Any]]:
    """The same rows as the inputs of an inference request."""
    return [
        {
            "name": each.name,
            "datatype": each.datatype,
            "shape": [len(rows)],
            "data": [row[each.name] for row in rows],
        }
        for each in FEATURES
    ]
