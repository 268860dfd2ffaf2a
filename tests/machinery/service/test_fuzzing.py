"""The public API as a process under fuzz: 10,000 requests, no 5xx, every error a problem."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from processes import served
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import from_schema
from schemathesis.engine.events import ScenarioFinished
from support import NEW, PATH, TOKEN, serving, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("url", ["sqlite"], indirect=True),
]
GENERATED = settings(
    database=None,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[*HealthCheck],
)
AWKWARD = [1e308, -(2**63) - 1, 2**63, 0.1, "", "\x00", "\x9b31m", "\u202e", "NaN", "1", "é" * 300]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(AWKWARD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.dictionaries(st.sampled_from([*NEW]) | st.text(max_size=5), JSON, max_size=3)
BODIES = FIELDS.map(lambda changes: {**NEW, **changes}) | JSON
TEXTS = st.sampled_from([each.encode() for each in ("", "a", '"a"', "é", "\x85", "a" * 300)])
TEXTS |= st.binary(max_size=20).filter(lambda text: not {*text} & {*b"\r\n"})
ROUTES = st.sampled_from([PATH, PATH, f"{PATH}/1", f"{PATH}/1/outcome", f"{PATH}/0", "/%00"])
CALLERS = {501, 505}
"""No fault of the service either: a transfer encoding or a version of HTTP that is unknown."""
HEAD = b"POST " + PATH.encode() + b" HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
PARTS = st.binary(max_size=10) | st.sampled_from(
    [
        *(b"", b"\r\n", b"\n", b"\x00", b" ", b":", b"ffffffff\r\n", b"Content-Length: -1\r\n"),
        *(b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n"),
    ]
)
"""What is put into the bytes of a valid request."""


class Public:
    """The service as callers see it.

    Attributes:
        requests: how many were sent.
    """

    def __init__(self, port: int) -> None:
        self.port, self.requests = port, 0
        self.connection = HTTPConnection("127.0.0.1", port, timeout=30)

    def send(self, method: str, path: str, body: bytes, headers: dict[str, bytes]) -> None:
        """Send a request that is well-formed HTTP; what comes back is what it should be."""
        self.requests += 1
        try:
            self.connection.request(method, path, body, headers)
            check(self.connection.getresponse(), f"{method} {path} {body!r} {headers}")
        except BaseException:
            self.connection.close()
            raise

    def send_bytes(self, data: bytes) -> None:
        """Send bytes, and no more; if anything comes back, it is what it should be."""
        self.requests += 1
        with socket.create_connection(("127.0.0.1", self.port), 30) as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                response = HTTPResponse(connection)
                response.begin()
            except (ConnectionError, HTTPException):
                return
            check(response, repr(data))


def check(response: HTTPResponse, request: str) -> None:
    """An answer that is no fault of the service, and explains the caller's."""
    body = response.read()
    assert response.status < 500 or response.status in CALLERS, (request, body)
    if response.status >= 400:
        assert response.headers["Content-Type"] == "application/problem+json", (request, body)
        assert json.loads(body)["request_id"]


@contextmanager
def public(folder: Path, url: str) -> Iterator[Public]:
    """The service as processes, all of which are there at the end, and its fake model."""
    with serving() as (_, model_url):
        settings = {"DATABASE_URL": url, "MODEL_URL": model_url, "MODEL_TOKENS": TOKEN}
        with served(folder, **settings) as (process, _):
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            first = re.search(r"Listening at: http://127.0.0.1:(\d+)", (folder / "log").read_text())
            assert first
            wait_until(lambda: len(children.read_text().split()) == 2)
            workers = children.read_text()
            api = Public(int(first[1]))
            yield api
            api.connection.close()
            assert process.poll() is None
            assert children.read_text() == workers


def test_every_body_and_header_is_answered(url: str, tmp_path: Path) -> None:
    with public(tmp_path, url) as api:

        @settings(GENERATED, max_examples=7000)
        @given(ROUTES, st.sampled_from(["POST", "POST", "GET", "PUT"]), BODIES, TEXTS, TEXTS)
        def fuzz(path: str, method: str, body: Any, key: bytes, kind: bytes) -> None:
            headers = {"Idempotency-Key": key, "X-Request-ID": kind, "Accept": kind}
            headers["Content-Type"] = kind if kind.startswith(b"a") else b"application/json"
            api.send(method, path, json.dumps(body).encode(), headers)

        fuzz()
        assert api.requests >= 7000


def test_no_bytes_are_a_fault_of_the_service(url: str, tmp_path: Path) -> None:
    body = json.dumps(NEW).encode()
    valid = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with public(tmp_path, url) as api:

        @settings(GENERATED, max_examples=2500)
        @given(st.integers(0, len(valid)), st.integers(0, 30), PARTS)
        def fuzz(start: int, length: int, part: bytes) -> None:
            api.send_bytes(valid[:start] + part + valid[start + length :])

        fuzz()
        assert api.requests >= 2500


def test_what_the_document_describes_is_answered(url: str, tmp_path: Path) -> None:
    config = SchemathesisConfig()
    config.projects.default.generation.update(max_examples=280, deterministic=True, database="none")
    with public(tmp_path, url) as api:
        address = f"http://127.0.0.1:{api.port}/openapi.json"
        schema = schemathesis.openapi.from_url(address, config=config)
        for event in from_schema(schema).execute():
            if isinstance(event, ScenarioFinished):
                for exchange in event.recorder.interactions.values():
                    api.requests += 1
                    assert exchange.response
                    assert exchange.response.status_code < 500, exchange.response.text
        assert api.requests >= 500
