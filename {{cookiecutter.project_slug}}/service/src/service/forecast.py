"""From a predictor that may fail to a forecast that never does."""

from dataclasses import dataclass
from time import perf_counter

import structlog

from contract import Features, Prediction
from service.memory import Memory
from service.predictors import Answer, Predictor, PredictorError
from service.schemas import ServedBy
from service.telemetry import Metrics

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Forecast:
    """What is expected, and who says so.

    Attributes:
        prediction: None as long as no model was ever seen.
        served_by: the model, or what its training data recommends for when it cannot answer.
        version: the version of the model that this comes from.
        latency_ms: how long the model took, or was waited for.
    """

    prediction: Prediction | None
    served_by: ServedBy
    version: str | None
    latency_ms: float


class Forecaster:
    """Asks the model, and falls back when it is slow, wrong or gone.

    Between the use cases, which know nothing of faults, and the predictors, which know nothing of
    each other: what decides whether and how often the model is asked (retries, a circuit breaker,
    a limit on how many wait for it) belongs into `_ask`.
    """

    def __init__(self, predictor: Predictor, memory: Memory, metrics: Metrics) -> None:
        self._predictor = predictor
        self._memory = memory
        self._metrics = metrics
        self._version: str | None = None

    def forecast(self, features: Features, request_id: str) -> Forecast:
        """What is expected for these features; a fault of the model is logged and counted.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: when the fallback is needed and the database is gone.
        """
        start = perf_counter()
        answer = self._ask(features, request_id)
        latency = perf_counter() - start
        self._metrics.model_seconds.observe(latency)
        if answer:
            forecast = Forecast(answer.prediction, "model", answer.version, latency * 1000)
            self._meet(answer.version)
        elif recalled := self._memory.recall():
            forecast = Forecast(recalled[0], "fallback", recalled[1], latency * 1000)
        else:
            forecast = Forecast(None, "none", None, latency * 1000)
        self._metrics.predictions.labels(forecast.served_by, forecast.version or "").inc()
        return forecast

    def _ask(self, features: Features, request_id: str) -> Answer | None:
        try:
            return self._predictor.predict(features, request_id)
        except PredictorError as error:
            self._metrics.model_failures.labels(error.reason).inc()
            log.warning("prediction failed", reason=error.reason, fault=str(error))
            return None

    def _meet(self, version: str | None) -> None:
        """Learn what a version recommends when it answers for the first time."""
        if version == self._version:
            return
        self._version = version
        try:
            self._memory.remember(self._predictor.describe())
        except PredictorError as error:  # the next readiness check asks again
            log.warning("model not described", reason=error.reason, fault=str(error))
