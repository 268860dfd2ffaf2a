"""The trace that a request belongs to: W3C Trace Context, https://www.w3.org/TR/trace-context/."""

import re
from random import getrandbits
from typing import NamedTuple

TRACEPARENT = re.compile(
    "(?!ff|00.{54})([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
"""Of every version but ff, which is invalid; version 00 ends here, later ones may go on."""

TRACESTATE = re.compile("[ -~]{1,512}")
"""What is passed on; a longer one may be dropped."""

SAMPLED = 1
"""The flag of a trace that is recorded."""


class Trace(NamedTuple):
    """Where in a trace a request stands.

    Attributes:
        trace_id: of everything that one request brings about; 32 lower-case hexadecimal digits.
        span_id: of who asks; 16 of them.
        flags: one byte; see `SAMPLED`.
        state: `tracestate`, which other systems keep there.
    """

    trace_id: str
    span_id: str
    flags: int = 0
    state: str = ""

    @classmethod
    def of(cls, traceparent: str, tracestate: str = "") -> "Trace":
        """The one in a caller's headers; where they name none a new one, which nobody records."""
        found = TRACEPARENT.fullmatch(traceparent)
        if found is None:
            return cls(f"{getrandbits(128):032x}", f"{getrandbits(64):016x}")
        version, trace_id, span_id, digits = found.groups()
        flags = int(digits, 16)
        if version != "00":  # whose other flags are not known
            flags &= SAMPLED
        return cls(trace_id, span_id, flags, tracestate if TRACESTATE.fullmatch(tracestate) else "")

    @property
    def is_sampled(self) -> bool:
        """Whether somebody records it."""
        return bool(self.flags & SAMPLED)

    def headers(self) -> dict[str, str]:
        """What to send along, so that whoever is asked belongs to the same trace."""
        parent = {"traceparent": f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"}
        return {**parent, "tracestate": self.state} if self.state else parent
