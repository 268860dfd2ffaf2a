"""`python -m contract.pin`: write the golden messages of a contract that has changed.

The previous version stays beside the new one, and both sides go on being tested against it: while
one side is being replaced, the other still speaks the old version.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from contract.examples import golden
from contract.features import Features
from contract.prediction import Prediction
from contract.signature import FEATURES, TARGET
from contract.tensors import inputs_of, outputs_of

VALUES: dict[str, list[Any]] = {
    "FP64": [1.5, -2000000.25],
    "INT64": [3, -9007199254740992],
    "BOOL": [True, False],
    "BYTES": ['café "noir" 🚀', "b"],
}


def pin() -> dict[str, Any]:
    """One exchange of two rows in today's contract, the second with all that may be missing."""
    features = [
        Features.model_validate(
            {
                column.name: None if row and column.optional else VALUES[column.datatype][row]
                for column in FEATURES
            }
        )
        for row in (0, 1)
    ]
    values = VALUES[TARGET.datatype]
    classes = ["false", "true"] if TARGET.datatype == "BOOL" else sorted(map(str, values))
    sure = [0.125, 0.875, 0.75, 0.25]
    regression = TARGET.datatype == "FP64"
    rows = [
        {TARGET.name: value}
        | ({} if regression else {"probabilities": dict(zip(classes, share, strict=True))})
        for value, share in zip(values, (sure[:2], sure[2:]), strict=True)
    ]
    return {
        "columns": [asdict(column) for column in (*FEATURES, TARGET)],
        "features": [row.model_dump() for row in features],
        "request": {"inputs": inputs_of(features)},
        "predictions": [Prediction.model_validate(row).model_dump() for row in rows],
        "response": {
            "outputs": outputs_of(values) if regression else outputs_of(values, sure, classes)
        },
    }


def main() -> None:
    """Pin today's contract, keeping the version before it and dropping any older one."""
    kept = golden()
    today = pin()
    if kept and kept[-1].columns == today["columns"]:
        print(f"contract {kept[-1].number}: unchanged")
        return
    folder = Path(__file__).parent / "golden"
    number = kept[-1].number + 1 if kept else 1
    text = json.dumps(today, indent=2, ensure_ascii=False) + "\n"
    (folder / f"{number}.json").write_text(text, "utf-8")
    for old in kept[:-1]:
        (folder / f"{old.number}.json").unlink()
    print(f"contract {number}: pinned; the previous version is kept")


if __name__ == "__main__":
    main()
