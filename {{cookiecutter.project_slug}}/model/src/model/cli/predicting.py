"""Predict: for a row, for lines of rows, for a file."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import click

from contract import INPUTS, Inputs, LookedUp
from model.artifacts.opening import open_store
from model.errors import ModelError, explained
from model.settings import load_settings

if TYPE_CHECKING:
    from model.bulk.job import Progress
    from model.columns import Columns
    from model.engines.loading import Model

SOME_REJECTED = 3
"""The exit status when rows were rejected; all others have their predictions."""
PROGRESS_SECONDS = 5.0
"""Seconds between two lines of progress."""


class Row(LookedUp, Inputs):
    """One row to predict for, as a history holds it."""


@click.command()
@click.argument("rows", metavar="[ROW | FILE]", required=False)
@click.option("--version", help="Ask this version instead of the current one.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Of a FILE: where the predictions go, .csv or .parquet.  [default: beside it]",
)
@click.option("--overwrite", is_flag=True, help="Of a FILE: replace predictions made before.")
def predict(rows: str | None, version: str | None, output: Path | None, overwrite: bool) -> None:
    """Predict for a ROW in JSON, for each line of JSON on standard input, or for a FILE of rows.

    A FILE is .csv or .parquet. The predictions of data/rows.csv go to data/rows.predictions.csv;
    rows that do not fit the contract go to data/rows.rejected.csv with the reason, and the exit
    status is 3. Stopped in the middle, the same command goes on where it was.
    """
    from model.engines.loading import Model

    settings = load_settings()
    model = Model.load(open_store(settings).folder(version), settings.model_verify_keys)
    if rows is not None and not rows.lstrip().startswith("{"):
        _predict_file(model, Path(rows), output, overwrite)
        return
    if output or overwrite:
        raise click.UsageError("--output and --overwrite are for a FILE")
    for number, line in enumerate([rows] if rows is not None else sys.stdin, start=1):
        features = features_of(line, f"row {number}")
        with explained(f"row {number}: the model fails on it", kinds=(Exception,)):
            click.echo(json.dumps(model.predict(features).rows()[0]))


def features_of(text: str, name: str) -> "Columns":
    """The features of a row in JSON; raises ModelError, which calls it by this name."""
    from model.columns import add_derived

    with explained(name):
        row = Row.model_validate_json(text)
    with explained(f"{name}: a derived feature", kinds=(Exception,)):
        return add_derived({each.name: [getattr(row, each.name)] for each in INPUTS})


def _predict_file(model: "Model", file: Path, output: Path | None, overwrite: bool) -> None:
    from model.bulk.job import Job

    job = Job(model, file, output, overwrite=overwrite)
    try:
        done = _show(job.run(), job.size)
    except KeyboardInterrupt:
        raise ModelError(f"{file}: stopped; the same command goes on where it was") from None
    rejected = f", {done.rejected:,} rejected, in {job.rejects}" if done.rejected else ""
    click.echo(f"{done.predicted:,} rows predicted in {job.output}{rejected}", err=True)
    if rejected:
        sys.exit(SOME_REJECTED)


def _show(running: "Iterator[Progress]", size: int) -> "Progress":
    """Run a job to its end; a line now and then says how far it is, and at what speed."""
    progress = next(running)
    start = shown = monotonic()
    if before := progress.place.row:
        click.echo(f"going on after row {before:,}", err=True)
    for progress in running:
        if monotonic() - shown >= PROGRESS_SECONDS:
            shown = monotonic()
            offset, row = progress.place.offset, progress.place.row
            speed = (row - before) / max(shown - start, 0.001)
            click.echo(f"{offset / max(size, 1):4.0%}, {row:,} rows, {speed:,.0f}/s", err=True)
    return progress
