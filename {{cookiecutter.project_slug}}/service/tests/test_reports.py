"""Errors are reported to Sentry, and nothing of the caller with them."""

import json
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
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


class Sentry(HTTPServer):
    """A server that takes reports, once it serves.

    Attributes:
        dsn: where it is.
        taken: the reports.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.dsn = f"http://key@127.0.0.1:{self.server_port}/1"
        self.taken: list[dict[str, Any]] = []

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Take what is sent, and what has been sent before."""
        thread = Thread(target=self.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            thread.join()


class Handler(BaseHTTPRequestHandler):
    """Takes one report."""

    server: Sentry

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = zlib.decompress(body, wbits=31)
        _, item, payload, *_ = body.split(b"\n")  # an envelope
        assert json.loads(item)["type"] == "event"
        self.server.taken.append(json.loads(payload))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def keys_of(value: object) -> set[str]:
    """All keys at any depth."""
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    return set().union(*map(keys_of, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_an_error_of_the_service_is_reported_without_its_caller(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTRY_RELEASE", "1.2.3")
    sentry = Sentry()
    service.restart(sentry_dsn=sentry.dsn)
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
    with sentry, sentry.serving():
        sentry_sdk.flush()
    (report,) = sentry.taken
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
