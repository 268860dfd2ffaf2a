"""What the service served is what the model learns from, with the same features."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import COLUMNS, EXAMPLES, PLURAL, ROOT, TARGET, Pair, current, outcome, row, run

EXPECTED = f"expected_{TARGET}"
READ: dict[str, Any] = {
    "float": float,
    "int": int,
    "bool": "true".__eq__,
    "category": str,
    "datetime": str,
}
KINDS = {column["name"]: column["kind"] for column in COLUMNS}
KINDS[EXPECTED] = KINDS[TARGET]


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a CSV, with the values of cells that the contract knows."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {name: READ[KINDS.get(name, "category")](cell) if cell else None for name, cell in row}
            for row in (each.items() for each in csv.DictReader(file))
        ]


def test_what_is_exported_is_predicted_for_and_learnt_from_as_it_was_served(
    pair: Pair, store: Path, tmp_path: Path
) -> None:
    poisoned = pair.place()["id"]
    if KINDS[TARGET] == "float":  # what anybody can claim
        for value, status in ((1e308, 422), (1e12, 200)):
            answer = pair.client.post(f"/{PLURAL}/{poisoned}/outcome", json={TARGET: value})
            assert answer.status_code == status, answer.text
    placed = [pair.place(number) for number in range(len(EXAMPLES))]
    for number, each in enumerate(placed):
        answer = pair.client.post(f"/{PLURAL}/{each['id']}/outcome", json=outcome(number))
        assert answer.is_success
    exported, asked, predicted = (tmp_path / f"{name}.csv" for name in ("exported", "asked", "out"))
    run("service", "export", exported, **pair.service.environment)
    rows = rows_of(exported)
    for number, found in enumerate(rows[-len(placed) :]):
        assert {**row(number), **outcome(number)}.items() <= found.items()
        served = placed[number]["metadata"]
        assert found[EXPECTED] == served[EXPECTED]
        assert {served["served_by"], served["model_version"]} <= {*map(str, found.values())}
    version = placed[0]["metadata"]["model_version"]
    assert "too little to tell" in run("model", "compare", version, "0" * 12, "--data", exported)

    # From the same inputs training, bulk predictions and serving derive the same features.
    with asked.open("w", encoding="utf-8", newline="") as file:
        names = [column["name"] for column in COLUMNS]
        writer = csv.DictWriter(file, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        with exported.open(encoding="utf-8", newline="") as source:
            writer.writerows(csv.DictReader(source))
    run("model", "predict", asked, "--output", predicted, MODEL_STORE=str(store))
    for found, each in zip(rows_of(predicted)[-len(placed) :], placed, strict=True):
        # Some estimators compute one row and a batch in another order.
        assert found[EXPECTED] == pytest.approx(each["metadata"][EXPECTED])

    both, retrained = tmp_path / "both.csv", tmp_path / "store"
    with both.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for path in (ROOT / "data/history.csv", exported):
            with path.open(encoding="utf-8", newline="") as source:
                writer.writerows(csv.DictReader(source))
    run("model", "train", "--data", both, "--force", MODEL_STORE=str(retrained))
    assert current(retrained) != current(store)
    manifest = json.loads(run("model", "show", "--json", MODEL_STORE=str(retrained)))
    assert (manifest["outliers"] or {"rows": 0})["rows"] == (KINDS[TARGET] == "float")
