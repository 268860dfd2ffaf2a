"""The private API as a process under fuzz: 10,000 requests, no 5xx, every error in JSON."""

import json
import socket
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from conftest import INFER, MODEL, REQUEST, TOKENS
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support import AUTHORIZATION, BODY, Connection, Server, connected, serving

from model.artifacts.store import Store

pytestmark = pytest.mark.slow
GENERATED = settings(
    database=None,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[*HealthCheck],
)
AWKWARD = [1e308, -(2**63) - 1, 2**63, -1, 0.1, "", "\x00", "\u202e", "FP64", "NaN", [], [[]], {}]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(AWKWARD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
PATHS = st.sampled_from([INFER, INFER, INFER, MODEL, "/v2", "/v2/models/other/infer", "/%00"])
HEADERS = st.dictionaries(
    st.sampled_from(["Authorization", "X-Request-ID", "X-Request-Timeout-Ms", "Content-Type"]),
    st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=10),
    max_size=2,
)
PARTS = st.binary(max_size=10) | st.sampled_from(
    [
        *(b"", b"\r\n", b"\n", b"\x00", b" ", b":", b"ffffffff\r\n", b"Content-Length: -1\r\n"),
        *(b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n"),
    ]
)
"""What is put into the bytes of a valid request."""


def places(message: Any) -> list[list[Any]]:
    """The path to each value within."""
    items = message.items() if isinstance(message, dict) else enumerate(message)
    return [
        [name, *rest]
        for name, value in items
        for rest in ([], *(places(value) if isinstance(value, dict | list) else ()))
    ]


def changed(message: Any, place: list[Any], value: Any) -> Any:
    """The message with another value in this place."""
    copy = json.loads(json.dumps(message))
    inner = copy
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    return copy


PLACES = places(REQUEST)
MESSAGES = st.builds(changed, st.just(REQUEST), st.sampled_from(PLACES), JSON) | JSON


def check(response: HTTPResponse, request: str) -> None:
    """An answer that is no fault of the server, and explains the caller's."""
    body = response.read()
    assert response.status < 500, (request, body)
    if response.status >= 400:
        assert isinstance(json.loads(body)["error"], str), (request, body)


def all_there(server: Server, workers: list[int]) -> bool:
    return server.process.poll() is None and server.workers() == workers


def test_every_message_is_answered(store: Store, tmp_path: Path) -> None:
    with serving(store, tmp_path) as server, connected(server.at) as connection:
        workers, sent = server.workers(), []

        @settings(GENERATED, max_examples=7500)
        @given(PATHS, st.sampled_from(["POST", "POST", "GET"]), MESSAGES, HEADERS)
        def fuzz(path: str, method: str, message: Any, headers: dict[str, str]) -> None:
            sent.append(path)
            latin = {name: value.encode("latin-1") for name, value in headers.items()}
            body = json.dumps(message).encode()
            try:
                connection.request(method, path, body, {**AUTHORIZATION, **latin})
                check(connection.getresponse(), f"{method} {path} {body!r} {headers}")
            except BaseException:
                connection.close()
                raise

        fuzz()
        assert len(sent) >= 7500
        assert all_there(server, workers)


def test_no_bytes_are_a_fault_of_the_server(store: Store, tmp_path: Path) -> None:
    head = f"POST {INFER} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKENS[0]}\r\n"
    valid = head.encode() + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    with serving(store, tmp_path) as server:
        workers, sent = server.workers(), []

        @settings(GENERATED, max_examples=2500)
        @given(st.integers(0, len(valid)), st.integers(0, 30), PARTS)
        def fuzz(start: int, length: int, part: bytes) -> None:
            sent.append(part)
            with connected(server.at) as connection:
                answer_to(connection, valid[:start] + part + valid[start + length :])

        fuzz()
        assert len(sent) >= 2500
        assert all_there(server, workers)


def answer_to(connection: Connection, data: bytes) -> None:
    """Send bytes, and no more; if anything comes back, it is no fault of the server."""
    try:
        connection.sock.sendall(data)
        connection.sock.shutdown(socket.SHUT_WR)
        response = HTTPResponse(connection.sock)
        response.begin()
    except (ConnectionError, HTTPException):
        return
    assert response.status < 500, (data, response.read())
