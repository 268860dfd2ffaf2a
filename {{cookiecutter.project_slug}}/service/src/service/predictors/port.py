"""What the service needs of a model, in the service's own words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from contract import Features, Prediction
from service.context import RequestContext

Reason = Literal[
    "unreachable",
    "timeout",
    "unauthorized",
    "error",
    "invalid_response",
    "signature",
    "overloaded",
    "busy",
    "breaker_open",
]

Topic = Literal["metrics", "versions", "explain"]


class PredictorError(Exception):
    """The model gave no valid answer.

    Attributes:
        reason: the kind of fault, one of a few.
    """

    def __init__(self, reason: Reason, fault: str) -> None:
        super().__init__(fault)
        self.reason: Reason = reason


class Batch(NamedTuple):
    """The batch in which the model predicted.

    Attributes:
        rows: those of all its requests.
        queue_ms: milliseconds from the request's arrival at the model until its batch began.
        compute_ms: milliseconds that the batch took.
    """

    rows: int
    queue_ms: float
    compute_ms: float


@dataclass(frozen=True)
class Answer:
    """What the model answered.

    Attributes:
        prediction: for the features that it was asked about.
        version: of the model; None when the server does not say.
        fallback: what this version recommends for when it cannot answer; None when the server does
            not say.
        range: the least and the greatest target that its training saw; None when the server does
            not say, and for a classification.
        batch: None when the server does not say; ours does for a trace that is sampled.
        is_canary: whether it comes from a model that is tried out, whose fallback is not asked for.
    """

    prediction: Prediction
    version: str | None
    fallback: Prediction | None = None
    range: tuple[float, float] | None = None
    batch: Batch | None = None
    is_canary: bool = False


@dataclass(frozen=True)
class SelfTest:
    """What the model's version was tested with when it was made.

    Attributes:
        version: which one.
        rows: of features.
        predictions: what the version must predict of each.
    """

    version: str
    rows: Sequence[Features]
    predictions: Sequence[Prediction]


class Predictor(Protocol):
    """One model, however it is reached."""

    def open(self) -> None:
        """Acquire what predicting needs: called once, in the process that will predict."""
        ...

    def predict(self, features: Features, context: RequestContext) -> Answer:
        """The prediction for these features, by the deadline of the request.

        Raises:
            PredictorError: for whatever goes wrong.
        """
        ...

    def check(self, deadline: float) -> None:
        """Whether the model answers by the deadline, and keeps the same contract as the service.

        Raises:
            PredictorError: it does not; with the reason "signature" when its contract is another.
        """
        ...

    def self_test(self, deadline: float) -> SelfTest:
        """What to ask the model, and what it must answer, by the deadline.

        Raises:
            PredictorError: as `check`; and for a server that has no self-test.
        """
        ...

    def query(self, topic: Topic, deadline: float, row: Features | None = None) -> bytes | None:
        """What the model's server has to tell those who run it; None if it has no such thing.

        Args:
            topic: `metrics`, in Prometheus' text format; `versions`, the JSON of all that are
                there; `explain`, that of a `contract.explanation.Explanation`.
            row: what is to be explained.

        Raises:
            PredictorError: there is no answer by the deadline.
        """
        ...
