"""The hook takes a cell for what the contract of the stamped-out project takes it for."""

from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

import pytest
from conftest import TEMPLATE
from describe import load_hook
from hypothesis import example, given
from hypothesis import strategies as st

PATH = TEMPLATE / "{{cookiecutter.project_slug}}" / "contract" / "src" / "contract" / "types.py"
HOOK_ALONE = {"yes": True, "1": True, "no": False, "0": False}
"""What the hook takes for a bool besides, since a history is rewritten and a request is not."""

NEAR_A_VALUE = st.from_regex(r"\s?[+-]?[0-9.eE_]{1,25}\s?", fullmatch=True) | st.sampled_from(
    ["true", " FALSE", "Yes", "0", "1", "nan", "inf", "\u0663", "1\u2009", "9007199254740993.0"]
)
TEXTS = (
    st.text(st.characters(exclude_categories=[]))
    | st.text(max_size=4).map(lambda text: text * 60)
    | NEAR_A_VALUE
    | st.one_of(st.integers(-(2**54), 2**54), st.floats()).map(str)
)


def load_types() -> ModuleType:
    """`contract.types`, which has no Jinja and needs pydantic alone."""
    spec = spec_from_file_location("contract_types", PATH)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOOK, TYPES = load_hook(), load_types()


def parsed(kind: str, text: str) -> object:
    """The value of a cell according to the contract; None where it has none."""
    try:
        return TYPES.KINDS[kind].parse(text)
    except TYPES.UnexpectedValue:
        return None


@pytest.mark.parametrize("kind", TYPES.KINDS)
@given(text=TEXTS)
@example("9" * 41)
@example("-0.0")
@example("1e999")
@example("4e0")
@example("\ud800")
@example("x" * 200)
@example("x" * 201)
def test_hook_and_contract_agree_on_every_cell(kind: str, text: str) -> None:
    plain = HOOK.plain(kind, text)
    value = None if plain is None else parsed(kind, plain)
    by_hook_alone = HOOK_ALONE.get(text.strip().lower()) if kind == "bool" else None
    expected = parsed(kind, text) if by_hook_alone is None else by_hook_alone
    assert (value, type(value)) == (expected, type(expected))
    assert (plain is None) == (value is None)
