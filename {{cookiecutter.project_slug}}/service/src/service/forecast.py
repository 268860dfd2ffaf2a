"""From a predictor that may fail to a forecast that never does."""

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import structlog

from contract import Features, Prediction
from service.context import RequestContext
from service.fallbacks import FallbackStore
from service.metrics import Metrics
from service.predictors import Answer, Predictor, PredictorError
from service.tables import ServedBy, now

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Forecast:
    """What is expected, and who predicted it.

    Attributes:
        prediction: None when the model failed and no version of it has ever answered.
        served_by: who predicted it.
        version: the version of the model that the prediction comes from.
        latency_ms: how long the model took, or was waited for.
        answer: the model's answer; None when it failed, or a canary has answered.
    """

    prediction: Prediction | None
    served_by: ServedBy
    version: str | None
    latency_ms: float
    answer: Answer | None = None

    def row(self, features: Features, request_id: str) -> dict[str, Any]:
        """What the table of predictions holds of it, but for what it is about."""
        expected = self.prediction
        return {
            "features": features.model_dump(mode="json"),
            "expected": expected and expected.{{ cookiecutter.__target }},
{%- if cookiecutter.__task != 'regression' %}
            "probabilities": expected and expected.probabilities,
{%- endif %}
            "served_by": self.served_by,
            "model_version": self.version,
            "latency_ms": self.latency_ms,
            "request_id": request_id,
            "created_at": now(),
        }


class Forecaster:
    """Asks the model, and falls back when it is slow, wrong or gone.

    The use cases know nothing of faults, and the predictors nothing of fallbacks. Whether the model
    is asked at all is decided in `predictors/guarded.py`.
    """

    def __init__(self, predictor: Predictor, fallbacks: FallbackStore, metrics: Metrics) -> None:
        self._predictor = predictor
        self._fallbacks = fallbacks
        self._metrics = metrics

    def forecast(self, features: Features, context: RequestContext) -> Forecast:
        """What is expected for these features; a fault of the model is logged and counted.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: when the fallback is needed and the database is gone.
        """
        start = perf_counter()
        answer = self._ask(features, context)
        seconds = perf_counter() - start
        self._metrics.model_requests.observe(seconds)
        latency_ms = seconds * 1000
        if answer:
            own = None if answer.is_canary else answer
            forecast = Forecast(answer.prediction, "model", answer.version, latency_ms, own)
            if own:
                self._metrics.answered(own.version or "")
        elif fallback := self._fallbacks.latest():
            forecast = Forecast(fallback[0], "fallback", fallback[1], latency_ms)
        else:
            forecast = Forecast(None, "none", None, latency_ms)
        self._metrics.predictions.labels(forecast.served_by, forecast.version or "").inc()
        return forecast

    def _ask(self, features: Features, context: RequestContext) -> Answer | None:
        try:
            return self._predictor.predict(features, context)
        except PredictorError as error:
            self._metrics.model_failures.labels(error.reason).inc()
            log.warning("prediction failed", reason=error.reason, fault=str(error))
            return None
