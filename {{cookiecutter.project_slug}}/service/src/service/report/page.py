"""The page as HTML: one file, no script, nothing fetched."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from jinja2 import Environment, PackageLoader

from contract import FEATURES, MODEL_NAME, TARGET
from service.report import charts, facts
from service.report.drift import EFFECT
from service.report.features import compare, edges_of
from service.report.queries import IS_REGRESSION, Queries
from service.report.versions import Versions, error_of

ERROR = f"mean absolute error of {TARGET.name}" if IS_REGRESSION else "share of wrong answers"
PAGES = Environment(
    loader=PackageLoader("service", "report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)
PAGES.globals |= {"charts": charts, "facts": facts, "number": facts.number, "error_of": error_of}
PAGES.globals |= {"model": MODEL_NAME, "target": TARGET.name, "contract": FEATURES}
PAGES.globals |= {"regression": IS_REGRESSION, "error": ERROR, "effect": EFFECT}


def render(
    connection: sa.Connection, versions: Versions | None, as_of: datetime, deadline_ms: float
) -> str:
    """The page, the same for the same data.

    Args:
        connection: in a transaction that sees one state of the database.
        versions: None where they are not known.
        as_of: the moment by which ages are told.
        deadline_ms: how long a prediction may take.
    """
    queries, versions = Queries(connection), versions or Versions()
    current = versions.get(versions.current)
    days = [f"{week + timedelta(day):%Y-%m-%d}" for week in queries.weeks for day in range(7)]
    groups = queries.groups(edges_of(current))
    return PAGES.get_template("report.html").render(
        versions=versions,
        current=current,
        as_of=as_of,
        deadline_ms=deadline_ms,
        days=days,
        daily=queries.daily(),
        groups=groups,
        features=compare(current, groups),
        bins=queries.calibration(),
        confusion={} if IS_REGRESSION else facts.confusion(queries.confusion()),
    )
