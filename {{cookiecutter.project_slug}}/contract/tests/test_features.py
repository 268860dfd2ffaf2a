"""Features are assembled from whatever the contract allows, each from one place."""

from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import values

from contract import FEATURES, Derived, Features, Inputs, LookedUp, assemble
from contract.signature import fields_of


def rows(part: type[Inputs] | type[LookedUp]) -> st.SearchStrategy[Inputs | LookedUp]:
    """Any instance of a part of the features."""
    return st.builds(part, **{column.name: values(column) for column in fields_of(part)})


def test_each_feature_comes_from_one_place() -> None:
    parts = [set(part.model_fields) for part in (Inputs, LookedUp, Derived)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(FEATURES)


@settings(deadline=None)
@given(rows(Inputs), rows(LookedUp))
def test_what_the_types_allow_has_derived_features(inputs: Inputs, looked_up: LookedUp) -> None:
    features = assemble(inputs, looked_up)
    assert isinstance(features, Features)
    assert features.model_dump() == {
        **features.model_dump(),
        **inputs.model_dump(),
        **looked_up.model_dump(),
    }
