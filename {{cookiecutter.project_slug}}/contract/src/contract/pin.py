"""`python -m contract.pin`: write the golden messages and the examples of a contract that changed.

The previous messages stay beside the new ones, and both sides go on being tested against them:
while one side is being replaced, the other still speaks the previous version.
"""

import csv
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from contract.examples import golden
from contract.features import Features
from contract.names import find_columns
from contract.prediction import Prediction
from contract.signature import FEATURES, INPUTS, TARGET, Column
from contract.tensors import inputs_of, outputs_of
from contract.types import KINDS, WHOLE

HISTORY = Path("data/history.csv")
FOLDER = Path(__file__).parent

VALUES: dict[str, list[Any]] = {
    "float": [1.5, -2000000.25],
    "int": [3, -9007199254740992],
    "bool": [True, False],
    "category": ['café "noir" 🚀', "b"],
    "datetime": ["2026-03-29T01:30:00Z", "1969-07-20T20:17:40.250000Z"],
}


def pin() -> dict[str, Any]:
    """One exchange of two rows, the second without any value that may be missing."""
    features = [
        Features.model_validate(
            {
                column.name: None if row and column.optional else VALUES[column.kind][row]
                for column in FEATURES
            }
        )
        for row in (0, 1)
    ]
    values = VALUES[TARGET.kind]
    classes = ["false", "true"] if TARGET.kind == "bool" else sorted(map(str, values))
    sure = [0.125, 0.875, 0.75, 0.25]
    regression = TARGET.kind == "float"
    rows = [
        {TARGET.name: value}
        | ({} if regression else {"probabilities": dict(zip(classes, share, strict=True))})
        for value, share in zip(values, (sure[:2], sure[2:]), strict=True)
    ]
    return {
        "columns": [asdict(column) for column in (*FEATURES, TARGET)],
        "features": [row.model_dump(mode="json") for row in features],
        "request": {"inputs": inputs_of(features)},
        "predictions": [Prediction.model_validate(row).model_dump() for row in rows],
        "response": {
            "outputs": outputs_of(values) if regression else outputs_of(values, sure, classes)
        },
    }


def examples_of(history: Path) -> list[dict[str, Any]]:
    """Five rows spread over the last fifth of a CSV; where it has gaps, the last row shows one."""
    with history.open(encoding="utf-8", newline="") as file:
        header, *cells = csv.reader(file)
    columns = find_columns(header, [column.name for column in (*INPUTS, TARGET)])
    rows = [{name: row[place] for name, place in columns.items()} for row in cells if row]
    late = rows[len(rows) * 4 // 5 :]
    picked = [late[(len(late) - 1) * step // 4] for step in range(5)]
    incomplete = [row for row in late if "" in row.values()]
    return [
        {
            column.name: _value(row[column.name], column)
            for column in (*INPUTS, TARGET)
            if column.name in row
        }
        for row in [*picked[:4], next(iter(incomplete), picked[4])]
    ]


def _value(cell: str, column: Column) -> Any:
    if not cell:
        return None
    if column == TARGET and WHOLE.fullmatch(cell):
        return int(cell)  # of a target that counts something
    value = KINDS[column.kind].parse(cell)
    return to_jsonable_python(value)


def main() -> None:
    """Pin the contract, keeping the version before it and dropping any older one."""
    try:
        rows = [json.dumps(row, ensure_ascii=False) for row in examples_of(HISTORY)]
    except (OSError, ValueError) as error:
        fault = getattr(error, "strerror", None) or error
        sys.exit(f"{HISTORY}: {fault}; data/README.md says what belongs there")
    text = "[\n" + ",\n".join(f"  {row}" for row in rows) + "\n]\n"
    (FOLDER / "examples.json").write_text(text, "utf-8")
    kept, new = golden(), pin()
    if kept and kept[-1].columns == new["columns"]:
        print(f"contract {kept[-1].number}: unchanged")
        return
    number = kept[-1].number + 1 if kept else 1
    text = json.dumps(new, indent=2, ensure_ascii=False) + "\n"
    (FOLDER / f"golden/{number}.json").write_text(text, "utf-8")
    for old in kept[:-1]:
        (FOLDER / f"golden/{old.number}.json").unlink()
    print(f"contract {number}: pinned; the previous version is kept")


if __name__ == "__main__":
    main()
