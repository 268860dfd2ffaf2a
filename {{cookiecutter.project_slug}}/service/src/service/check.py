"""`service check`: whether a deployed service can do its work, tried in the ways that it uses."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Literal

from alembic.util import CommandError
from sqlalchemy import false, insert, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from contract import signature
from contract.tolerance import check_predictions
from contract.tracing import Trace
from service import telemetry
from service.app import predictor_of
from service.context import RequestContext
from service.database import Database
from service.predictors import Predictor, PredictorError
from service.settings import Settings
from service.tables import Base

SECONDS = 5.0
"""How long the model may take for an answer: this is about whether it is right, not how fast."""

MIGRATE = "run `service migrate`"

REMEDIES = {
    "unreachable": "start the model server, or compare MODEL_URL on both sides",
    "timeout": "look into the model server's log",
    "signature": "deploy both sides from one commit",
}
"""What to do next, by the reason of a PredictorError, where its message does not say."""


class Failed(Exception):
    """What a check found to be wrong, and what to do about it."""


@dataclass(frozen=True)
class Check:
    """One thing to try.

    Attributes:
        name: of what.
        needs: the check without which there is no point in this one.
        run: tries it; gives what it found, or raises Failed.
    """

    name: str
    needs: str | None
    run: Callable[[], str]


@dataclass(frozen=True)
class Result:
    """What came of a check; `found` says what it found, or what to do next."""

    name: str
    result: Literal["ok", "failed", "not tried"]
    found: str


def check(settings: Settings) -> list[Result]:
    """What came of all checks.

    Raises:
        SystemExit: a setting is invalid.
    """
    # What it finds is told in the table; a model in this process would log that it serves.
    telemetry.configure_logging(settings.model_copy(update={"log_level": "error"}))
    database = Database(settings.database_url)
    checks = [
        Check("database", None, partial(_database, database, settings.database_url)),
        Check("migrations", "database", partial(_migrations, database)),
        Check("writing", "migrations", partial(_writing, database)),
    ]
    for name, url in settings.models.items():
        which = name.removeprefix("model_").removesuffix("url").replace("_", " ")
        names = ("model", "contract", "predictions")
        model, contract, predictions = (which + each for each in names)
        predictor = predictor_of(settings, name)
        checks += [
            Check(model, None, partial(_model, predictor, url)),
            Check(contract, model, partial(_contract, predictor)),
            Check(predictions, contract, partial(_predictions, predictor)),
        ]
    try:
        return run_all(checks)
    finally:
        database.engine.dispose()


def run_all(checks: Iterable[Check]) -> list[Result]:
    """Try everything, but for what needs something that failed."""
    results: list[Result] = []
    passed: set[str | None] = {None}
    for each in checks:
        if each.needs not in passed:
            results.append(Result(each.name, "not tried", f"needs: {each.needs}"))
            continue
        try:
            found = each.run()
        except Failed as fault:
            results.append(Result(each.name, "failed", str(fault)))
        except SQLAlchemyError as error:
            results.append(Result(each.name, "failed", _first_line(error)))
        except Exception as error:  # whatever it is, the others are tried; its text may be secret
            results.append(Result(each.name, "failed", f"unexpected {type(error).__name__}"))
        else:
            passed.add(each.name)
            results.append(Result(each.name, "ok", found))
    return results


def table(results: Iterable[Result]) -> str:
    """The results, a line each, in columns."""
    lines = [("CHECK", "RESULT", "FOUND"), *((it.name, it.result, it.found) for it in results)]
    first, second = (max(len(line[column]) for line in lines) for column in (0, 1))
    return "\n".join(f"{a:{first}}  {b:{second}}  {c}" for a, b, c in lines)


def _database(database: Database, url: str) -> str:
    """Connect; without making the file that SQLite would make."""
    where = make_url(url)
    if where.drivername == "sqlite":
        if not Path(where.database or "").exists():
            raise Failed(f"{where.database} is not there: compare DATABASE_URL, or {MIGRATE}")
        place = f"sqlite, {where.database}"
    else:
        place = f"postgresql, {where.database} at {where.host or 'the default host'}"
    try:
        database.engine.connect().close()
    except SQLAlchemyError as error:
        raise Failed(f"{place}: {_first_line(error)}; start it, or compare DATABASE_URL") from None
    return place


def _migrations(database: Database) -> str:
    """Ask as readiness does, which accepts a later release's."""
    try:
        at, is_migrated = database.revision(), database.migrated()
    except CommandError as error:
        raise Failed(f"{error}: what the table alembic_version says, no release has left") from None
    if not is_migrated:
        raise Failed(f"at revision {at}, which lacks migrations of this release: {MIGRATE}")
    return f"at revision {at}"


def _writing(database: Database) -> str:
    """Ask as readiness does; then write to each table, which proves the rights to it, no row."""
    if (found := database.check()) != "ok":
        raise Failed(found)
    tables = Base.metadata.sorted_tables
    for each in tables:
        no_rows = select(each).where(false())
        with database.writing() as session:
            session.execute(insert(each).from_select(list(each.columns), no_rows, False))
    return f"{len(tables)} tables"


def _model(predictor: Predictor, url: str) -> str:
    """Ask whether it answers; whether it is the right one is the next check's business."""
    predictor.open()  # of a library that takes its time, which no deadline is about
    try:
        predictor.check(monotonic() + SECONDS)
    except PredictorError as error:
        if error.reason != "signature":
            raise _failed(error) from None
    return url


def _contract(predictor: Predictor) -> str:
    """Compare the two sides' contracts, as readiness does."""
    try:
        predictor.check(monotonic() + SECONDS)
    except PredictorError as error:
        raise _failed(error) from None
    return f"{signature()} is understood"


def _predictions(predictor: Predictor) -> str:
    """Ask for what the version was tested with when it was made, on the way of each request."""
    found, slowest = [], 0.0
    try:
        test = predictor.self_test(monotonic() + SECONDS)
        for number, row in enumerate(test.rows):
            start = monotonic()
            context = RequestContext(f"check-{number}", start + SECONDS, Trace.of(""))
            answer = predictor.predict(row, context)
            slowest = max(slowest, monotonic() - start)
            if answer.version != test.version:
                both = f"{answer.version} answers, {test.version} was asked for"
                raise Failed(f"the version has just changed ({both}): try again")
            found.append(answer.prediction.model_dump())
    except PredictorError as error:
        raise _failed(error) from None
    try:
        check_predictions(found, [each.model_dump() for each in test.predictions])
    except ValueError as fault:
        raise Failed(f"version {test.version} {fault}: deploy the model again") from None
    asked = f"{len(found)} rows, the slowest in {slowest * 1000:.1f} ms"
    return f"{asked}: as version {test.version} must predict them"


def _failed(error: PredictorError) -> Failed:
    remedy = REMEDIES.get(error.reason)
    return Failed(f"{error.reason}: {error}" + (f"; {remedy}" if remedy else ""))


def _first_line(error: SQLAlchemyError) -> str:
    """What the driver says: SQLAlchemy's own text has the statement in it."""
    said = error.orig if isinstance(error, DBAPIError) else error
    return str(said).partition("\n")[0]
