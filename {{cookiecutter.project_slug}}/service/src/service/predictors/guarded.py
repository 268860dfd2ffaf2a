"""A predictor that is asked only while that can help, and believed only within bounds."""

from threading import Semaphore
from time import monotonic

from contract import TARGET, Features
from service.context import RequestContext
from service.predictors.breaker import Breaker
from service.predictors.port import Answer, Predictor, PredictorError, Reason, SelfTest, Topic

FAULTS: frozenset[Reason] = frozenset({"unreachable", "error", "invalid_response"})
"""What counts against a model however soon it came.

Not a wrong token, another contract or too much load: each comes at once and keeps nobody waiting.
"""

WAIT_SHARE = 0.1
"""How long a call waits for its turn, of the deadline,"""

SLOW_SHARE = 0.5
"""and from when on an answer, or none, is slow."""


class Guarded:
    """What holds for every predictor: a deadline, a limit, a circuit breaker, a range.

    Args:
        predictor: whom to ask.
        breaker: decides whether to.
        limit: how many calls there may be at a time.
        deadline: seconds that a request gives the model if it is asked at once.
        range_factor: how far outside the range of its training a prediction may lie, in widths of
            that range.

    Attributes:
        breaker: the same.
    """

    def __init__(
        self,
        predictor: Predictor,
        breaker: Breaker,
        *,
        limit: int,
        deadline: float,
        range_factor: float,
    ) -> None:
        self.breaker = breaker
        self._predictor = predictor
        self._turns = Semaphore(limit)
        self._wait, self._slow = deadline * WAIT_SHARE, deadline * SLOW_SHARE
        self._range_factor = range_factor

    def open(self) -> None:
        """See `Predictor.open`."""
        self._predictor.open()

    def check(self, deadline: float) -> None:
        """See `Predictor.check`; it asks whatever the breaker says, and tells it nothing."""
        self._predictor.check(deadline)
        if self.breaker.is_open():
            raise PredictorError("breaker_open", "it answers checks, and has failed to predict")

    def query(self, topic: Topic, deadline: float, row: Features | None = None) -> bytes | None:
        """See `Predictor.query`; it asks whatever the breaker says."""
        return self._predictor.query(topic, deadline, row)

    def self_test(self, deadline: float) -> SelfTest:
        """See `Predictor.self_test`."""
        return self._predictor.self_test(deadline)

    def predict(self, features: Features, context: RequestContext) -> Answer:
        """See `Predictor.predict`."""
        left = context.deadline - monotonic()
        if left <= 0:
            raise PredictorError("timeout", "the deadline had passed before the model was asked")
        ticket = self.breaker.enter()
        if ticket is None:
            raise PredictorError("breaker_open", "not asked: it has just failed too often")
        fault = None
        try:
            if not self._turns.acquire(timeout=min(left, self._wait)):
                raise PredictorError("busy", "not asked: too many calls are under way")
            start = monotonic()
            try:
                answer = self._predictor.predict(features, context)
                fault = self._fault(None, start)
            except PredictorError as error:
                fault = self._fault(error.reason, start)
                raise
            finally:
                self._turns.release()
        finally:
            self.breaker.leave(ticket, fault)
        self._check_range(answer)  # nothing for the breaker: an odd row would open it for all
        return answer

    def _fault(self, reason: Reason | None, start: float) -> str | None:
        """What a call tells the breaker."""
        if reason in FAULTS:
            return reason
        if monotonic() - start >= self._slow:
            return reason or "slow"
        # A request that had waited elsewhere gave the model too little time.
        return None if reason == "timeout" else ""

    def _check_range(self, answer: Answer) -> None:
        if answer.range is None or TARGET.kind != "float":
            return
        low, high = answer.range
        margin = self._range_factor * ((high - low) or abs(high) or 1)
        value = getattr(answer.prediction, TARGET.name)
        if not low - margin <= value <= high + margin:
            fault = f"{value:g} is outside the range [{low:g}, {high:g}] of the training"
            raise PredictorError("invalid_response", f"{fault}, and of MODEL_RANGE_FACTOR around")
