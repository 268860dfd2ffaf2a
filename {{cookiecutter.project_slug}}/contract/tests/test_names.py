"""A header becomes a name that the code can have."""

import keyword
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from contract.names import find_columns, name_of


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text("aB1_ .-", max_size=60))
def test_any_header_has_a_name_which_is_its_own(header: str) -> None:
    name = name_of(header)
    assert re.fullmatch("[a-z][a-z0-9_]{0,39}", name)
    assert name_of(name) == name


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("sepal_length", "sepal_length"),
        ("Sepal.Length", "sepal_length"),
        ("Culmen Length (mm)", "culmen_length_mm"),
        ("passengerClass", "passenger_class"),
        ("MS_SubClass", "ms_sub_class"),
        ("HTTPStatus", "http_status"),
        ("IDs", "ids"),
        ("% paid", "percent_paid"),
        ("1st_visit", "x1st_visit"),
        ("Größe", "grosse"),
        ("Ærø & Łódź", "aero_and_lodz"),
        ("m²", "m2"),
        ("µg/l", "ug_l"),
        ("β", "beta"),
        ("число", "chislo"),
        ("數量", "u6578u91cf"),
        ("", "unnamed"),
        ("x" * 50, "x" * 40),
        ("model_dump_json", "xmodel_dump_json"),
        ("model_year", "model_year"),
        ("Table", "table"),
    ],
)
def test_the_name_of_a_header(header: str, name: str) -> None:
    assert name_of(header) == name


def test_a_name_that_is_in_use_gets_an_underscore() -> None:
    in_use = {*map(str.lower, keyword.kwlist), *(name for name in dir(BaseModel) if name[0] != "_")}
    for name in in_use | {"id", "type", "metadata", "ctid"}:
        prefix = "x" * name.startswith(("model_dump", "model_validate"))
        assert name_of(name) == (prefix + name if prefix else f"{name}_")


def test_columns_are_found_by_their_name() -> None:
    headers = ["Day", "Sepal.Length", "day", "Sepal Width"]
    names = ["sepal_length", "day", "gone"]
    assert find_columns(headers, names) == {"sepal_length": 1, "day": 2}


@pytest.mark.parametrize("headers", [["A b", "a.b"], ["a_b", "x", "a_b"]])
def test_two_headers_of_one_name_are_an_error_that_names_both(headers: list[str]) -> None:
    with pytest.raises(ValueError, match=f"{headers[0]}.* and .*{headers[-1]}"):
        find_columns(headers, ["a_b"])
