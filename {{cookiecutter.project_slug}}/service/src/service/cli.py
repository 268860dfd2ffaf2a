"""The `service` command."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import TextIO

import click
from alembic import command
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from service.connections import is_busy
from service.database import Database, config
from service.settings import Settings, load
from service.tables import now


@click.group()
def main() -> None:
    """The product service."""
    os.umask(0o077)  # whatever is written is the service's own


@main.command()
def serve() -> None:
    """Serve the public API until SIGTERM."""
    load()
    # The workers share their metrics in files, new ones for every start.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="service-metrics-")
    # Its script instead of `-m gunicorn`, which could not start itself again on SIGUSR2.
    gunicorn = str(Path(sys.executable).with_name("gunicorn"))
    options = ["--config", "python:service.gunicorn_conf", "service.app:create_app()"]
    os.execv(sys.executable, [sys.executable, gunicorn, *options])  # noqa: S606


@main.command()
@click.argument("name")
def key(name: str) -> None:
    """Make a key for a caller: what it sends, and the line by which the service knows it."""
    from service.access import new_key

    try:
        secret, line = new_key(name)
    except ValueError:
        raise click.ClickException(
            f"{name!r:.80}: a name has lower-case letters, digits, `.`, `_` and `-`"
        ) from None
    click.echo(f"{secret}\n{line}")
    click.echo(
        "The first is for the caller: Authorization: Bearer …; it is shown this once."
        " The second is for API_KEYS or a line of API_KEYS_FILE.",
        err=True,
    )


@main.command()
@click.option("--wait", default=0.0, help="Seconds to wait for a database that is starting.")
def migrate(wait: float) -> None:
    """Bring the database up to date."""
    with _database(wait) as database:
        try:
            database.migrate()
        except DBAPIError as error:
            if not is_busy(error.orig):
                raise
            statement = " ".join((error.statement or "BEGIN").split())
            raise click.ClickException(
                "another connection keeps a lock that a migration needs; it gave up, so that no"
                " request waits behind it: run `service migrate` again, at a quieter moment if this"
                f" repeats. It stopped at: {statement:.100}"
            ) from None
    click.echo("The database is up to date.")


@main.command()
def check() -> None:
    """Try whether this service can do its work, with the database and the model of its settings.

    For after a deploy, and for when something is wrong. Nothing is changed. The exit status is 0
    if every check is ok.
    """
    from service import check as checking

    results = checking.check(load())
    click.echo(checking.table(results))
    if any(each.result != "ok" for each in results):
        sys.exit(1)


@main.command()
@click.argument("message")
def revision(message: str) -> None:
    """Write a new migration from the difference between the tables and the database.

    `make format` puts it in order.
    """
    with _database() as database, database.engine.begin() as connection:
        _require_migrated(database)
        command.revision(config(connection), message, autogenerate=True)


@main.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True))
@click.option("--shadows", is_flag=True, help="Those of MODEL_SHADOW_URL, too.")
def export(path: Path, shadows: bool) -> None:
    """Write every prediction whose outcome is known, with what it was made from.

    The oldest comes first. PATH ends in .parquet, or else is written as CSV. The columns are those
    of a history, as served, and then what was expected, by which version, and when. Training
    derives features anew from the others.
    """
    from service.export import Served, to_csv, to_parquet

    write = to_parquet if path.suffix.lower() == ".parquet" else to_csv
    with _database() as database, database.engine.begin() as connection:
        _require_migrated(database)
        rows = Served(connection, shadows=shadows)
        with _written_whole(path) as new:
            write(new, rows)
    if rows.left_out:
        fault = f"{rows.left_out} rows left out: they lack a feature of today's contract"
        click.echo(fault, err=True)


@main.command()
@click.option("--versions", type=click.File(encoding="utf-8"), help="`model versions --json`.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), default="var/report.html"
)
def report(versions: TextIO | None, output: Path) -> None:
    """Write a page on who served the predictions, how good they were, and what has changed.

    Beside it the same name with .json has the numbers that `make score` goes by.
    """
    from service.report.findings import look
    from service.report.live import snapshot
    from service.report.page import render
    from service.report.versions import Versions

    try:
        known = Versions.model_validate_json(versions.read()) if versions else None
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise click.ClickException(f"--versions: {where}: {fault['msg']}") from None
    with _database() as database:
        _require_migrated(database)
        with snapshot(database) as connection:
            found = look(connection, known, now())
    deadline_ms = 1000 * load().model_deadline
    with _written_whole(output) as new:
        new.write_text(render(found, deadline_ms), "utf-8")
    with _written_whole(output.with_suffix(".json")) as new:
        new.write_text(json.dumps(found.summary(deadline_ms)), "utf-8")
    click.echo(f"The report is in {output}.")


@contextmanager
def _written_whole(path: Path) -> Iterator[Path]:
    """A file to write, which takes its place only once all of it is there; `-` stays that."""
    if str(path) == "-":
        yield path
        return
    new = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield new
        new.replace(path)
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from None
    except ModuleNotFoundError as error:
        fault = f"{path}: {error}: see `parquet` in pyproject.toml"
        raise click.ClickException(fault) from None
    finally:
        with suppress(OSError):
            new.unlink()


@main.command()
@click.argument(
    "number",
    type=click.IntRange(1, 2**63 - 1),
    metavar="{{ cookiecutter.entity.upper() }}_ID",
)
def forget(number: int) -> None:
    """Delete every row about one {{ cookiecutter.entity.replace('_', ' ') }}.

    What has been exported or learnt from, backups and logs are not reached.
    """
    from service import forgetting

    with _database() as database:
        _require_migrated(database)
        deleted = forgetting.forget(database, number)
    if not deleted:
        raise click.ClickException(f"there is no {{ cookiecutter.entity.replace('_', ' ') }} {number}")
    click.echo("deleted: " + ", ".join(f"{count} of {name}" for name, count in deleted.items()))


@main.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    from service.app import create_app

    click.echo(json.dumps(create_app(Settings.model_construct()).api_doc, indent=2))


def _require_migrated(database: Database) -> None:
    if not database.migrated():
        raise click.ClickException("the database is not migrated: run `service migrate` first")


@contextmanager
def _database(wait: float = 0.0) -> Iterator[Database]:
    database = Database(load().database_url, limited=False)
    deadline = monotonic() + wait
    while True:
        try:
            database.engine.connect().close()
            break
        except DBAPIError as error:
            if monotonic() < deadline:
                sleep(0.5)
                continue
            fault = str(error.orig).partition("\n")[0]
            raise click.ClickException(
                f"DATABASE_URL: cannot be used: {fault}; start it, or create the database"
            ) from None
    try:
        yield database
    finally:
        database.engine.dispose()
