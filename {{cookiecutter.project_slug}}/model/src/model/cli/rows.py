"""Labelled rows, as several commands take them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from model.errors import ModelError

if TYPE_CHECKING:
    from model.training.history import History

ROWS = click.option(
    "--data",
    type=click.Path(path_type=Path),
    multiple=True,
    default=[Path("data/history.csv")],
    help="The labelled rows, oldest first; several files follow each other.",
)


def read_rows(data: Sequence[Path]) -> "History":
    """The rows of these files; raises ModelError, naming a fault's file, line and column."""
    from model.training.history import read_histories

    for path in data:
        if not path.exists() and (readme := path.with_name("README.md")).exists():
            raise ModelError(f"{path}: is not there; {readme} says what belongs there")
    return read_histories(data)
