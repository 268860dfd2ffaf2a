"""Train a version, judge one, and change which is current."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from model.artifacts.log import version_before
from model.artifacts.opening import open_store
from model.artifacts.store import Store
from model.cli.describing import describe, found_better, rejected
from model.cli.rows import ROWS, read_rows
from model.errors import ModelError
from model.settings import Settings, load_settings

if TYPE_CHECKING:
    from model.training.history import History

FORCE = click.option("--force", is_flag=True, help="Make it the current one all the same.")
REASON = click.option("--reason", default="", help="Why, for the log.")


@click.command()
@ROWS
@click.option("--promote/--no-promote", default=True, help="Whether to make it current.")
@click.option("--compile/--no-compile", "compiled", default=True, help="Compile it to ONNX.")
@FORCE
@REASON
def train(data: Sequence[Path], promote: bool, compiled: bool, force: bool, reason: str) -> None:
    """Train a new version on a history.

    It becomes the current one if the gate has no objection, else the exit status is 1. The gate
    judges with --no-promote, too.
    """
    # Threads that wait for work would else spin, and hold up others where cores are few.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from model.artifacts.signing import signer
    from model.engines.loading import Model
    from model.training.trainer import STEPS
    from model.training.trainer import train as train_on

    settings = load_settings()
    store = open_store(settings)
    sign = signer(settings.model_signing_key, settings.model_verify_keys)
    steps = ["read the history", *STEPS, "store, test and judge"]

    def show_step(name: str) -> None:
        click.echo(f"[{steps.index(name) + 1}/{len(steps)}] {name}", err=True)

    show_step(steps[0])
    history = read_rows(data)
    manifest, files = train_on(history, show_step, compiled=compiled)
    show_step(steps[-1])
    new = store.add(manifest, files, partial(Model.load, keys=settings.model_verify_keys), sign)
    for warning in (
        history.warning,
        (useless := manifest.uninformative)
        and f"constant or empty, so of no use: {', '.join(useless)}",
        rejected(manifest),
    ):
        if warning:
            click.echo(f"WARNING: {warning}", err=True)
    verdict, fault = "", ""
    if not store.is_current(manifest):
        try:
            judged_on = None if force else history
            verdict = _promote(
                store, manifest.version, judged_on, settings, reason or "trained", dry=not promote
            )
        except ModelError as error:
            fault = str(error)
    describe(store, store.read(manifest.version))
    if not new:
        click.echo("unchanged: this version was there already")
    if verdict:
        files_of = "".join(f" --data {path}" for path in data)
        hint = f"; `model promote {manifest.version}{files_of}` makes it the current one"
        click.echo(verdict + hint * (not promote))
    if fault:
        raise ModelError(fault)


@click.command()
@click.argument("version")
@ROWS
@FORCE
@REASON
def promote(version: str, data: Sequence[Path], force: bool, reason: str) -> None:
    """Make VERSION the current one, if the gate has no objection.

    It is served by a server of its own and compared with the current version on the rows that
    neither has learnt from. Servers that run notice within a second.
    """
    from model.engines.loading import Model

    settings = load_settings()
    store = open_store(settings)
    if force and not reason:
        raise click.UsageError("--force needs a --reason")
    Model.load(store.folder(version), settings.model_verify_keys)
    history = None if force else read_rows(data)
    if history and history.warning:
        click.echo(f"WARNING: {history.warning}", err=True)
    _promote(store, version, history, settings, reason)
    click.echo(f"current: {version}")


@click.command()
@REASON
def rollback(reason: str) -> None:
    """Go back to the version that was current before, without asking the gate."""
    from model.engines.loading import Model

    settings = load_settings()
    store = open_store(settings)
    entries = store.history()
    version = version_before(entries)
    if version is None:
        raise ModelError(f"{store.name}: there is no version before; `model promote` another")
    Model.load(store.folder(version), settings.model_verify_keys)
    store.promote(version, reason, action="rollback", over=entries)
    click.echo(f"current: {version}")


def _promote(
    store: Store,
    version: str,
    history: "History | None",
    settings: Settings,
    reason: str,
    *,
    dry: bool = False,
) -> str:
    """Make a version the current one, by force if there are no rows to judge it on; why it may be.

    With `dry` that is left to a person.

    Raises:
        ModelError: with all reasons why it must not be.
    """
    from model.training.gate import judge_version

    entries, evidence, words = store.history(), {"forced": True}, ""
    if history is not None:
        found = judge_version(store, version, history, settings)
        if found.objections:
            remedy = f"improve it, or `model promote {version} --force --reason …`"
            fault = f"version {version} is stored, but not the current one"
            raise ModelError(f"{fault}: {'; '.join(found.objections)}; {remedy}")
        evidence = found.evidence
        words = f"no objection: {found_better(store.read(version), evidence)}"
    if not dry:
        store.promote(version, reason, evidence, over=entries)
    return words
