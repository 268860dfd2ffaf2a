"""The page as HTML: one file, no script, nothing fetched."""

from jinja2 import Environment, PackageLoader

from contract import FEATURES, MODEL_NAME, TARGET
from service.report import charts, facts
from service.report.drift import EFFECT
from service.report.findings import Findings
from service.report.queries import IS_REGRESSION
from service.report.versions import error_of

ERROR = f"mean absolute error of {TARGET.name}" if IS_REGRESSION else "share of wrong answers"
PAGES = Environment(
    loader=PackageLoader("service", "report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)
PAGES.globals |= {"charts": charts, "facts": facts, "number": facts.number, "error_of": error_of}
PAGES.globals |= {"model": MODEL_NAME, "target": TARGET.name, "contract": FEATURES}
PAGES.globals |= {"regression": IS_REGRESSION, "error": ERROR, "effect": EFFECT}


def render(found: Findings, deadline_ms: float) -> str:
    """The page, the same for the same findings; a prediction may take that many milliseconds."""
    return PAGES.get_template("report.html").render(found=found, deadline_ms=deadline_ms)
