"""Features that may be missing, or are derived, come and go; anything else is named."""

from typing import Any

import pytest

from contract import FEATURES, TARGET, ContractError, golden, signature
from contract.evolution import CALLER, OURS, Terms, differences
from contract.tensors import columns_of

REQUEST = golden()[-1].request
TIP = {"name": "tip_", "datatype": "FP64", "shape": [2], "data": [1.5, None]}


def terms(**changes: Any) -> Terms:
    """Our terms with other features, or another target."""
    return OURS._replace(**changes)


def test_a_contract_understands_itself_and_is_read_back() -> None:
    assert differences(OURS, OURS) == []
    assert differences(OURS, Terms.parse(OURS.dump())) == []
    for nonsense in (None, "", "{}", '{"features": 1, "derived": [], "target": {}}'):
        with pytest.raises(ContractError, match="cannot be read"):
            Terms.parse(nonsense)


def test_a_feature_that_may_be_missing_or_is_derived_comes_and_goes() -> None:
    optional = terms(features={**OURS.features, "tip_": "float?"})
    derived = terms(features={**OURS.features, "each_": "float"}, derived=["each_"])
    for more in (optional, derived):
        assert differences(OURS, more) == differences(more, OURS) == []


def test_what_cannot_come_or_go_is_named() -> None:
    more = terms(features={**OURS.features, "tip_": "float"})
    (fault,) = differences(more, OURS)
    assert fault == "tip_ is not known to it, and is neither optional nor derived"
    (fault,) = differences(OURS, more)
    assert fault == "it needs tip_, which is neither optional nor derived"
    (fault,) = differences(OURS, terms(target={"other_": "bool"}))
    assert fault == f"the target is other_:bool, not {TARGET.name}:{TARGET.kind}"
    name, kind = next(iter(OURS.features.items()))
    other = {"bool": "float"}.get(kind.rstrip("?"), "bool")
    (fault,) = differences(OURS, terms(features={**OURS.features, name: other}))
    assert fault == f"{name} is {other}, not {kind}"
    may_be_missing = terms(features={**OURS.features, name: f"{kind.rstrip('?')}?"})
    assert differences(OURS, may_be_missing) == []


def test_a_caller_of_another_contract_lets_its_own_features_be_ignored() -> None:
    request: Any = {"inputs": [*REQUEST["inputs"], TIP]}
    for parameters in ({}, CALLER, {"signature": "another"}):
        with pytest.raises(ContractError, match="unknown tensor"):
            columns_of({**request, "parameters": parameters})
    caller = {"signature": "another", "may_ignore": "each_,tip_"}
    assert columns_of({**request, "parameters": caller}) == columns_of(REQUEST)
    assert CALLER["signature"] == signature()


@pytest.mark.parametrize("name", [each.name for each in FEATURES if not each.optional])
def test_what_cannot_be_missing_is_asked_of_any_caller(name: str) -> None:
    if name in OURS.derived:
        return
    inputs = [each for each in REQUEST["inputs"] if each["name"] != name]
    with pytest.raises(ContractError, match=r"missing tensor|no tensor"):
        columns_of({"inputs": inputs, "parameters": {"signature": "another"}})


@pytest.mark.parametrize(
    "parameters", [1, {"signature": 1}, {"signature": "another", "may_ignore": [1]}]
)
def test_a_caller_that_cannot_be_understood_is_told(parameters: Any) -> None:
    with pytest.raises(ContractError, match="parameters"):
        columns_of({**REQUEST, "parameters": parameters})
