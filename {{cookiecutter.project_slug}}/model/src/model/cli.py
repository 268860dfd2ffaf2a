"""The `model` command."""

import json
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import click

from contract import INPUTS, TARGET, Inputs, LookedUp
from model.artifacts.manifest import METRIC, Manifest
from model.artifacts.store import Store
from model.errors import ModelError, explained
from model.settings import load_settings

if TYPE_CHECKING:
    from model.bulk.job import Progress
    from model.engines.loading import Model

SOME_REJECTED = 3
"""The exit status when rows were rejected; all others have their predictions."""
PROGRESS_SECONDS = 5.0
"""Seconds between two lines of progress."""


class Row(LookedUp, Inputs):
    """One row to predict for, as a history holds it."""


def main() -> None:
    """Run the command; an error that a person can correct ends it with one line."""
    os.umask(0o077)  # whatever it writes is for this user alone
    try:
        cli()
    except ModelError as error:
        click.echo(f"model: {error}", err=True)
        sys.exit(1)


@click.group()
def cli() -> None:
    """Train, look at, and serve the private model."""


@cli.command()
@click.option("--data", type=click.Path(path_type=Path), default="data/history.csv")
@click.option("--promote/--no-promote", default=True, help="Make the new version the current one.")
@click.option("--compile/--no-compile", "compiled", default=True, help="Compile it to ONNX.")
@click.option("--force", is_flag=True, help="Make it the current one even if it is worse.")
def train(data: Path, promote: bool, compiled: bool, force: bool) -> None:
    """Train a new version on a history.

    It becomes the current one unless it is worse than its baseline or than the current version,
    with exit status 1.
    """
    # Threads that wait for work would else spin, and hold up others where cores are few.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from model.artifacts.signing import signer
    from model.engines.loading import Model
    from model.training.gate import objections
    from model.training.history import read_history
    from model.training.trainer import STEPS
    from model.training.trainer import train as train_on

    settings = load_settings()
    store = Store(settings.model_store)
    sign = signer(settings.model_signing_key, settings.model_verify_keys)
    steps = ["read the history", *STEPS, "store and test"]

    def show_step(name: str) -> None:
        click.echo(f"[{steps.index(name) + 1}/{len(steps)}] {name}", err=True)

    show_step(steps[0])
    if not data.exists() and (readme := data.with_name("README.md")).exists():
        raise ModelError(f"{data}: is not there; {readme} says what belongs there")
    history = read_history(data)
    manifest, files = train_on(history, show_step, compiled=compiled)
    show_step(steps[-1])
    new = store.add(manifest, files, partial(Model.load, keys=settings.model_verify_keys), sign)
    if history.warning:
        click.echo(f"WARNING: {history.warning}", err=True)
    if useless := manifest.uninformative:
        click.echo(f"WARNING: constant or empty, so of no use: {', '.join(useless)}", err=True)
    if rejected := _rejected(manifest):
        click.echo(f"WARNING: {rejected}", err=True)
    current = store.current_manifest(settings.model_verify_keys)
    reasons = [] if force else objections(manifest, current)
    if promote and not reasons:
        store.promote(manifest.version)
    _describe(store, store.read(manifest.version))
    if not new:
        click.echo("unchanged: this version was there already")
    if promote and not store.is_current(manifest):
        remedy = f"improve it, or `make train FORCE=1`, or `model promote {manifest.version}`"
        fault = f"version {manifest.version} is stored, but not the current one"
        raise ModelError(f"{fault}: {'; '.join(reasons)}; {remedy}")


@cli.command()
def versions() -> None:
    """List the versions, the current one marked, oldest first."""
    store = Store(load_settings().model_store)
    manifests, faults = store.versions()
    for manifest in manifests:
        mark = "*" if store.is_current(manifest) else " "
        trained, data = f"{manifest.created_at:%Y-%m-%d %H:%M:%S}", manifest.data
        judged, synthetic = "not judged", "  SYNTHETIC DATA" if data.synthetic else ""
        if found := manifest.evaluation:
            judged = f"{METRIC} {found.metrics[METRIC]:.4g} (baseline {found.baseline[METRIC]:.4g})"
        click.echo(f"{mark} {manifest.version}  {trained}  {data.rows} rows  {judged}{synthetic}")
    for fault in faults:
        click.echo(f"model: {fault}", err=True)


