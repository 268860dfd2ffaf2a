"""The wire format is what it was: golden messages, word for word."""

from dataclasses import asdict

from contract import FEATURES, TARGET, Features, Prediction, examples, golden
from contract.tensors import columns_of, inputs_of, outputs_of, predictions_of

TODAY = golden()[-1]


def test_todays_golden_message_belongs_to_todays_contract() -> None:
    columns = [asdict(column) for column in (*FEATURES, TARGET)]
    assert TODAY.columns == columns, (
        "the contract has changed: run `make golden` to pin the new messages beside the old"
    )


def test_features_become_the_golden_request_and_are_read_back() -> None:
    rows = [Features.model_validate(row) for row in TODAY.features]
    assert {"inputs": inputs_of(rows)} == TODAY.request
    columns = columns_of(TODAY.request)
    assert [
        dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
    ] == [row.model_dump() for row in rows]


def test_predictions_become_the_golden_response_and_are_read_back() -> None:
    values = [row[TARGET.name] for row in TODAY.predictions]
    probabilities = [row.get("probabilities", {}) for row in TODAY.predictions]
    outputs = (
        outputs_of(
            values,
            [share for row in probabilities for share in row.values()],
            list(probabilities[0]),
        )
        if probabilities[0]
        else outputs_of(values)
    )
    assert {"outputs": outputs} == TODAY.response
    assert predictions_of(TODAY.response) == [
        Prediction.model_validate(row) for row in TODAY.predictions
    ]


def test_examples_fit_the_contract() -> None:
    assert examples()
    for row in examples():
        assert set(row) == {column.name for column in (*FEATURES, TARGET)}
        Features.model_validate({name: row[name] for name in row if name != TARGET.name})
