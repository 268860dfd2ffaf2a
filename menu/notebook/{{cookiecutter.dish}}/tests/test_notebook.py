"""The notebook is executed as a whole, in a kernel of its own."""

import os
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

from model.artifacts.manifest import METRIC
from model.artifacts.opening import open_store
from model.settings import load_settings

DISH = Path(__file__).resolve().parent.parent
PROVE = """
import parity
judged = found[f"version {manifest.version}"]
assert judged.metrics == manifest.evaluation.metrics
print(parity.check(folder, version, reference), "rows compared")
"""


@pytest.fixture(scope="module")
def executed() -> Any:
    notebook = jupytext.read(DISH / "notebook.py", fmt="py:percent")
    importable = f"import sys; sys.path.insert(0, {str(DISH / 'tests')!r})"
    notebook.cells.append(nbformat.v4.new_code_cell(importable + PROVE))
    NotebookClient(notebook, resources={"metadata": {"path": str(DISH)}}).execute()
    nbformat.write(notebook, DISH / "build/notebook.ipynb")
    return notebook


def outputs(notebook: Any, kind: str) -> list[str]:
    """What the cells show, of this kind."""
    found = [each for cell in notebook.cells for each in cell.get("outputs", ())]
    data = [each.get("data", {"text/plain": each.get("text")}) for each in found]
    return [each[kind] for each in data if kind in each]


def test_it_shows_the_errors_of_the_current_version_and_a_change_beside_it(executed: Any) -> None:
    os.chdir(DISH.parent.parent)
    store = open_store(load_settings())
    name = store.folder().name
    manifest = store.read(name)
    texts = outputs(executed, "text/plain")
    assert texts[0].startswith(f"version {name}, trained on {manifest.data.rows} rows\n")
    assert len(outputs(executed, "image/png")) == 2
    table = next(text for text in texts if "changed" in text)
    assert f"version {name}" in table
    assert METRIC in table
    assert any(text.startswith("changed is ") and name in text for text in texts)


def test_its_predictions_and_its_judgement_are_those_of_the_version(executed: Any) -> None:
    assert outputs(executed, "text/plain")[-1].endswith(" rows compared\n")
