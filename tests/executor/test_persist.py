"""Retries, waiting, hedging and pools as a run makes them: real ledger, real agent, virtual time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.answer import Answer
from agentkit.backends.breaker import Breaker
from agentkit.backends.fake import Faulty, Reply, ScriptedBackend
from agentkit.backends.guarded import Guarded
from agentkit.backends.limits import RateLimits
from agentkit.backends.retry import RetryPolicy
from agentkit.budgets import Ledger
from agentkit.costs import Budget, Cost
from agentkit.errors import (
    BackendTimeout,
    BackendUnavailable,
    BadRequest,
    CircuitOpen,
    Overloaded,
    RateLimited,
    Unreachable,
)
from agentkit.evals.benches.virtual_time import run_virtually
from agentkit.executor.resilience import Resilience
from agentkit.trace import Retried, TextDelta
from agentkit.types import Delta, Request
from tests.scenario import ANSWER, TASK, WRAPPED, agent, card, check_answer, check_books, play
from tests.virtual import anyio_backend  # noqa: F401

pytestmark = pytest.mark.anyio

SLOW = RateLimited("scripted", "slow down")
GONE = BackendUnavailable("scripted", "gone")
STEADY = Resilience(luck=lambda: 0.0)


def notes(answer: Answer[Any]) -> list[str]:
    """What the trace says was tried again or waited for."""
    return [stamped.event.reason for stamped in answer.trace if isinstance(stamped.event, Retried)]


async def run(backend: Any, budget: Budget | None = None, **options: Any) -> Answer[Any]:
    """Run the task without tools and check its books."""
    made = agent(backend, tools=(), **{"resilience": STEADY, **options})
    scripted = backend if isinstance(backend, list) else [backend]
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        answer = await made.run(TASK, budget=budget or Budget(usd=1), scope=scope)
        await check_books(ledger, scope, *scripted)
    check_answer(answer)
    return answer


# ---------------------------------------------------------------- retries
@pytest.mark.parametrize("error", [SLOW, GONE, Unreachable("scripted", "no"), Overloaded("scripted", "busy")])
async def test_a_failure_that_may_pass_does_not_end_the_run_of_a_single_model(error: Exception) -> None:
    backend, start = ScriptedBackend([error, error, ANSWER]), anyio.current_time()
    answer = await run(backend)
    assert (answer.status, answer.text) == ("complete", ANSWER)
    assert anyio.current_time() - start == pytest.approx(1.5, abs=0.1)  # half a second, then one
    assert notes(answer) == [f"{error}; again in 0.5 s", f"{error}; again in 1 s"]


async def test_each_attempt_has_a_hold_of_its_own() -> None:
    backend = ScriptedBackend([Faulty("so far so", fail_after=2), SLOW, ANSWER], bill="full")
    answer = await run(backend)
    first, second, third = (r for r in answer.receipts if r.what == "model:scripted")
    assert first.estimated and first.charged == first.held
    assert second.charged == Cost(requests=1) and third.charged == backend.bill[-1].cost(backend.card.price)


async def test_what_will_not_pass_is_not_tried_again() -> None:
    backend = ScriptedBackend(BadRequest("scripted", "no credit"))
    with pytest.raises(BadRequest):
        await run(backend)
    assert len(backend.requests) == 1


async def test_the_error_tells_what_all_attempts_were_charged() -> None:
    backend = ScriptedBackend(SLOW)
    with pytest.raises(RateLimited) as caught:
        await run(backend)
    assert len(backend.requests) == 3 and caught.value.charged == Cost(requests=3)


async def test_no_retry_that_the_budget_does_not_afford() -> None:
    backend = ScriptedBackend(Faulty("word " * 50, fail_after=1), bill="full")
    with pytest.raises(BackendUnavailable):
        await run(backend, Budget(requests=2))
    assert len(backend.requests) == 2


async def test_a_long_retry_after_is_not_waited_for() -> None:
    backend, start = ScriptedBackend(RateLimited("scripted", "slow", retry_after=90)), anyio.current_time()
    with pytest.raises(RateLimited):
        await run(backend)
    assert len(backend.requests) == 1 and anyio.current_time() - start < 0.1


async def test_nor_one_past_the_deadline() -> None:
    backend, start = ScriptedBackend([RateLimited("scripted", "slow", retry_after=30)]), anyio.current_time()
    with pytest.raises(RateLimited):
        await run(backend, Budget(usd=1, seconds=20))
    assert anyio.current_time() - start < 0.1


async def test_with_another_model_to_ask_patience_is_shorter() -> None:
    small = ScriptedBackend(RateLimited("small", "slow", retry_after=30), card=card("small"))
    large, start = ScriptedBackend(ANSWER, card=card("large", "5")), anyio.current_time()
    answer = await run([small, large])
    assert answer.text == ANSWER and len(small.requests) == 1
    assert anyio.current_time() - start < 0.1


async def test_what_was_shown_is_not_said_again() -> None:
    backend = ScriptedBackend([Faulty("one two three", fail_after=2), "one two three"])
    made = agent(backend, tools=(), resilience=STEADY)
    seen: list[object] = []
    with pytest.raises(BackendUnavailable):
        async with made.stream(TASK) as events:
            async for event in events:
                seen.append(event)
    assert "".join(event.text for event in seen if isinstance(event, TextDelta)) == "one two "
    assert len(backend.requests) == 1


async def test_a_stream_that_showed_nothing_is_tried_again() -> None:
    backend = ScriptedBackend([Faulty("one two three", fail_after=0), "one two three"])
    async with agent(backend, tools=(), resilience=STEADY).stream(TASK) as events:
        last = [event async for event in events][-1]
    assert isinstance(last, Answer) and last.text == "one two three"


async def test_the_wrap_up_is_tried_again_under_a_new_hold() -> None:
    failures = iter([SLOW, SLOW])

    def fail_at_first(request: Request) -> Reply:
        reply = play(request)
        return next(failures, WRAPPED) if reply == WRAPPED else reply

    backend = ScriptedBackend(fail_at_first)
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        made = agent(backend, resilience=STEADY)
        answer = await made.run(TASK, budget=Budget(usd=1, tool_calls=1), scope=scope)
        await check_books(ledger, scope, backend)
    assert (answer.status, answer.text) == ("exhausted", WRAPPED)
    assert len([receipt for receipt in answer.receipts if receipt.charged == Cost(requests=1)]) == 2


async def test_an_answer_that_began_is_charged_whatever_ended_it() -> None:
    class Changing(ScriptedBackend):
        """Begins to answer, then says that it is too busy."""

        async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
            async for delta in super().stream(request):
                yield delta
                raise SLOW

    made = agent(Changing("one two three", bill="full"), tools=(), resilience=STEADY)
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        with pytest.raises(RateLimited):
            async with made.stream(TASK, scope=scope) as events:
                async for _ in events:
                    pass
        (receipt,) = [receipt for receipt in scope.receipts() if receipt.what == "model:scripted"]
    assert receipt.estimated and receipt.charged == receipt.held


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from([SLOW, GONE, BackendTimeout("scripted", "first_token", 1), ANSWER]), max_size=6),
    st.integers(0, 4_000),
    st.booleans(),
)
def test_never_over_budget_whatever_fails(script: list[Reply], tokens: int, full: bool) -> None:
    async def one() -> None:
        backend = ScriptedBackend([*script, ANSWER], bill="full" if full else "streamed")
        with Ledger.open() as ledger:
            scope = ledger.scope("application")
            try:
                await agent(backend, tools=(), resilience=STEADY).run(
                    TASK, budget=Budget(tokens=tokens), scope=scope
                )
            except (RateLimited, BackendUnavailable, BackendTimeout):
                pass
            await check_books(ledger, scope, backend)
            assert scope.view().spent["tokens"] <= tokens

    run_virtually(one)


# ---------------------------------------------------------------- gates
async def test_runs_of_one_agent_share_the_rate_limit() -> None:
    backend = ScriptedBackend(ANSWER)
    made = agent(Guarded(backend, limits=RateLimits(requests_per_minute=60)), tools=())
    start, ends = anyio.current_time(), list[float]()

    async def one() -> None:
        answer = await made.run(TASK)
        ends.append(anyio.current_time() - start)
        assert not answer.trace[-1].event.kind == "error"

    async with anyio.create_task_group() as group:
        for _ in range(40):
            group.start_soon(one)
    assert sorted(ends)[9] < 1 and sorted(ends)[-1] == pytest.approx(30, abs=1)


async def test_a_wait_is_told() -> None:
    made = agent(Guarded(ScriptedBackend(ANSWER), limits=RateLimits(requests_per_minute=2)), tools=())
    answers = [await made.run(TASK) for _ in range(3)]
    assert notes(answers[0]) == [] and "was waited for" in notes(answers[2])[0]


async def test_an_open_circuit_is_told_and_heeded_by_the_next_run() -> None:
    backend = ScriptedBackend([GONE, GONE, GONE, ANSWER, ANSWER])
    guarded = Guarded(backend, breaker=Breaker(least_calls=3, cool_down=4))
    made, start = agent(guarded, tools=(), resilience=STEADY), anyio.current_time()
    with pytest.raises(BackendUnavailable):
        await made.run(TASK)
    answer = await made.run(TASK)
    assert answer.text == ANSWER and anyio.current_time() - start == pytest.approx(1.5 + 4, abs=0.1)
    hasty = agent(guarded, tools=(), resilience=Resilience(retry=RetryPolicy.never()))
    guarded.gate.breaker.end(False, probe=True, now=anyio.current_time())
    with pytest.raises(CircuitOpen):
        await hasty.run(TASK)


async def test_a_call_turned_away_makes_the_window_smaller_and_says_so() -> None:
    made = agent(ScriptedBackend([SLOW, SLOW, ANSWER, ANSWER]), tools=(), resilience=STEADY)
    answers: list[Answer[Any]] = []

    async def one() -> None:
        answers.append(await made.run(TASK))

    async with anyio.create_task_group() as group:
        group.start_soon(one)
        group.start_soon(one)
    told = [note for answer in answers for note in notes(answer) if "turned a call away" in note]
    assert told == ["scripted turned a call away; at most 1 at once from now on"]
