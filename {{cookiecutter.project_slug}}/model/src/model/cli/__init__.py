"""The `model` command."""

import os
import sys

import click

from model.cli.explaining import ask, explain
from model.cli.predicting import predict
from model.cli.training import promote, rollback, train
from model.cli.versions import compare, diff, history, parity, pull, push, show, versions
from model.errors import ModelError
from model.settings import load_settings


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
    """Train, judge, look at, and serve the private model."""


@cli.command()
def serve() -> None:
    """Serve the current version where MODEL_URL says, until stopped."""
    from model.serving.server import serve as run

    run(load_settings())


LOOK, CHANGE = (versions, show, diff, compare, history, parity), (promote, rollback, push, pull)
for command in (train, *LOOK, *CHANGE, predict, ask, explain):
    cli.add_command(command)
