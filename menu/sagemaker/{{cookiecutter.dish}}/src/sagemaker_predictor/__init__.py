"""The model behind a SageMaker endpoint, for `MODEL_URL=sagemaker://ENDPOINT?region=…`.

A signed InvokeEndpoint for each question: the body is the Open Inference Protocol's own, and what
goes in headers elsewhere goes in CustomAttributes, which SageMaker passes on to the container.
"""

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import monotonic
from typing import Any
from urllib.parse import urlencode

from botocore import exceptions  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.session import Session  # type: ignore[import-untyped]

from contract import MODEL_NAME, Features
from service.context import RequestContext
from service.predictors import Access, Answer, PredictorError, SelfTest
from service.predictors.messages import answer_of, check_metadata, request_of, self_test_of
from service.predictors.port import Reason, Topic

URL = re.compile(r"sagemaker://([a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62})(?:\?region=([a-z0-9-]+))?")
CONNECT_SECONDS = 1.0
OVERLOADED = {"ThrottlingException", "ModelNotReadyException", "ServiceUnavailable"}
REASONS: list[tuple[Any, Reason]] = [
    (exceptions.NoCredentialsError, "unauthorized"),
    (exceptions.ReadTimeoutError | exceptions.ConnectTimeoutError, "timeout"),
    (exceptions.HTTPClientError | exceptions.ConnectionError, "unreachable"),
]
MODEL = f"/v2/models/{MODEL_NAME}"
METADATA = {"request": f"GET {MODEL}"}


class _Missing(PredictorError):
    """The container has no such route."""


class SageMaker:
    """A predictor that invokes an endpoint, by the credentials of the environment or the machine.

    Args:
        url: `sagemaker://ENDPOINT?region=REGION`; without a region it is the environment's.
        access: not used: the signature is what lets the service in.
        connections: how many calls there may be at a time.

    Raises:
        ValueError: the URL names no endpoint, or there is no region.
    """

    def __init__(self, url: str, *, access: Access, connections: int) -> None:
        if not (match := URL.fullmatch(url)):
            raise ValueError("it must be sagemaker://ENDPOINT?region=REGION")
        self._endpoint, region = match.groups()
        # Making a connection may keep a thread for that long, whose caller may have left.
        limits = {"connect_timeout": CONNECT_SECONDS, "max_pool_connections": connections}
        config = Config(retries={"total_max_attempts": 1}, **limits)
        try:
            self._client = Session().create_client("sagemaker-runtime", region, config=config)
        except (exceptions.BotoCoreError, ValueError) as error:
            raise ValueError(f"SageMaker: {error}") from None
        self._client.meta.events.register("before-call.sagemaker-runtime", self._limit)
        self._threads = ThreadPoolExecutor(connections, "sagemaker")
        self._local = threading.local()

    def open(self) -> None:
        """See `Predictor.open`; connections are made on the first call."""

    def predict(self, features: Features, context: RequestContext) -> Answer:
        """See `Predictor.predict`."""
        attributes = {
            "request": f"POST {MODEL}/infer",
            "x-request-id": context.request_id,
            "traceparent": context.trace.headers()["traceparent"],
        }
        body = request_of(features, context.request_id)
        return answer_of(_parse(self._ask(attributes, context.deadline, body)), context.request_id)

    def check(self, deadline: float) -> None:
        """See `Predictor.check`."""
        check_metadata(_parse(self._ask(METADATA, deadline)))

    def self_test(self, deadline: float) -> SelfTest:
        """See `Predictor.self_test`."""
        return self_test_of(_parse(self._ask(METADATA, deadline)))

    def query(self, topic: Topic, deadline: float, row: Features | None = None) -> bytes | None:
        """See `Predictor.query`."""
        asked = f"POST {MODEL}/{topic}" if row else f"GET /{topic}"
        with suppress(_Missing):
            return self._ask({"request": asked}, deadline, row and request_of(row, ""))
        return None

    def _ask(self, attributes: dict[str, str], deadline: float, body: object = None) -> bytes:
        """The answer of the container; a thread waits for it, which the deadline binds as well."""
        future = self._threads.submit(self._invoke, attributes, json.dumps(body), deadline)
        try:
            return future.result(max(0, deadline - monotonic()))
        except TimeoutError:
            future.cancel()
            raise PredictorError("timeout", "no answer by the deadline") from None
        except exceptions.ClientError as error:
            raise _translated(error.response) from None
        except (exceptions.BotoCoreError, exceptions.HTTPClientError) as error:
            matching = (each for kind, each in REASONS if isinstance(error, kind))
            reason: Reason = next(matching, "error")
            raise PredictorError(reason, f"SageMaker: {error!s:.200}") from None

    def _invoke(self, attributes: dict[str, Any], body: str, deadline: float) -> bytes:
        self._local.deadline = deadline
        left = {"x-request-timeout-ms": int(1000 * self._left())}
        arguments = {"EndpointName": self._endpoint, "ContentType": "application/json"}
        arguments |= {"CustomAttributes": urlencode(attributes | left), "Body": body}
        try:
            answer = self._client.invoke_endpoint(**arguments)
        except exceptions.ConnectionClosedError:  # as may happen to one that was kept open
            answer = self._client.invoke_endpoint(**arguments)
        return bytes(answer["Body"].read())

    def _limit(self, context: dict[str, Any], **_: object) -> None:
        """Have the socket wait as long as the deadline allows."""
        context["read_timeout"] = self._left()

    def _left(self) -> float:
        if (left := float(self._local.deadline - monotonic())) <= 0:
            raise TimeoutError
        return left


def _parse(answer: bytes) -> object:
    try:
        return json.loads(answer)
    except (ValueError, RecursionError):
        raise PredictorError("invalid_response", "the answer is not JSON") from None


def _translated(response: Any) -> PredictorError:
    """What an error of SageMaker, or of the container behind it, means to the service."""
    code, status = response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]
    status = response.get("OriginalStatusCode", status)  # the container's, behind a ModelError
    is_busy = code in OVERLOADED or status in (429, 503)
    reason: Reason = (
        "unauthorized" if status in (401, 403) else "overloaded" if is_busy else "error"
    )
    return (_Missing if status == 404 else PredictorError)(reason, f"SageMaker: {status} {code}")
