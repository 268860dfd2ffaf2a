"""Errors are reported to Sentry, and nothing of the caller with them."""

import json
import sys
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
import sentry_sdk
from conftest import Service, settings
from support import NEW

from service.app import create_app
from service.predictors import PredictorError

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def sentry() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The DSN of a server that takes reports, and those that it has taken."""
    taken: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = zlib.decompress(body, wbits=31)
            _, item, payload, *_ = body.split(b"\n")  # an envelope
            assert json.loads(item)["type"] == "event"
            taken.append(json.loads(payload))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://key@127.0.0.1:{server.server_port}/1", taken
        finally:
            server.shutdown()
            thread.join()


def keys_of(value: object) -> set[str]:
    """All keys at any depth."""
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    return set().union(*map(keys_of, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_an_error_of_the_service_is_reported_without_its_caller(
    service: Service, sentry: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn, taken = sentry
    monkeypatch.setenv("SENTRY_RELEASE", "1.2.3")
    service.restart(sentry_dsn=dsn)
    service.post({"nobody": 1})
    service.predictor.error = PredictorError("timeout", "the fallback answers")
    service.post(NEW)
    service.predictor.error = RuntimeError("the cause\nDETAIL: a row of somebody's")
    headers = {
        "Authorization": "Bearer of-somebody",
        "X-Request-ID": "r-1",
        "traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
    }
    assert service.post(NEW, headers=headers).status_code == 500
    sentry_sdk.flush()
    (report,) = taken
    (error,) = report["exception"]["values"]
    assert (error["type"], error["value"]) == ("RuntimeError", "the cause")
    assert error["stacktrace"]["frames"][-1]["function"] == "check"
    assert report["tags"] == {"request_id": "r-1", "trace_id": TRACE}
    assert report["release"] == "1.2.3"
    assert "somebody" not in json.dumps(report)
    assert not {"request", "user", "vars"} & keys_of(report)
    assert not report["breadcrumbs"]["values"]


def test_a_wrong_dsn_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="SENTRY_DSN: "):
        create_app(settings(sentry_dsn="nonsense"))
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    monkeypatch.delitem(sys.modules, "sentry_sdk.utils")
    with pytest.raises(SystemExit, match="SENTRY_DSN: sentry-sdk is not installed"):
        create_app(settings(sentry_dsn="http://key@127.0.0.1:1/1"))
