"""The model in the service's own process: a folder with an artifact, opened by a library.

The package that brings the library registers an entry point in the group `predictor.engine`, named
`library`: a function that takes the folder and returns a `InProcessModel`.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points
from threading import Lock
from time import monotonic
from typing import Any, Protocol, TypeVar

import structlog

from contract import Features
from service.context import RequestContext
from service.predictors.access import Access
from service.predictors.messages import answer_of, check_metadata, request_of, self_test_of
from service.predictors.port import Answer, PredictorError, SelfTest, Topic

T = TypeVar("T")
log = structlog.get_logger(__name__)


class InProcessModel(Protocol):
    """A model that speaks the Open Inference Protocol in dictionaries."""

    def infer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The inference response."""
        ...

    def metadata(self) -> dict[str, Any]:
        """The model's metadata, as the protocol has it."""
        ...


class Library:
    """A predictor that holds the model itself; work goes on behind a call that took too long.

    An artifact that could not be opened is tried again at each readiness check, so that no user's
    request waits for it.

    Args:
        url: `library:folder`.
        access: not used.
        connections: how many calls there may be at a time.

    Raises:
        ValueError: no library is installed, or the URL names no folder.
    """

    def __init__(self, url: str, *, access: Access, connections: int) -> None:
        self._folder = url.partition(":")[2]
        if not self._folder:
            raise ValueError("it needs a folder: library:folder")
        found = list(entry_points(group="predictor.engine", name="library"))
        if not found:
            raise ValueError(
                "it needs a package that can open the artifact (one with an entry point named "
                "`library` in the group `predictor.engine`) in the service's environment"
            )
        self._entry_point = found[0]
        self._threads = ThreadPoolExecutor(connections, "model")
        self._opening = Lock()
        self._model: InProcessModel | None = None

    def open(self) -> None:
        """See `Predictor.open`."""
        try:
            self._open()
        except PredictorError as error:
            log.warning("model not opened", reason=error.reason, fault=str(error))

    def predict(self, features: Features, context: RequestContext) -> Answer:
        """See `Predictor.predict`."""
        if self._model is None:
            raise PredictorError("unreachable", "the artifact has not been opened")
        model, request = self._model, request_of(features, context.request_id)
        response = self._call(lambda: model.infer(request), context.deadline)
        return answer_of(response, context.request_id)

    def check(self, deadline: float) -> None:
        """See `Predictor.check`."""
        check_metadata(self._metadata(deadline))

    def self_test(self, deadline: float) -> SelfTest:
        """See `Predictor.self_test`."""
        return self_test_of(self._metadata(deadline))

    def _metadata(self, deadline: float) -> dict[str, Any]:
        return self._call(lambda: self._open().metadata(), deadline)

    def query(self, topic: Topic, deadline: float, row: Features | None = None) -> bytes | None:
        """See `Predictor.query`; it has what the model has a method of that name for."""

        def call() -> bytes | None:
            method = getattr(self._open(), topic, None)
            return method and method(*([request_of(row, "")] if row else []))

        return self._call(call, deadline)

    def _open(self) -> InProcessModel:
        with self._opening:
            if self._model is None:
                try:
                    self._model = self._entry_point.load()(self._folder)
                except Exception as error:
                    raise PredictorError("unreachable", f"the artifact: {error}") from error
            return self._model

    def _call(self, function: Callable[[], T], deadline: float) -> T:
        future = self._threads.submit(function)
        try:
            return future.result(max(0, deadline - monotonic()))
        except TimeoutError:
            future.cancel()
            raise PredictorError("timeout", "no answer by the deadline") from None
        except PredictorError:
            raise
        except Exception as error:
            raise PredictorError("error", f"{type(error).__name__}: {error}") from error
