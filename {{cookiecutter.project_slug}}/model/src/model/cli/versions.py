"""Look at the versions, compare two of them, and move them between stores."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import click

from contract import FEATURES
from model.artifacts.log import Entry, current_at, current_of
from model.artifacts.manifest import METRIC, MODEL_FILE, ONNX_FILE, Manifest
from model.artifacts.opening import open_store
from model.artifacts.store import Store
from model.artifacts.verification import check_whole, verify
from model.cli.describing import describe
from model.cli.rows import ROWS, read_rows
from model.errors import ModelError
from model.settings import load_settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="All that is known of them, with the log.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="With --json: how wrong each is on these rows, where it has not learnt from them.",
)
def versions(as_json: bool, data: Path | None) -> None:
    """List the versions, the current one marked, oldest first."""
    settings = load_settings()
    store = open_store(settings)
    if as_json:
        known = store.known()
        if data:
            from model.training.aging import aging

            known["aging"] = aging(store, read_rows([data]), settings.model_verify_keys)
        click.echo(json.dumps(known))
        return
    (manifests, faults), log = store.versions(), store.history()
    for manifest in manifests:
        click.echo(f"{'*' if manifest.version == current_of(log) else ' '} {_line(manifest, log)}")
    for fault in faults:
        click.echo(f"model: {fault}", err=True)


def _line(manifest: Manifest, log: list[Entry]) -> str:
    data, judged = manifest.data, "not judged"
    if found := manifest.evaluation:
        judged = f"{METRIC} {found.metrics[METRIC]:.4g} (baseline {found.baseline[METRIC]:.4g})"
    promoted = [each.who for each in log if each.to == manifest.version][-1:]
    parts = (
        manifest.version,
        f"{manifest.created_at:%Y-%m-%d %H:%M:%S}",
        f"{(datetime.now(UTC) - manifest.created_at).days} days",
        f"{data.rows} rows",
        judged,
        *(f"promoted by {who}" for who in promoted),
        *["SYNTHETIC DATA"] * data.synthetic,
    )
    return "  ".join(parts)


@click.command()
@click.argument("version", required=False)
@click.option("--json", "as_json", is_flag=True, help="The manifest, as it is stored.")
def show(version: str | None, as_json: bool) -> None:
    """Show a version, by default the current one."""
    store = open_store(load_settings())
    manifest = store.read(version)
    if as_json:
        click.echo(manifest.model_dump_json(indent=2))
    else:
        describe(store, manifest)


@click.command()
@click.argument("one")
@click.argument("other")
@ROWS
def diff(one: str, other: str, data: Sequence[Path]) -> None:
    """What is different in version OTHER: metrics, slices, and the rows that differ most."""
    from model.training.diff import metrics, rows
    from model.training.losses import predictions_of

    settings = load_settings()
    store, keys = open_store(settings), settings.model_verify_keys
    first, second = (verify(store.folder(each), keys) for each in (one, other))
    given = read_rows(data)
    before, after = (predictions_of(each, given) for each in (first, second))
    click.echo(f"{one:>12}  {other:>12}")
    lines = metrics(first.manifest, second.manifest), rows(before, after, given)
    for name, was, is_now in chain(*lines):
        click.echo(f"{was:>12}  {is_now:>12}  {name}")


@click.command()
@click.argument("one")
@click.argument("other")
@click.option("--data", type=click.Path(path_type=Path), default="var/compared.csv")
def compare(one: str, other: str, data: Path) -> None:
    """Which of the versions ONE and OTHER predicted better what the product was asked.

    The data is what `service export --shadows` writes.
    """
    from model.training.comparison import compare as compare_on

    click.echo(compare_on(data, one, other))


@click.command()
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--version", help="Of this version instead of the current one.")
@ROWS
def parity(output: Path, version: str | None, data: Sequence[Path]) -> None:
    """Write the rows on which a compiled model must predict as scikit-learn does.

    A line of JSON each, with what scikit-learn predicts: the history, both sides of the splits of
    trees, missing values, categories that were never seen.
    """
    from model.columns import to_arrays
    from model.compiling.parity import parity_rows
    from model.engines.sklearn import SklearnEngine

    settings = load_settings()
    folder, keys = open_store(settings).folder(version), settings.model_verify_keys
    artifact = verify(folder, keys)
    manifest = artifact.manifest
    if lacking := [each.name for each in FEATURES if each.name not in manifest.features]:
        raise ModelError(f"version {manifest.version} lacks {lacking[0]}; run `make train`")
    reference = SklearnEngine.load(check_whole(folder, keys, MODEL_FILE))
    is_compiled = manifest.engine_file == ONNX_FILE
    arrays = to_arrays(read_rows(data).columns, manifest.features)
    with output.open("w", encoding="utf-8") as file:
        for row in parity_rows(reference, artifact.content if is_compiled else None, arrays):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    click.echo(f"{output}: of version {manifest.version}", err=True)


@click.command()
@click.option("--at", metavar="MOMENT", help="Only what was current then, as ISO 8601 writes it.")
def history(at: str | None) -> None:
    """Which version was current when, who changed it, and why."""
    log = open_store(load_settings()).history()
    if at:
        try:
            moment = datetime.fromisoformat(at)
        except ValueError:
            raise click.BadParameter(f"{at!r:.40} is no moment such as 2026-11-24T10:00") from None
        found = current_at(log, moment if moment.tzinfo else moment.astimezone())
        if found is None:
            raise ModelError(f"no version was current at {at}")
        log = [found]
    for each in log:
        objections = (each.evidence or {}).get("forced") and " by force"
        click.echo(
            f"{each.time:%Y-%m-%d %H:%M:%S}  {each.to}  {each.action}{objections or ''}"
            f" by {each.who}  {each.reason}".rstrip()
        )


@click.command()
@click.argument("target", metavar="STORE")
@click.argument("version", required=False)
def push(target: str, version: str | None) -> None:
    """Copy VERSION, by default the current one, to another STORE; it is not current there."""
    settings = load_settings()
    _copy(open_store(settings), open_store(settings, target), version)


@click.command()
@click.argument("source", metavar="STORE")
@click.argument("version", required=False)
def pull(source: str, version: str | None) -> None:
    """Copy VERSION, by default the current one there, from another STORE."""
    settings = load_settings()
    _copy(open_store(settings, source), open_store(settings), version)


def _copy(source: Store, target: Store, version: str | None) -> None:
    folder = source.folder(version)
    words = "copied to" if target.receive(folder) else "was there already, in"
    click.echo(f"{folder.name} {words} {target.name}; `model promote` makes it current there")
