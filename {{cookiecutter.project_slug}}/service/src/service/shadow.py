"""A model in the shadow of the one that serves: it predicts as well, and nobody is told."""

from dataclasses import replace
from queue import Full, Queue
from threading import Thread
from time import monotonic, perf_counter
from typing import Any

import structlog
from sqlalchemy import insert, literal, select

from contract import TARGET, Features
from service import tables
from service.context import RequestContext
from service.database import Database
from service.forecast import Forecast
from service.inserts import REFERENCE
from service.predictors import Predictor

log = structlog.get_logger(__name__)

WAITING = 100
"""How many requests may wait for their shadow; what comes then has none."""

Row = tables.{{ cookiecutter.__entity_class }}


class Shadow:
    """Asks a model what another was asked, in a thread: make it in the process that serves.

    Args:
        predictor: whom to ask.
        database: where its predictions are stored.
        deadline: seconds that it has for each.
        results: the counters of those `stored`, `failed` and `dropped`.
    """

    def __init__(
        self, predictor: Predictor, database: Database, deadline: float, results: Any
    ) -> None:
        self._predictor, self._database = predictor, database
        self._deadline, self._results = deadline, results
        self._waiting: Queue[tuple[Row, Features, RequestContext]] = Queue(WAITING)
        Thread(target=self._work, name="shadow", daemon=True).start()

    def ask(self, placed: Row, features: Features, context: RequestContext) -> None:
        """Let it be asked about what was stored; never waits, and never fails."""
        try:
            self._waiting.put_nowait((placed, features, context))
        except Full:
            self._results("dropped").inc()

    def _work(self) -> None:
        self._predictor.open()
        while True:
            placed, features, context = self._waiting.get()
            try:
                is_stored = self._store(placed, self._predict(features, context))
                self._results("stored" if is_stored else "dropped").inc()
            except Exception as error:  # whatever it is, it is no fault of the product's
                self._results("failed").inc()
                log.debug("shadow failed", reason=getattr(error, "reason", type(error).__name__))

    def _predict(self, features: Features, context: RequestContext) -> dict[str, Any]:
        start = perf_counter()
        late = replace(context, deadline=monotonic() + self._deadline)
        answer = self._predictor.predict(features, late)
        latency_ms = (perf_counter() - start) * 1000
        forecast = Forecast(answer.prediction, "model", answer.version, latency_ms)
        return {**forecast.row(features, context.request_id), "served_by": tables.SHADOW}

    def _store(self, placed: Row, prediction: dict[str, Any]) -> bool:
        """Store it with the outcome that is known by then; whether what it is about is still there.

        The row is locked, so an outcome that is recorded meanwhile waits, and finds this one too.
        """
        table: Any = tables.Prediction.__table__
        values: dict[str, Any] = {REFERENCE: Row.id, "outcome": getattr(Row, TARGET.name)}
        values |= {name: literal(value, table.c[name].type) for name, value in prediction.items()}
        # SQLite gives the number of a last row that was deleted to the next.
        same = (Row.id == placed.id, Row.created_at == placed.created_at)
        about = select(*values.values()).where(*same).with_for_update(read=True)
        with self._database.writing() as session:
            stored = insert(table).from_select([*values], about).returning(table.c.id)
            return session.scalar(stored) is not None
