"""The reader of HTTP responses: what RFC 9112 allows, and nothing else."""

import socket
from http.client import HTTPResponse
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import PATIENCE_SECONDS

from service.predictors import PredictorError
from service.predictors.incoming import Incoming

OK = b"HTTP/1.1 200 OK\r\n"


def read(*packets: bytes) -> tuple[int, bytes, bool]:
    """What a client makes of these bytes before the end of a connection."""
    theirs, ours = socket.socketpair()
    with theirs, ours:
        theirs.sendall(b"".join(packets))
        theirs.shutdown(socket.SHUT_WR)
        return Incoming(ours, monotonic() + PATIENCE_SECONDS).response()


def chunked(body: bytes, size: int) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))


bodies = st.binary(max_size=300)
heads = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200",
        b"HTTP/1.1 503 \xff",
        b"HTTP/1.0 404 No",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK",
    ]
)
others = st.sampled_from([b"", b"Connection: close\r\n", b"X-Length: 1\r\nDate: now\r\n"])


@given(heads, others, bodies, st.integers(1, 100), st.sampled_from(["length", "chunked", "end"]))
def test_it_reads_what_the_standard_library_reads(
    head: bytes, other: bytes, body: bytes, size: int, framing: str
) -> None:
    fields = {
        "length": b"content-LENGTH:%d \r\n\r\n%b" % (len(body), body),
        "chunked": b"Transfer-Encoding: Chunked\r\n\r\n" + chunked(body, size),
        "end": b"\r\n" + body,
    }
    sent = head + b"\r\n" + other + fields[framing]
    theirs, ours = socket.socketpair()
    with theirs, ours:
        theirs.sendall(sent)
        theirs.shutdown(socket.SHUT_WR)
        with HTTPResponse(ours) as oracle:
            oracle.begin()
            expected = oracle.status, oracle.read()
    status, found, again = read(sent)
    assert (status, found) == expected
    assert again == (
        framing != "end" and b"close" not in other and not head.startswith(b"HTTP/1.0")
    )


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n\r\n",
        b"hello\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000\r\n\r\n",
        OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        OK + b"Content-Length: 1\r\ncontent-length: 2\r\n\r\nxx",
        OK + b"Content-Length: -1\r\n\r\nx",
        OK + b"Content-Length: +1\r\n\r\nx",
        OK + b"Content-Length: 1, 1\r\n\r\nx",
        OK + b"Content-Length: \r\n\r\nx",
        OK + b"Content-Length: 1" + b"0" * 5000 + b"\r\n\r\nx",
        OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n\r\n",
    ],
)
def test_a_response_of_unclear_length_is_none(sent: bytes) -> None:
    with pytest.raises(PredictorError) as caught:
        read(sent)
    assert caught.value.reason == "invalid_response"


@pytest.mark.parametrize("framing", [b"Content-Length: 0\r\n\r\n", b""])
def test_a_connection_with_a_byte_too_many_is_not_used_again(framing: bytes) -> None:
    framing = framing or b"Transfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n\r\n"
    assert read(OK + framing) == (200, b"", True)
    assert read(OK + framing + b"H") == (200, b"", False)


@given(st.integers(0, 80))
def test_one_that_ends_too_early_is_none(length: int) -> None:
    whole = OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"x" * 20, 7)
    with pytest.raises(ConnectionResetError):
        read(whole[: min(length, len(whole) - 1)])
