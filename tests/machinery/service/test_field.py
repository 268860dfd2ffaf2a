"""`make field` accepts what can become a field, and finds the table that it belongs to."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from support import PATH

from contract import FEATURES, TARGET


@pytest.fixture(scope="module")
def field() -> Any:
    """dev/field.py, which is a program, as a module."""
    path = Path(__file__).parents[2] / "dev" / "field.py"
    spec = importlib.util.spec_from_file_location("field", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_that_of_the_product(field: Any) -> None:
    assert field.TABLE.__tablename__ == PATH.strip("/")


@pytest.mark.parametrize("kind", ["float", "int", "bool", "category"])
def test_a_field_may_have_any_type_and_is_optional(field: Any, kind: str) -> None:
    assert field.parse(f"tip:{kind}?") == ("tip", kind)
    with pytest.raises(ValueError, match="may be missing"):
        field.parse(f"tip:{kind}")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Tip",
        "1st",
        "a b",
        "x" * 41,
        "class",
        "id",
        "int",
        "types",
        "self",
        "model_config",
        "copy",
    ]
    + ["metadata", "created_at", "served_by", TARGET.name, f"expected_{TARGET.name}"]
    + [column.name for column in FEATURES],
)
def test_a_name_that_would_break_the_project_is_rejected(field: Any, name: str) -> None:
    with pytest.raises(ValueError, match=r"taken|write "):
        field.parse(f"{name}:float?")


@pytest.mark.parametrize("kind", ["", "?", "float64?", "Float?", "float??"])
def test_another_type_is_rejected(field: Any, kind: str) -> None:
    with pytest.raises(ValueError, match="none of float"):
        field.parse(f"tip:{kind}")
