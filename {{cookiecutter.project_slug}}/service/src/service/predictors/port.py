"""What the service needs of a model, in the service's own words."""

from dataclasses import dataclass
from typing import Literal, Protocol

from contract import Features, Prediction

Reason = Literal["unreachable", "timeout", "unauthorized", "error", "nonsense", "signature"]


class PredictorError(Exception):
    """The model did not answer as it should.

    Attributes:
        reason: which kind of fault it is, one of a few.
    """

    def __init__(self, reason: Reason, fault: str) -> None:
        super().__init__(fault)
        self.reason: Reason = reason


@dataclass(frozen=True)
class Answer:
    """A prediction, and the version of the model that made it (None when it does not say)."""

    prediction: Prediction
    version: str | None


@dataclass(frozen=True)
class Description:
    """The model that is there.

    Attributes:
        version: which one; None when it does not say.
        signature: the digest of the contract that it keeps.
        fallback: what it recommends to answer when it cannot; None when it does not say.
    """

    version: str | None
    signature: str
    fallback: Prediction | None


class Predictor(Protocol):
    """One model, however it is reached."""

    def open(self) -> None:
        """Get hold of what predicting needs: called once, in the process that will predict."""
        ...

    def predict(self, features: Features, request_id: str) -> Answer:
        """The prediction for these features.

        Raises:
            PredictorError: for whatever goes wrong.
        """
        ...

    def describe(self) -> Description:
        """The model that would answer now, which keeps the same contract as we do.

        Raises:
            PredictorError: for whatever goes wrong; with the reason "signature" when the model
                keeps another contract.
        """
        ...
