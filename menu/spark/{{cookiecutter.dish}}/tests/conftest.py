"""The version that is tested."""

import os

import pytest
from support import ROOT

from model.artifacts.manifest import Manifest
from model.artifacts.opening import open_store
from model.settings import load_settings


def pytest_sessionstart() -> None:
    """Run from the project's root, where the settings are."""
    os.chdir(ROOT)


@pytest.fixture(scope="session")
def manifest() -> Manifest:
    store = open_store(load_settings())
    return store.read(store.folder().name)
