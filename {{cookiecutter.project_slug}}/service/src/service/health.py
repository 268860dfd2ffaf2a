"""Liveness and readiness."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Thread
from time import monotonic
from typing import Literal

import structlog
from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, ConfigDict

from service.database import Database
from service.errors import problem, responses
from service.predictors import Predictor, PredictorError

log = structlog.get_logger(__name__)

PERIOD_SECONDS = 0.4
"""How long to wait between two checks."""

STALE_SECONDS = 1.0
"""The age at which what a check found is no longer believed: it hangs."""

MODEL_SECONDS = 0.4
"""How long the model may take to answer a check."""


@dataclass(frozen=True)
class Report:
    """Whether the product can answer.

    Attributes:
        ready: whether it should be sent requests.
        checks: for `database` and `model`, `ok` or what is wrong.
    """

    ready: bool
    checks: dict[str, str]

    @property
    def model(self) -> Literal["ok", "degraded"]:
        """Whether the model answers, or its fallback does."""
        return "ok" if self.checks["model"] == "ok" else "degraded"


class Readiness:
    """What was found when the database and the model were last checked.

    Threads of its own check them, each by itself: neither can delay the other, or who asks.

    Args:
        tell: called with whether it is ready, after each check and in each report.
    """

    def __init__(
        self, database: Database, predictor: Predictor, tell: Callable[[bool], object]
    ) -> None:
        self._tell = tell
        self._database = _Check(database.check, self.report)
        self._model = _Check(lambda: _model(predictor), self.report)

    def start(self) -> None:
        """Check from now on; in the process that serves, since threads do not survive a fork."""
        self._database.start()
        self._model.start()

    def stop(self) -> None:
        """Check no more; a check that is under way is waited for."""
        self._database.stop()
        self._model.stop()

    def check_now(self) -> None:
        """Check once, and wait for what is found."""
        self._database.run()
        self._model.run()

    def report(self) -> Report:
        """What was found last, if that was just now."""
        database, model = self._database.found(), self._model.found()
        ready = database == "ok" and not model.startswith("signature")
        if ready and model != "ok":
            model = f"degraded: {model}"
        self._tell(ready)
        return Report(ready, {"database": database, "model": model})


class _Check:
    """One check, and what it found last; `then` is called after it."""

    def __init__(self, check: Callable[[], str], then: Callable[[], object]) -> None:
        self._check, self._then = check, then
        self._last = "not checked yet", float("inf")
        self._stopped = Event()
        self._thread = Thread(target=self._repeat, name="readiness", daemon=True)

    def found(self) -> str:
        found, at = self._last
        return found if monotonic() - at < STALE_SECONDS else "no answer"

    def run(self) -> None:
        try:
            found = self._check()
        except Exception as error:  # whatever it is, the next check comes
            log.exception("check failed")
            found = f"error: {type(error).__name__}"
        self._last = found, monotonic()
        self._then()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _repeat(self) -> None:
        self.run()
        while not self._stopped.wait(PERIOD_SECONDS):
            self.run()


def _model(predictor: Predictor) -> str:
    try:
        predictor.check(monotonic() + MODEL_SECONDS)
    except PredictorError as error:
        return f"{error.reason}: {error}"
    return "ok"


class Alive(BaseModel):
    """The process lives."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    status: Literal["ok"]
    """`ok`."""


class Ready(Alive):
    """The product answers."""

    model: Literal["ok", "degraded"]
    """Whether the model answers, or its fallback in its place."""


def routes(readiness: Readiness) -> APIBlueprint:
    """`/livez` and `/readyz`, which wait for nothing."""
    api = APIBlueprint("health", __name__, abp_tags=[{"name": "health"}])

    @api.get("/livez", responses=responses(200, Alive))
    def live() -> dict[str, str]:
        """Whether the process lives."""
        return {"status": "ok"}

    @api.get("/readyz", responses=responses(200, Ready, 503))
    def ready() -> Response | dict[str, str]:
        """Whether the product can answer: by its model, or by its fallback."""
        report = readiness.report()
        if report.ready:
            return {"status": "ok", "model": report.model}
        faulty = "model" if report.checks["database"] == "ok" else "database"
        response = problem(503, f"Not ready: the {faulty}.")
        response.headers["Retry-After"] = "1"
        return response

    return api
