"""The wire format is what it was: golden messages, word for word."""

import csv
from dataclasses import asdict
from pathlib import Path

from contract import FEATURES, TARGET, Features, Inputs, Prediction, examples, golden
from contract.pin import examples_of, pin
from contract.tensors import columns_of, inputs_of, outputs_of, predictions_of

CURRENT = golden()[-1]


def test_the_latest_golden_message_belongs_to_this_contract() -> None:
    columns = [asdict(column) for column in (*FEATURES, TARGET)]
    assert CURRENT.columns == columns, (
        "the contract has changed: run `make golden` to pin the new messages beside the old"
    )


def test_features_become_the_golden_request_and_are_read_back() -> None:
    rows = [Features.model_validate(row) for row in CURRENT.features]
    assert {"inputs": inputs_of(rows)} == CURRENT.request
    columns = columns_of(CURRENT.request)
    assert [
        dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
    ] == [row.model_dump() for row in rows]


def test_predictions_become_the_golden_response_and_are_read_back() -> None:
    values = [row[TARGET.name] for row in CURRENT.predictions]
    probabilities = [row.get("probabilities", {}) for row in CURRENT.predictions]
    outputs = (
        outputs_of(
            values,
            [share for row in probabilities for share in row.values()],
            list(probabilities[0]),
        )
        if probabilities[0]
        else outputs_of(values)
    )
    assert {"outputs": outputs} == CURRENT.response
    assert predictions_of(CURRENT.response) == [
        Prediction.model_validate(row) for row in CURRENT.predictions
    ]


def test_examples_fit_the_contract() -> None:
    assert examples()
    for row in examples():
        inputs = {name: value for name, value in row.items() if name in Inputs.model_fields}
        Inputs.model_validate(inputs)
        assert TARGET.name in row


def test_pinning_the_contract_again_gives_the_same_messages() -> None:
    assert {"number": CURRENT.number, **pin()} == asdict(CURRENT)


def test_examples_are_taken_from_the_latest_rows_of_a_history(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    rows = [
        {name: "" if value is None else str(value) for name, value in row.items()}
        for row in examples()
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        csv.writer(file).writerow(map(str.upper, rows[0]))
        writer.writerows([rows[0]] * 20 + rows)
    assert examples_of(path)[:4] == examples()[:4]
