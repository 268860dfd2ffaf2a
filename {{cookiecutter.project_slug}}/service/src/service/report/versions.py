"""What the page needs of `model versions --json`; what is missing there is missing on the page."""

from datetime import UTC, datetime
from time import monotonic
from typing import Any

import structlog
from pydantic import BaseModel, ValidationError

from service.predictors import Predictor, PredictorError

log = structlog.get_logger(__name__)

SERVER_SECONDS = 2.0
"""How long the model server may take to tell of its versions."""


class Observed(BaseModel):
    """What the rows of training held in one column."""

    missing: float = 0.0
    quantiles: list[float] | None = None
    counts: list[int] | None = None
    shares: dict[str, float] | None = None


class Evaluation(BaseModel):
    """How good the version was on later rows, and a constant beside it."""

    split: str = ""
    metrics: dict[str, float] = {}
    baseline: dict[str, float] = {}
    slices: list[dict[str, Any]] = []


class Version(BaseModel):
    """The manifest of one version."""

    version: str = ""
    created_at: datetime = datetime.min.replace(tzinfo=UTC)
    data: dict[str, Any] = {}
    code: dict[str, Any] | None = None
    packages: dict[str, str] = {}
    evaluation: Evaluation | None = None
    observed: dict[str, Observed] = {}

    @property
    def judged(self) -> Evaluation:
        """The evaluation; an empty one where there is none."""
        return self.evaluation or Evaluation()


class Versions(BaseModel):
    """All versions, oldest first; when which became current; each one's error on today's rows."""

    current: str | None = None
    versions: list[Version] = []
    log: list[dict[str, Any]] = []
    aging: list[dict[str, Any]] = []

    def get(self, version: str | None) -> Version:
        """The version of this name; an empty one where there is none."""
        return next((each for each in self.versions if each.version == version), Version())


def versions_of(predictor: Predictor) -> Versions | None:
    """Those that the model server tells of; None where it does not, and the log why."""
    try:
        answer = predictor.query("versions", monotonic() + SERVER_SECONDS)
        return Versions.model_validate_json(answer) if answer else None
    except (PredictorError, ValidationError) as error:
        log.warning("a report without versions", fault=f"{error!s:.200}")
        return None


def error_of(metrics: dict[str, float]) -> float | None:
    """The error that the page shows, among the metrics of an evaluation."""
    accuracy = metrics.get("accuracy")
    return metrics.get("mean_absolute_error") if accuracy is None else 1 - accuracy
