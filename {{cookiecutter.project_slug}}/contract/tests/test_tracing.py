"""The header that says which trace a request belongs to."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.tracing import Trace

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
NEW = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-00")


def header(trace: Trace) -> str:
    return trace.headers()["traceparent"]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01"),
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        (f"00-{TRACE}-{SPAN}-03", f"00-{TRACE}-{SPAN}-03"),
        (f"cc-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01"),
        (f"cc-{TRACE}-{SPAN}-fe-what-comes-later", f"00-{TRACE}-{SPAN}-00"),
    ],
)
def test_a_valid_header_is_sent_on(given: str, sent: str) -> None:
    assert header(Trace.of(given)) == sent


@pytest.mark.parametrize(
    "given",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"cc-{TRACE}-{SPAN}-01more",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_any_other_begins_a_trace_that_nobody_records(given: str) -> None:
    one, two = Trace.of(given, "vendor=1"), Trace.of(given)
    assert NEW.fullmatch(header(one))
    assert "tracestate" not in one.headers()
    assert TRACE != one.trace_id != two.trace_id
    assert not one.is_sampled


@given(st.text() | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"), st.text())
def test_what_is_sent_on_can_be_read_and_is_a_header_whatever_came(parent: str, state: str) -> None:
    trace = Trace.of(parent, state)
    sent = trace.headers()
    assert Trace.of(sent["traceparent"], sent.get("tracestate", "")) == trace
    assert all(re.fullmatch("[ -~]{1,512}", value) for value in sent.values())


def test_the_state_is_sent_on_as_it_came() -> None:
    given = f"00-{TRACE}-{SPAN}-01"
    for state in ("congo=t61rcWkgMzE", "a=1, b=2", "x" * 512):
        assert Trace.of(given, state).headers() == {"traceparent": given, "tracestate": state}
    for state in ("", "x" * 513, "é=1", "a=1\r\nX-Evil: 1"):
        assert Trace.of(given, state).headers() == {"traceparent": given}
