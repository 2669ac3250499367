from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rfsn_core.turn.breaker import Breaker


class Times:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def make(limit: int = 3, seconds: float = 10.0) -> tuple[Breaker, Times, list[str]]:
    clock, told = Times(), list[str]()
    return Breaker(limit, seconds, lambda state, reason: told.append(state), clock), clock, told


def test_it_opens_after_failures_in_a_row_and_lets_one_probe_through() -> None:
    breaker, clock, told = make()
    for _ in range(2):
        breaker.failed("no")
    breaker.succeeded()
    for _ in range(2):
        breaker.failed("no")
    assert breaker.admits()
    breaker.failed("gone")
    assert not breaker.admits()
    assert breaker.reason == "gone"
    clock.now = 10.0
    assert breaker.admits()
    assert not breaker.admits()  # the probe is under way
    breaker.succeeded()
    assert breaker.admits()
    assert told == ["open", "half_open", "closed"]


def test_each_probe_that_fails_doubles_the_pause_up_to_a_minute() -> None:
    breaker, clock, _ = make(1, 10.0)
    breaker.failed("no")
    for pause in (10, 20, 40, 60, 60):
        clock.now += pause - 0.001
        assert not breaker.admits()
        clock.now += 0.001
        assert breaker.admits()
        breaker.failed("still no")


def test_a_probe_that_was_cut_short_leaves_its_place_to_the_next_turn() -> None:
    breaker, clock, _ = make(1)
    breaker.failed("no")
    clock.now = 10.0
    assert breaker.admits()
    breaker.undecided()
    assert breaker.admits()


def test_settings_may_change_while_it_lives() -> None:
    breaker, _, _ = make(5)
    breaker.failed("no")
    breaker.limit = 2
    breaker.failed("no")
    assert breaker.state == "open"


@given(st.lists(st.sampled_from(["admit", "succeed", "fail", "undecided", "wait"])))
def test_it_never_sticks(steps: list[str]) -> None:
    breaker, clock, _ = make(2)
    for step in steps:
        if step == "admit":
            breaker.admits()
        elif step == "succeed":
            breaker.succeeded()
        elif step == "fail":
            breaker.failed("no")
        elif step == "undecided":
            breaker.undecided()
        else:
            clock.now += 7
    if breaker.state == "half_open":
        breaker.undecided()  # the turn that probes always reports the result
    clock.now += 61
    assert breaker.admits()
