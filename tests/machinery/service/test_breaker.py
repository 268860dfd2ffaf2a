"""The circuit breaker under any order of calls, outcomes and pauses, on a clock set by hand."""

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from service.predictors.breaker import (
    CALLS,
    MINIMUM,
    PAUSE_SECONDS,
    SECONDS,
    SHARE,
    Breaker,
    State,
)


class Calls(RuleBasedStateMachine):
    """Calls of any number of threads, which end in any order."""

    tickets = Bundle("tickets")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.states: list[State] = []
        self.breaker = Breaker(self.states.append, lambda: self.now)
        self.ended: list[tuple[float, str]] = []
        """The calls that tell something, since it was closed last."""
        self.current: set[int] = set()
        """The calls under way that began since the state changed."""
        self.opened = 0.0

    @rule(target=tickets)
    def begin(self) -> int | None:
        return self._begin()

    @rule(ticket=consumes(tickets), fault=st.sampled_from(["", "", "timeout", "slow", None]))
    def end(self, ticket: int | None, fault: str | None) -> None:
        self._end(ticket, fault)

    @rule(fault=st.sampled_from(["", "timeout"]))
    def make_some_in_turn(self, fault: str) -> None:
        for _ in range(MINIMUM):
            self._end(self._begin(), fault)

    @rule(seconds=st.sampled_from([0.01, PAUSE_SECONDS, PAUSE_SECONDS, SECONDS]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def its_listener_knows_the_state(self) -> None:
        assert self.states[-1] is self.breaker.state

    def _begin(self) -> int | None:
        before, due = self.breaker.state, self.now >= self.opened + PAUSE_SECONDS
        ticket = self.breaker.enter()
        if before is State.CLOSED:
            assert ticket is not None
        elif before is State.HALF_OPEN:
            assert ticket is None  # one call probes
        elif ticket is None:
            assert not due
        else:
            assert self.breaker.state is State.HALF_OPEN
            self.current.clear()
        if ticket is not None:
            self.current.add(ticket)
        return ticket

    def _end(self, ticket: int | None, fault: str | None) -> None:
        if ticket is None:
            return
        before, known = self.breaker.state, len(self.states)
        self.breaker.leave(ticket, fault)
        if ticket not in self.current:
            assert len(self.states) == known  # it began before the last change
        elif before is State.HALF_OPEN:
            assert self.breaker.state is (State.CLOSED if fault == "" else State.OPEN)
            self._changed(self.now if fault else self.now - PAUSE_SECONDS)
        elif fault is not None:
            self.ended = [*self.ended, (self.now, fault)][-CALLS:]
            recent = [each for when, each in self.ended if when >= self.now - SECONDS]
            faults = sum(map(bool, recent))
            too_many = fault and len(recent) >= MINIMUM and faults >= SHARE * len(recent)
            assert self.breaker.state is (State.OPEN if too_many else State.CLOSED)
            if too_many:
                self._changed(self.now)

    def _changed(self, opened: float) -> None:
        self.opened = opened
        self.ended.clear()
        self.current.clear()


TestCalls = Calls.TestCase


def outcomes(breaker: Breaker, *faults: str) -> None:
    for fault in faults:
        ticket = breaker.enter()
        assert ticket is not None
        breaker.leave(ticket, fault)


def test_one_failure_in_a_quiet_night_does_not_open_it() -> None:
    now = [0.0]
    breaker = Breaker(clock=lambda: now[0])
    for _ in range(100):
        outcomes(breaker, "unreachable")
        now[0] += SECONDS / (MINIMUM - 1) + 0.1
    assert breaker.state is State.CLOSED


def test_a_model_that_hangs_under_load_is_not_asked_for_long() -> None:
    breaker = Breaker(clock=lambda: 0.0)
    outcomes(breaker, *[""] * 1000)
    outcomes(breaker, *["timeout"] * (CALLS // 2))
    assert breaker.state is State.OPEN
