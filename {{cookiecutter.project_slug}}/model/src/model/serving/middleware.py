"""What every request passes: id and trace, the token, the log line, the last resort for errors."""

import asyncio
import hmac
import random
import re
import time
from typing import Any

import anyio
import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contract.tracing import Trace
from model.serving.access import Tokens
from model.serving.messages import json_response
from model.serving.metrics import Metrics

PUBLIC_PATHS = {"/v2/health/live", "/v2/health/ready"}
"""What is answered without a token."""
READ_ON_SECONDS = 1.0
"""Seconds for which the rest of a body is read before an answer that does not need it."""
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
log = structlog.get_logger()


class RequestMiddleware:
    """Wraps the application; the routes add to the log line through the request's state."""

    def __init__(self, app: ASGIApp, tokens: Tokens | None, metrics: Metrics) -> None:
        self._app = app
        self._tokens = tokens
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        start = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        request_id = given if REQUEST_ID.fullmatch(given) else f"{random.getrandbits(64):016x}"
        structlog.contextvars.clear_contextvars()
        trace = Trace.of(headers.get(b"traceparent", b"").decode("latin-1"))
        structlog.contextvars.bind_contextvars(request_id=request_id, trace_id=trace.trace_id)
        state: dict[str, Any] = {}
        scope["state"], scope["header_by_name"], scope["trace"] = state, headers, trace
        status, unread = 0, b"expect" not in headers

        async def receive_on() -> Message:
            nonlocal unread
            message = await receive()
            unread = message.get("more_body", False)
            return message

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"x-request-id", request_id.encode()))
                if unread:
                    # An answer before the end of the body would cut the caller off as it sends.
                    with anyio.move_on_after(READ_ON_SECONDS):
                        while unread:
                            await receive_on()
            await send(message)

        try:
            authorization = headers.get(b"authorization", b"")
            if scope["path"] in PUBLIC_PATHS or self._is_authorized(authorization):
                await self._app(scope, receive_on, send_with_id)
            else:
                challenge = {"WWW-Authenticate": "Bearer"}
                rejection = json_response({"error": "a bearer token is needed"}, 401, challenge)
                await rejection(scope, receive_on, send_with_id)
        except ClientDisconnect:
            status = 499
        except asyncio.CancelledError:  # the caller has left; the worker does not wait for this
            status = status or 499
            raise
        except Exception:
            log.exception("failed")
            if not status:
                await json_response({"error": "internal error"}, 500)(scope, receive, send_with_id)
        finally:
            self._metrics.answered(getattr(scope.get("endpoint"), "__name__", "none"), status)
            duration = round(1000 * (time.perf_counter() - start), 2)
            write = log.debug if scope["path"] in PUBLIC_PATHS and status == 200 else log.info
            request = {"method": scope["method"], "path": scope["path"], "status": status}
            write("request", **request, duration_ms=duration, **state)

    def _is_authorized(self, authorization: bytes) -> bool:
        if self._tokens is None:
            return True
        scheme, _, token = authorization.partition(b" ")
        # Every token is compared, so that the time taken tells nothing.
        known = self._tokens.latest()
        matches = [hmac.compare_digest(token.strip(), each) for each in known]
        return scheme.lower() == b"bearer" and any(matches)
