"""Whatever the contract allows, for hypothesis to draw from."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from contract import Column
from contract.types import EXACT

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "float": st.floats(-EXACT, EXACT, exclude_min=True, exclude_max=True),
    "int": st.integers(-EXACT, EXACT),
    "bool": st.booleans(),
    "category": st.text(
        st.characters(
            exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"], exclude_characters="\u2065"
        ),
        min_size=1,
        max_size=200,
    ),
    # Within these years a float64 of seconds is exact to the microsecond.
    "datetime": st.datetimes(datetime(1850, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
}


def values(column: Column) -> st.SearchStrategy[Any]:
    """Any value of a column, and None where one may be missing."""
    return VALUES[column.kind] | (st.none() if column.optional else st.nothing())
