"""The version that is tested."""

import pytest
from databases import Sql


@pytest.fixture(scope="session")
def model() -> Sql:
    return Sql()
