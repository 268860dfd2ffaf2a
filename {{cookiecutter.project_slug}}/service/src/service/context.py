"""What is known of a request before anything is read of its body."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from contract.tracing import Trace

ARRIVAL = "service.arrival"
"""In a WSGI environment: when the request arrived, in seconds of `time.monotonic`."""

ABANDONED = "service.abandoned"
"""In a WSGI environment: a function that tells whether the caller has left."""

PROBE_PATHS = ("/livez", "/readyz")
"""What an orchestrator asks every few seconds: without a key, by any name, and with no line in the
log."""


@dataclass(frozen=True)
class RequestContext:
    """One request's circumstances, which the use cases pass on.

    Attributes:
        request_id: in logs, answers and rows.
        deadline: when the prediction must be there, in seconds of `time.monotonic`.
        trace: the one that it belongs to.
        is_abandoned: tells whether the caller has left; what nobody waits for is not stored.
        key: the same whenever the request is repeated, if its caller has named it.
    """

    request_id: str
    deadline: float
    trace: Trace
    is_abandoned: Callable[[], bool] = lambda: False
    key: str = ""

    @classmethod
    def of(
        cls, environ: Mapping[str, Any], request_id: str, model_deadline: float, trace: Trace
    ) -> "RequestContext":
        """The context of a request.

        Args:
            environ: the WSGI environment; without the server's own additions the request has just
                arrived, and its caller is there.
            request_id: as above.
            model_deadline: seconds from the arrival.
            trace: as above.
        """
        arrival = environ.get(ARRIVAL, monotonic())
        is_abandoned = environ.get(ABANDONED, lambda: False)
        key = environ.get("HTTP_IDEMPOTENCY_KEY", request_id).strip('"')
        return cls(request_id, arrival + model_deadline, trace, is_abandoned, key)
