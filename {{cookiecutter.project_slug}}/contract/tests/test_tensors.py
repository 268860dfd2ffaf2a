"""Whatever the features, they arrive as they were sent; whatever the fault, it is named."""

import copy
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import values

from contract import FEATURES, ContractError, Features, golden
from contract.tensors import columns_of, inputs_of, predictions_of
from contract.types import EXACT

ROWS = st.lists(
    st.builds(Features, **{column.name: values(column) for column in FEATURES}),
    min_size=1,
    max_size=5,
)
REQUEST = golden()[-1].request
RESPONSE = golden()[-1].response
WRONG: dict[str, list[Any]] = {
    "float": [True, "1.5", [1.5], {}, math.inf, 1e16, 10**400],
    "int": [True, 1.5, "3", [3], EXACT * 2, math.nan],
    "bool": [1, 0.0, "true", []],
    "datetime": [1, True, 1.7e9, "yesterday", "2026-02-30", "0001-01-01T00:00+01:00", ["a"]],
    "category": [1, True, "a\x00b", "x" * 201, "\ud800", ["a"]],
}


@settings(deadline=None)
@given(ROWS)
def test_rows_survive_the_wire(rows: list[Features]) -> None:
    request = json.loads(json.dumps({"inputs": inputs_of(rows)}))
    columns = columns_of(request)
    assert list(columns) == [column.name for column in FEATURES]
    back = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    assert back == [row.model_dump() for row in rows]


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    )
)
def test_any_other_json_is_refused(message: object) -> None:
    for read in (columns_of, predictions_of):
        with pytest.raises(ContractError):
            read(message)


def _request(position: int, **changes: Any) -> dict[str, Any]:
    request = copy.deepcopy(REQUEST)
    request["inputs"][position].update(changes)
    return request


@pytest.mark.parametrize("position", range(len(FEATURES)), ids=[each.name for each in FEATURES])
def test_a_value_of_the_wrong_type_names_its_tensor_and_row(position: int) -> None:
    column = FEATURES[position]
    good = REQUEST["inputs"][position]["data"][0]
    wrong = WRONG[column.kind] + ([] if column.optional else [None, math.nan, ""])
    for value in wrong:
        with pytest.raises(ContractError) as caught:
            columns_of(_request(position, data=[good, value]))
        assert caught.value.tensor == column.name
        assert "row 1" in caught.value.fault


@pytest.mark.parametrize(
    "changes",
    [
        {"datatype": "FP16"},
        {"datatype": None},
        {"shape": [3]},
        {"shape": [1, 2]},
        {"shape": []},
        {"shape": "2"},
        {"shape": [2.0]},
        {"data": []},
        {"data": None},
        {"data": [1, 2, 3]},
        {"shape": [0], "data": []},
        {"name": "nobody"},
        {"name": 7},
    ],
)
def test_a_malformed_tensor_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ContractError):
        columns_of(_request(0, **changes))


def test_a_missing_tensor_is_refused_unless_it_may_be_missing() -> None:
    for position, column in enumerate(FEATURES):
        request = copy.deepcopy(REQUEST)
        del request["inputs"][position]
        if column.optional and len(FEATURES) > 1:
            assert columns_of(request)[column.name] == [None, None]
        else:
            with pytest.raises(ContractError):
                columns_of(request)


def test_a_tensor_given_twice_is_refused() -> None:
    with pytest.raises(ContractError, match="twice"):
        columns_of({"inputs": [*REQUEST["inputs"], REQUEST["inputs"][0]]})


def test_rows_by_one_column_are_read_like_rows() -> None:
    request = copy.deepcopy(REQUEST)
    for tensor in request["inputs"]:
        tensor["shape"], tensor["data"] = [2, 1], [[value] for value in tensor["data"]]
    assert columns_of(request) == columns_of(REQUEST)


def test_an_answer_that_is_no_number_or_class_is_refused() -> None:
    wrong: list[Any] = [None, math.nan, math.inf, [], "\x00"]
    for value in wrong:
        response = copy.deepcopy(RESPONSE)
        response["outputs"][0]["data"][0] = value
        with pytest.raises(ContractError):
            predictions_of(response)
