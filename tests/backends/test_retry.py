"""The retry policy: what is tried again, when, and when not."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.backends.retry import RetryPolicy, is_transient
from agentkit.errors import (
    BackendError,
    BackendTimeout,
    BackendUnavailable,
    BadRequest,
    BadResponse,
    CassetteMiss,
    CircuitOpen,
    ContentRefused,
    ContextOverflow,
    Overloaded,
    RateLimited,
    Unreachable,
)

POLICY = RetryPolicy()
PASSING: dict[str, BackendError] = {
    "rate limited": RateLimited("m", "slow down"),
    "overloaded": Overloaded("m", "busy"),
    "unavailable": BackendUnavailable("m", "500"),
    "unreachable": Unreachable("m", "refused"),
    "left alone": CircuitOpen("m", 1.0),
    "no connection in time": BackendTimeout("m", "connect", 1),
    "no first token in time": BackendTimeout("m", "first_token", 1),
    "stalled": BackendTimeout("m", "between_chunks", 1),
    "cut JSON": BadResponse("m", "not JSON"),
}
LASTING: dict[str, BackendError] = {
    "no credit, or wrong": BadRequest("m", "no"),
    "refused": ContentRefused("m", "no"),
    "too long": ContextOverflow("m", 9, 8),
    "took all its time": BackendTimeout("m", "total", 600),
    "no recording": CassetteMiss("m", "none"),
}

policies = st.builds(
    RetryPolicy,
    attempts=st.integers(1, 6),
    first_pause=st.floats(0, 5),
    longest_pause=st.floats(0, 20),
    jitter=st.floats(0, 1),
    longest_wait=st.floats(0, 100),
    patience=st.floats(0, 100),
)
waits = st.none() | st.floats(0, 1e6)


@pytest.mark.parametrize("error", PASSING.values(), ids=PASSING)
def test_what_may_pass_is_tried_again(error: BackendError) -> None:
    assert is_transient(error)
    assert POLICY.pause(error, 1, left=math.inf, luck=0) is not None


@pytest.mark.parametrize("error", LASTING.values(), ids=LASTING)
def test_what_stays_is_not(error: BackendError) -> None:
    assert not is_transient(error)
    assert POLICY.pause(error, 1, left=math.inf, luck=0) is None


def test_pauses_double_up_to_the_longest_and_jitter_shortens_them() -> None:
    many = RetryPolicy(attempts=9)
    error = PASSING["unavailable"]
    assert [many.pause(error, n, left=math.inf, luck=0) for n in range(1, 7)] == [0.5, 1, 2, 4, 8, 8]
    assert many.pause(error, 3, left=math.inf, luck=1) == 1.5
    assert many.pause(error, 9, left=math.inf, luck=0) is None


@pytest.mark.parametrize(
    ("asked", "alternatives", "waited"),
    [(4.0, True, 4.0), (6.0, True, None), (6.0, False, 6.0), (60.0, False, 60.0), (61.0, False, None)],
)
def test_the_wish_of_a_provider_is_heeded_up_to_what_one_is_willing_to_wait(
    asked: float, alternatives: bool, waited: float | None
) -> None:
    error = RateLimited("m", "slow down", retry_after=asked)
    assert POLICY.pause(error, 1, left=math.inf, luck=0.5, alternatives=alternatives) == waited


@given(policies, waits, st.integers(1, 8), st.floats(0, 200), st.floats(0, 1), st.booleans())
def test_a_pause_keeps_every_promise(
    policy: RetryPolicy, asked: float | None, failures: int, left: float, luck: float, alternatives: bool
) -> None:
    error = RateLimited("m", "slow down", retry_after=asked)
    pause = policy.pause(error, failures, left=left, luck=luck, alternatives=alternatives)
    if pause is None:
        return
    assert failures < policy.attempts
    assert 0 <= pause < left
    assert asked is None or asked <= pause <= max(asked, policy.longest_pause)
    assert asked is None or asked <= policy.longest(alternatives)
    assert policy.longest(True) <= policy.longest(False)


def test_an_open_circuit_is_waited_for_only_where_nobody_else_could_be_asked() -> None:
    error = CircuitOpen("m", 1.0)
    assert POLICY.pause(error, 1, left=math.inf, luck=0, alternatives=True) is None
    assert POLICY.pause(error, 1, left=math.inf, luck=0) == 1.0


def test_never_is_one_attempt_without_a_wait() -> None:
    never = RetryPolicy.never()
    assert all(never.pause(error, 1, left=math.inf, luck=0) is None for error in PASSING.values())
    assert never.longest(False) == 0


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"jitter": 1.5}, {"longest_wait": math.inf}, {"patience": -1}])
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="attempts is 1 or more"):
        RetryPolicy(**wrong)  # type: ignore[arg-type]
