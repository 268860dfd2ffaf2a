"""A share of the requests for a model that is tried out, for as long as it does no worse."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from math import log as ln
from threading import Lock
from time import monotonic

import structlog

from contract import Features
from service.context import RequestContext
from service.predictors.port import Answer, Predictor, PredictorError, SelfTest, Topic

log = structlog.get_logger(__name__)

PATIENCE = 0.6
"""What the canary has of the time that is left; the model gets the rest if it fails. Its breaker
calls slow what takes longer than half."""

MINIMUM = 30
"""With fewer calls of the canary than that, there is no telling."""

ERROR = 0.01
"""How probable it may be that a canary that fails no more often is dropped, ever."""

RATIOS = (2, 8, 32)
"""How many times as often a canary may fail, that is one to drop."""


class Excess:
    """The evidence that a canary fails more often than the model.

    Each call is the canary's with the probability `share`, whatever it is about. So while both fail
    equally often, each failure is the canary's with that probability; if it fails r times as often,
    with r·share / (r·share + 1 - share). The ratio of the likelihoods of all failures under both is
    a martingale, or falls if the canary is the better one: by Ville's inequality it reaches k/ERROR
    with a probability of at most ERROR/k, however often one looks (Wald's sequential test, with one
    boundary). That is done for each of the k `RATIOS`. Faults that hit both favour neither.

    Args:
        share: of the calls, which is the canary's.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._evidence = dict.fromkeys(RATIOS, 0.0)
        self.calls = 0

    def note(self, *, is_canary: bool, failed: bool) -> None:
        """Count a call, among `calls` if it is the canary's."""
        self.calls += is_canary
        for ratio in RATIOS if failed else ():
            all_fail = ratio * self._share + 1 - self._share
            self._evidence[ratio] += ln((ratio if is_canary else 1) / all_fail)

    def is_certain(self) -> bool:
        """Whether it is more than noise."""
        enough = ln(len(RATIOS) / ERROR)
        return self.calls >= MINIMUM and max(self._evidence.values()) >= enough


class Canary:
    """A model and a canary, which is dropped for good once it fails more often.

    Where the canary fails the model answers, within the same deadline. All but predictions concerns
    the model alone.

    Args:
        model: who serves.
        canary: who is tried out.
        share: of the keys of requests, whose predictions are the canary's.
        tell: told 1 while the canary is asked, and 0 from when it is dropped.
    """

    def __init__(
        self, model: Predictor, canary: Predictor, share: float, tell: Callable[[int], object]
    ) -> None:
        self._model, self._canary = model, canary
        self._share, self._excess = share, Excess(share)
        self._tell, self._lock = tell, Lock()
        self._is_asked = True
        tell(1)

    def open(self) -> None:
        """See `Predictor.open`."""
        self._model.open()
        self._canary.open()

    def check(self, deadline: float) -> None:
        """See `Predictor.check`."""
        self._model.check(deadline)

    def self_test(self, deadline: float) -> SelfTest:
        """See `Predictor.self_test`."""
        return self._model.self_test(deadline)

    def query(self, topic: Topic, deadline: float, row: Features | None = None) -> bytes | None:
        """See `Predictor.query`."""
        return self._model.query(topic, deadline, row)

    def predict(self, features: Features, context: RequestContext) -> Answer:
        """See `Predictor.predict`."""
        if not self._is_asked:
            return self._model.predict(features, context)
        if not is_chosen(context.key, self._share):
            return self._ask(self._model, features, context)
        now = monotonic()
        sooner = replace(context, deadline=now + PATIENCE * (context.deadline - now))
        try:
            return replace(self._ask(self._canary, features, sooner), is_canary=True)
        except PredictorError as error:
            log.warning("canary failed", reason=error.reason, fault=str(error))
            return self._model.predict(features, context)

    def _ask(self, predictor: Predictor, features: Features, context: RequestContext) -> Answer:
        failed = True
        try:
            answer = predictor.predict(features, context)
            failed = False
            return answer
        finally:
            self._note(is_canary=predictor is self._canary, failed=failed)

    def _note(self, *, is_canary: bool, failed: bool) -> None:
        with self._lock:
            self._excess.note(is_canary=is_canary, failed=failed)
            if self._is_asked and self._excess.is_certain():
                self._is_asked = False
                self._tell(0)
                event = "canary dropped: it fails more often than the model"
                log.error(event, calls=self._excess.calls)


def is_chosen(key: str, share: float) -> bool:
    """Whether this key is one of such a share of all keys: the same in every process."""
    return int.from_bytes(sha256(key.encode()).digest()[:8], "big") < share * 2**64