@cli.command()
@click.argument("version", required=False)
@click.option("--json", "as_json", is_flag=True, help="The manifest, as it is stored.")
def show(version: str | None, as_json: bool) -> None:
    """Show a version, by default the current one."""
    store = Store(load_settings().model_store)
    manifest = store.read(version)
    if as_json:
        click.echo(manifest.model_dump_json(indent=2))
    else:
        _describe(store, manifest)


@cli.command()
@click.argument("version")
def promote(version: str) -> None:
    """Make VERSION the current one, once it was loaded and tested here.

    A server that runs serves it from its next start, or reload (SIGHUP), on.
    """
    from model.engines.loading import Model

    settings = load_settings()
    store = Store(settings.model_store)
    Model.load(store.folder(version), settings.model_verify_keys)
    store.promote(version)
    click.echo(f"current: {version}")


@cli.command()
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
    from model.columns import add_derived
    from model.engines.loading import Model

    settings = load_settings()
    model = Model.load(Store(settings.model_store).folder(version), settings.model_verify_keys)
    if rows is not None and not rows.lstrip().startswith("{"):
        _predict_file(model, Path(rows), output, overwrite)
        return
    if output or overwrite:
        raise click.UsageError("--output and --overwrite are for a FILE")
    for number, line in enumerate([rows] if rows is not None else sys.stdin, start=1):
        with explained(f"row {number}"):
            row = Row.model_validate_json(line)
        columns = {each.name: [getattr(row, each.name)] for each in INPUTS}
        with explained(f"row {number}: a derived feature", kinds=(Exception,)):
            features = add_derived(columns)
        with explained(f"row {number}: the model fails on it", kinds=(Exception,)):
            click.echo(json.dumps(model.predict(features).rows()[0]))


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


@cli.command()
def serve() -> None:
    """Serve the current version where MODEL_URL says, until stopped."""
    from model.serving.server import serve as run

    run(load_settings())


def _rejected(manifest: Manifest) -> str:
    """The words on the rows whose target was out of all proportion, if there were any."""
    if not (found := manifest.outliers):
        return ""
    limits = f"{TARGET.name} is not between {found.low:.6g} and {found.high:.6g}"
    return f"{found.rows} of {manifest.data.rows} rows rejected, since their {limits}"


def _describe(store: Store, manifest: Manifest) -> None:
    """Print what a person asks first about a version."""
    data, code = manifest.data, manifest.code
    compiled, evaluation = manifest.compiled, manifest.evaluation
    dirty = ", with changes that are not committed" if code and code.dirty else ""
    engine = f"scikit-learn, not compiled: {compiled.reason}"
    if not compiled.reason:
        engine = f"the compiled model, which agrees with scikit-learn on {compiled.rows} rows"
        engine += f" (relative error at most {compiled.worst:.1g})"
    judged = "not: the past 80 % of the rows hold one class only"
    if evaluation:
        judged = f"a model of {evaluation.past} rows on {evaluation.later} later ones"
        judged += f" (split: {evaluation.split}); this version was then fitted to all of them"
    lines = {
        "version": manifest.version + " (current)" * store.is_current(manifest),
        "trained": f"{manifest.created_at:%Y-%m-%d %H:%M:%S} UTC on {data.rows} rows",
        "data": f"{data.source}, sha256 {data.sha256[:12]}",
        "WARNING": "trained on SYNTHETIC data: the predictions mean nothing" * data.synthetic,
        "caveat": data.caveat,
        "outliers": _rejected(manifest),
        "constant or empty": ", ".join(manifest.uninformative),
        "commit": f"{code.commit[:12]}{dirty}" if code else None,
        "packages": ", ".join(f"{name} {it}" for name, it in manifest.packages.items()),
        "predicted by": engine,
        "fallback": json.dumps(manifest.fallback, ensure_ascii=False),
        "judged": judged,
    }
    if evaluation:
        for name, value in evaluation.metrics.items():
            lines[name] = f"{value:.4g}  (baseline {evaluation.baseline[name]:.4g})"
        for number, each in enumerate(evaluation.candidates, start=1):
            score = "no score" if each.score is None else f"score {each.score:.4g}"
            lines[f"candidate {number}"] = f"{score}  {each.name}"
    for name, line in lines.items():
        if line:
            click.echo(f"{name:>24}  {line}")
