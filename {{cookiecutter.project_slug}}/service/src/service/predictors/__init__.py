"""The ways of reaching a model; the code that asks for a prediction never knows which."""

from collections.abc import Callable
from importlib.metadata import entry_points

from service.predictors.access import Access
from service.predictors.child import Subprocess
from service.predictors.library import Library
from service.predictors.open_inference import OpenInference
from service.predictors.port import Answer, Predictor, PredictorError, SelfTest

__all__ = ["Access", "Answer", "Predictor", "PredictorError", "SelfTest", "from_url"]

ADAPTERS: dict[str, Callable[..., Predictor]] = {
    "http": OpenInference,
    "https": OpenInference,
    "http+unix": OpenInference,
    "library": Library,
    "subprocess": Subprocess,
}
"""By the scheme of MODEL_URL; an installed package may bring more of them.

It registers an entry point in the group `service.predictors` that is named as the scheme.
"""


def from_url(url: str, *, access: Access, connections: int) -> Predictor:
    """The predictor for a MODEL_URL; nothing is sent to the model yet.

    Args:
        url: `http://`, `https://`, `http+unix://path`, `library:folder`, `subprocess:`, or what a
            package brings.
        access: how the service and a server know each other.
        connections: how many calls there may be at a time.

    Raises:
        ValueError: saying what is wrong with the URL.
    """
    scheme, colon, _ = url.partition(":")
    if colon and scheme in ADAPTERS:
        return ADAPTERS[scheme](url, access=access, connections=connections)
    installed = entry_points(group="service.predictors")
    if colon and scheme in installed.names:
        predictor: Predictor = installed[scheme].load()(url, access=access, connections=connections)
        return predictor
    known = (f"{each}:" for each in (*ADAPTERS, *sorted(installed.names)))
    raise ValueError(f"it must begin with one of {', '.join(known)}")
