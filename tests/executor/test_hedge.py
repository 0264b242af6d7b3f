"""Hedging and pools: the second call, who wins, and that both are charged at their own price."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import anyio
import pytest

from agentkit.answer import Answer
from agentkit.backends.breaker import Breaker
from agentkit.backends.concurrency import Concurrency
from agentkit.backends.fake import Reply, ScriptedBackend
from agentkit.backends.guarded import Guarded
from agentkit.backends.pool import Pool
from agentkit.budgets import Ledger
from agentkit.costs import Budget, Cost
from agentkit.errors import BackendUnavailable, BadRequest, ContentRefused, LedgerError, RateLimited
from agentkit.executor.hedge import Claim, race
from agentkit.executor.resilience import Hedge, Resilience
from agentkit.trace import Retried, TextDelta
from agentkit.types import Completion, Delta, Request
from tests.scenario import ANSWER, TASK, WRAPPED, agent, card, check_answer, check_books, play
from tests.virtual import anyio_backend  # noqa: F401

pytestmark = pytest.mark.anyio

HEDGE = Resilience(hedge=Hedge(least_calls=5))


class Slow(ScriptedBackend):
    """A script whose n-th call takes `latencies[n]` seconds, the last for ever after; it bills in full."""

    breaks_after: float | None = None

    def __init__(self, replies: str, latencies: Sequence[float], name: str = "slow") -> None:
        super().__init__(replies, card=card(name, "1" if name == "slow" else "2"), bill="full")
        self._latencies = list(latencies)

    async def _pause(self) -> None:
        if self.breaks_after is not None:
            await anyio.sleep(self.breaks_after)
            raise BackendUnavailable("slow", "gone")
        await anyio.sleep(self._latencies.pop(0) if len(self._latencies) > 1 else self._latencies[0])

    async def complete(self, request: Request) -> Completion:
        call = await super().complete(request)
        await self._pause()
        return call

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        await self._pause()
        async for delta in super().stream(request):
            yield delta


async def runs(backend: Any, count: int, budget: Budget | None = None, **options: Any) -> list[Answer[Any]]:
    made = agent(backend, tools=(), **{"resilience": HEDGE, **options})
    return [await made.run(TASK, budget=budget or Budget(usd=1)) for _ in range(count)]


def told(answer: Answer[Any]) -> list[str]:
    return [stamped.event.reason for stamped in answer.trace if isinstance(stamped.event, Retried)]


# ---------------------------------------------------------------- races
async def answering(seconds: float, what: str, claim: Claim) -> str:
    await anyio.sleep(seconds)
    return what


@pytest.mark.parametrize(("first", "second", "winner"), [(1, 1, "a"), (9, 1, "b"), (2.5, 1, "a"), (4, 1, "b")])
async def test_the_first_to_answer_wins(first: float, second: float, winner: str) -> None:
    start = anyio.current_time()
    result = await race(lambda c: answering(first, "a", c), lambda c: answering(second, "b", c), 2)
    assert result == winner and anyio.current_time() - start == min(first, 2 + second)


async def test_a_failure_leaves_it_to_the_other() -> None:
    async def failing(claim: Claim) -> str:
        await anyio.sleep(3)
        raise BackendUnavailable("m", "gone")

    assert await race(failing, lambda c: answering(5, "b", c), 2) == "b"
    assert await race(lambda c: answering(9, "a", c), failing, 2) == "a"
    with pytest.raises(BackendUnavailable):
        await race(failing, failing, 1)
    start = anyio.current_time()
    with pytest.raises(BackendUnavailable):
        await race(failing, lambda c: answering(5, "b", c), 4)
    assert anyio.current_time() - start == 3  # the second never began


async def test_what_is_no_failure_of_a_call_is_not_outvoted() -> None:
    async def breaking(claim: Claim) -> str:
        await anyio.sleep(3)
        raise LedgerError("books", "the disk is full")

    with pytest.raises(LedgerError):
        await race(breaking, lambda c: answering(5, "b", c), 2)
    with pytest.raises(LedgerError):
        await race(lambda c: answering(9, "a", c), breaking, 2)


async def test_a_claim_decides_and_the_other_never_speaks() -> None:
    said: list[str] = []

    async def speaking(name: str, after: float, claim: Claim) -> str:
        await anyio.sleep(after)
        await claim()
        said.append(name)
        await anyio.sleep(10)
        return name

    assert await race(lambda c: speaking("a", 3, c), lambda c: speaking("b", 1, c), 2) == "a"
    assert said == ["a"]


async def test_a_second_that_is_not_made_changes_nothing() -> None:
    async def not_made(claim: Claim) -> str | None:
        return None

    assert await race(lambda c: answering(5, "a", c), not_made, 2) == "a"


# ---------------------------------------------------------------- hedged calls
async def test_a_late_call_is_made_twice_and_both_are_charged() -> None:
    backend = Slow(ANSWER, [1] * 5 + [30, 1])
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        made = agent(backend, tools=(), resilience=HEDGE)
        for _ in range(5):
            await made.run(TASK, scope=scope)
        start = anyio.current_time()
        answer = await made.run(TASK, scope=scope, budget=Budget(usd=1))
        await check_books(ledger, scope, backend)
    check_answer(answer)
    assert anyio.current_time() - start == pytest.approx(2, abs=0.01)  # the 95th percentile, and the second call
    assert told(answer) == ["slow is late, after 1 s; slow is asked as well, both are charged"]
    charged = [receipt for receipt in answer.receipts if receipt.what == "model:slow"]
    assert len(charged) == 2 and sum(receipt.estimated for receipt in charged) == 1
    assert len(backend.requests) == 7


async def test_no_second_call_before_the_latency_is_known_or_without_room_for_both() -> None:
    backend = Slow(ANSWER, [1, 30])
    await runs(backend, 2)
    assert len(backend.requests) == 2
    backend = Slow(ANSWER, [1] * 5 + [30])
    made = agent(backend, tools=(), resilience=HEDGE)
    for _ in range(5):
        await made.run(TASK)
    answer = await made.run(TASK, budget=Budget(requests=2))
    assert len(backend.requests) == 6 and told(answer) == []


async def test_no_second_call_where_the_endpoint_takes_no_more() -> None:
    backend = Slow(ANSWER, [1] * 5 + [30])
    await runs(Guarded(backend, concurrency=Concurrency(most=1)), 6)
    assert len(backend.requests) == 6


async def test_a_stream_is_hedged_until_it_speaks() -> None:
    backend = Slow("one two three", [1] * 5 + [30, 1])
    made = agent(backend, tools=(), resilience=HEDGE)
    for _ in range(6):
        start, said = anyio.current_time(), ""
        async with made.stream(TASK) as events:
            async for event in events:
                said += event.text if isinstance(event, TextDelta) else ""
        assert said == "one two three"
    assert anyio.current_time() - start == pytest.approx(2, abs=0.01)


async def test_two_that_speak_at_almost_the_same_time_are_not_mixed() -> None:
    backend = Slow("one two three", [1] * 5 + [2.1, 0.5])
    backend.delay = 0.3  # the first speaks after 2.4 s, the second 0.8 s after it began at 1.3 s
    made = agent(backend, tools=(), resilience=HEDGE)
    for _ in range(6):
        said = ""
        async with made.stream(TASK) as events:
            async for event in events:
                said += event.text if isinstance(event, TextDelta) else ""
        assert said == "one two three"
    assert len(backend.requests) == 7


@pytest.mark.parametrize("breaks", [True, False])
async def test_the_winner_says_nothing_about_the_endpoint_of_the_loser(breaks: bool) -> None:
    """Breaking late is a failure whoever else answers, and being cancelled is no success."""
    east = Slow(ANSWER, [1] * 5 + [30])
    guarded = Guarded(east, breaker=Breaker(share=0.1, least_calls=6, cool_down=5))
    made = agent(Pool("model", [guarded, Slow(ANSWER, [2], "west")], mode="cost"), tools=(), resilience=HEDGE)
    for _ in range(5):
        await made.run(TASK)
    if breaks:
        east.breaks_after = 1.5
    else:
        guarded.gate.breaker.end(False, probe=True, now=anyio.current_time())
        await anyio.sleep(5)  # the next call is the probe
    answer = await made.run(TASK)
    assert (answer.text, len(east.requests)) == (ANSWER, 6)
    assert guarded.gate.breaker.state(anyio.current_time()) == ("open" if breaks else "half_open")
    assert guarded.gate.concurrency.in_flight == 0


# ---------------------------------------------------------------- pools
async def test_a_pool_goes_on_at_the_next_endpoint_without_a_pause() -> None:
    replies: list[Reply] = [RateLimited("east", "slow", retry_after=20), ANSWER]
    east = ScriptedBackend(replies, card=card("east"))
    west, start = ScriptedBackend(ANSWER, card=card("west", "2")), anyio.current_time()
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        made = agent(Pool("model", [east, west]), tools=())
        first = await made.run(TASK, budget=Budget(usd=1), scope=scope)
        second = await made.run(TASK, budget=Budget(usd=1), scope=scope)
        await check_books(ledger, scope, east, west, exact=False)
    assert anyio.current_time() - start == 0
    assert (len(east.requests), len(west.requests)) == (1, 2)  # east asked to be left alone
    assert "again at another endpoint" in told(first)[0] and told(second) == []
    (receipt,) = [receipt for receipt in second.receipts if receipt.what == "model:west"]
    assert receipt.charged == west.bill[-1].cost(west.card.price)  # at its own price


async def test_an_endpoint_without_credit_is_passed_over() -> None:
    west = ScriptedBackend(ANSWER, card=card("west", "2"))
    broke = ScriptedBackend(BadRequest("broke", "no credit (HTTP 402); add credit"), card=card("broke"))
    answer, start = await agent(Pool("model", [broke, west]), tools=()).run(TASK), anyio.current_time()
    assert answer.text == ANSWER and "no credit" in told(answer)[0] and len(broke.requests) == 1
    refused = ScriptedBackend(ContentRefused("refused", "no"), card=card("refused"))
    with pytest.raises(ContentRefused):  # it would be everywhere
        await agent(Pool("model", [refused, west]), tools=()).run(TASK)
    assert len(west.requests) == 1 and anyio.current_time() == start


async def test_the_wrap_up_of_a_pool_is_charged_at_the_price_of_its_endpoint() -> None:
    cheap, dear = ScriptedBackend(play, card=card("cheap")), ScriptedBackend(play, card=card("dear", "9"))
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        answer = await agent(Pool("model", [cheap, dear])).run(
            TASK, budget=Budget(usd=1, tool_calls=1), scope=scope
        )
        await check_books(ledger, scope, cheap, dear, exact=True)
    check_answer(answer)
    assert answer.text == WRAPPED and dear.bill == [] and cheap.billed != Cost()
