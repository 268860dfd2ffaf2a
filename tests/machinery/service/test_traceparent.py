"""Our reading of `traceparent` beside that of OpenTelemetry, the reference."""

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from contract.tracing import Trace

VALID = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PIECES = ["00", "01", "ff", "cc", "-", "0" * 32, "0" * 16, "A", "f", ""]


@st.composite
def headers(draw: st.DrawFn) -> str:
    """A valid header with pieces of it replaced, some by what is valid as well."""
    text = VALID
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.sampled_from([0, 2, 3, 35, 36, 52, 53, 55]))
        end = start + draw(st.sampled_from([0, 1, 2, 16, 32]))
        text = text[:start] + draw(st.sampled_from(PIECES)) + text[end:]
    return text + draw(st.sampled_from(["", "-", "-more", "more"]))


@given(headers())
def test_it_is_read_as_by_the_reference(header: str) -> None:
    extracted = TraceContextTextMapPropagator().extract({"traceparent": header})
    theirs = get_current_span(extracted).get_span_context()
    ours = Trace.of(header)
    if not theirs.is_valid:
        assert ours.trace_id not in header
        return
    assert (ours.trace_id, ours.span_id) == (f"{theirs.trace_id:032x}", f"{theirs.span_id:016x}")
    assert ours.is_sampled == theirs.trace_flags.sampled
    if header.startswith("00"):
        assert ours.flags == theirs.trace_flags
