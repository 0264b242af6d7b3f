"""The gate of an endpoint: who waits for what, in which order, and who is told not to."""

from __future__ import annotations

import anyio
import pytest

from agentkit.backends.breaker import Breaker
from agentkit.backends.concurrency import Concurrency
from agentkit.backends.gate import LONGEST_HOLD_OFF, Gate
from agentkit.backends.limits import RateLimits
from agentkit.errors import BackendUnavailable, BadRequest, CircuitOpen, Overloaded, RateLimited
from tests.virtual import anyio_backend  # noqa: F401

pytestmark = pytest.mark.anyio

DOWN = BackendUnavailable("m", "gone")


async def through(gate: Gate, left: list[tuple[int, float]], who: int, seconds: float = 0.0) -> None:
    """Pass the gate, note when, stay under way for a while."""
    passage = await gate.enter(10, 100)
    left.append((who, anyio.current_time()))
    await anyio.sleep(seconds)
    gate.leave(passage, None, 10)


async def crowd(gate: Gate, callers: int, seconds: float = 0.0) -> list[tuple[int, float]]:
    """Let `callers` pass at once; returns who left when."""
    left: list[tuple[int, float]] = []
    async with anyio.create_task_group() as group:
        for who in range(callers):
            group.start_soon(through, gate, left, who, seconds)
    return left


async def test_a_gate_without_limits_lets_everybody_through_at_once() -> None:
    start = anyio.current_time()
    assert {moment for _, moment in await crowd(Gate("m"), 50, 1)} == {start}


async def test_the_rate_limit_is_kept_first_come_first_served() -> None:
    gate, start = Gate("m", limits=RateLimits(requests_per_minute=60)), anyio.current_time()
    left = await crowd(gate, 20)
    assert [who for who, _ in left] == list(range(20))
    assert left[9][1] == start and left[19][1] - start == pytest.approx(10, abs=0.02)


async def test_no_more_than_the_window_are_under_way() -> None:
    gate, start = Gate("m", concurrency=Concurrency(most=4)), anyio.current_time()
    left = await crowd(gate, 12, 1)
    assert [round(moment - start) for _, moment in left] == [0] * 4 + [1] * 4 + [2] * 4
    assert gate.concurrency.in_flight == 0


async def test_a_newcomer_does_not_overtake_who_waits() -> None:
    gate, left = Gate("m", concurrency=Concurrency(most=1)), list[tuple[int, float]]()
    first = await gate.enter(1, 60)
    async with anyio.create_task_group() as group:
        group.start_soon(through, gate, left, 1)
        await anyio.sleep(1)
        gate.leave(first, None)
        assert gate.enter_now(1) is None
    assert gate.enter_now(1) is not None


async def test_what_one_is_told_all_heed() -> None:
    gate, start = Gate("m"), anyio.current_time()
    gate.leave(await gate.enter(1, 60), RateLimited("m", "slow", retry_after=7))
    left = await crowd(gate, 3)
    assert [moment - start for _, moment in left] == pytest.approx([7, 7, 7])


async def test_nobody_waits_longer_for_a_provider_than_they_are_willing_to() -> None:
    gate = Gate("m")
    gate.leave(await gate.enter(1, 60), Overloaded("m", "busy", retry_after=30))
    with pytest.raises(RateLimited, match="another 30 s") as caught:
        await gate.enter(1, 5)
    assert caught.value.retry_after == pytest.approx(30)
    gate.leave(await gate.enter(1, 31), Overloaded("m", "busy", retry_after=1e9))
    assert gate.closed() == LONGEST_HOLD_OFF  # nonsense does not close it for ever


async def test_a_wait_past_the_deadline_is_refused_at_once() -> None:
    gate = Gate("m", limits=RateLimits(requests_per_minute=1))
    await gate.enter(1, 60)
    start = anyio.current_time()
    with anyio.fail_after(20), pytest.raises(RateLimited, match="after the deadline"):
        await gate.enter(1, 60)
    assert anyio.current_time() == start


async def test_an_open_circuit_lets_one_probe_through_and_then_everybody() -> None:
    gate = Gate("m", breaker=Breaker(least_calls=2, cool_down=5))
    notes = [gate.leave(await gate.enter(1, 60), DOWN) for _ in range(2)]
    assert notes == [[], ["m failed too often; its circuit is open for 5 s"]]
    with pytest.raises(CircuitOpen):
        await gate.enter(1, 4)
    with pytest.raises(CircuitOpen):
        await gate.enter(1, 60, alternatives=True)
    start = anyio.current_time()
    left = await crowd(gate, 3, 1)
    assert [moment - start for _, moment in left] == pytest.approx([5, 6, 6])  # the probe takes a second


async def test_those_behind_a_probe_that_fails_are_told() -> None:
    gate = Gate("m", breaker=Breaker(least_calls=1, cool_down=5))
    gate.leave(await gate.enter(1, 60), DOWN)
    await anyio.sleep(5)
    probe = await gate.enter(1, 60)
    refused: list[float] = []

    async def wait_behind() -> None:
        try:
            await gate.enter(1, 8)
        except CircuitOpen as error:
            refused.append(error.retry_after or 0)

    async with anyio.create_task_group() as group:
        group.start_soon(wait_behind)
        await anyio.sleep(1)
        gate.leave(probe, DOWN)
    assert refused == pytest.approx([10])


async def test_a_waiter_that_gives_up_holds_nobody_up() -> None:
    gate, left = Gate("m", concurrency=Concurrency(most=1)), list[tuple[int, float]]()
    first = await gate.enter(1, 60)
    start = anyio.current_time()
    async with anyio.create_task_group() as group:
        with anyio.move_on_after(1):
            group.start_soon(through, gate, left, 2)
            await gate.enter(1, 60)
        await anyio.sleep(1)
        gate.leave(first, None)
    assert left == [(2, start + 2)] and gate.concurrency.in_flight == 0


async def test_what_says_nothing_about_the_endpoint_is_not_counted() -> None:
    gate = Gate("m", breaker=Breaker(least_calls=1))
    gate.leave(await gate.enter(1, 60), BadRequest("m", "no"))
    gate.leave(await gate.enter(1, 60), RateLimited("m", "slow"))
    gate.abandon(await gate.enter(1, 60))
    assert gate.closed() == 0 and gate.concurrency.in_flight == 0 and gate.concurrency.free


async def test_a_call_that_was_never_made_gives_its_tokens_back() -> None:
    gate = Gate("m", limits=RateLimits(tokens_per_minute=600))
    gate.abandon(await gate.enter(100, 60), 0)
    assert gate.wait(100) == 0
    gate.abandon(await gate.enter(100, 60))  # nobody knows
    assert gate.wait(100) > 0


async def test_a_probe_that_is_abandoned_frees_its_place() -> None:
    gate = Gate("m", breaker=Breaker(least_calls=1, cool_down=5))
    gate.leave(await gate.enter(1, 60), DOWN)
    await anyio.sleep(5)
    gate.abandon(await gate.enter(1, 60))
    assert gate.wait(1) == 0
