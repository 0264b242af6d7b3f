"""A run under every budget, deadline and cancellation: never over, always an answer, nothing left behind."""

from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.backends.fake import Faulty, Reply, ScriptedBackend, calls
from agentkit.backends.retry import RetryPolicy
from agentkit.budgets import Ledger
from agentkit.costs import Budget, Cost
from agentkit.errors import (
    BackendUnavailable,
    BudgetExceeded,
    ContextOverflow,
    Saturated,
    ScopeFrozen,
    UnboundedCost,
)
from agentkit.executor.resilience import Resilience
from agentkit.executor.turn import DEFAULT_OUTPUT
from agentkit.planner import Plan, Step
from agentkit.tools import tool
from agentkit.trace import Answered, Charged, Failed, Reserved, Settled, Voided
from agentkit.types import Completion, Request
from agentkit.usage import Bound
from tests.scenario import ANSWER, TASK, WRAPPED, agent, card, check_answer, check_books, play, unanswered_calls
from tests.virtual import in_virtual_time

pytestmark = pytest.mark.anyio

NEED = {
    "usd": 2_000_000,
    "tokens": 500,
    "input_tokens": 400,
    "output_tokens": 100,
    "requests": 3,
    "tool_calls": 2,
}
"""More than a run of the scenario with its finish line takes, by resource."""


def as_budget(limits: Mapping[str, int]) -> Budget:
    counts = {name: amount for name, amount in limits.items() if name != "usd"}
    usd = f"{limits['usd']}e-9" if "usd" in limits else None
    return Budget(usd=usd, **counts)  # type: ignore[arg-type]  # the keys are those of NEED


async def run_under(limits: Mapping[str, int]) -> str:
    """Run the scenario under `limits`, check all that must hold, and return the status."""
    backend = ScriptedBackend(play)
    subject = agent(backend)
    with Ledger.open() as ledger:
        scope = ledger.scope("application", limits=limits)
        answer = await subject.run(TASK, budget=as_budget(limits), scope=scope)
        check_answer(answer)
        await check_books(ledger, scope, backend, exact=True)
        assert scope.view().spent == answer.spent
    least = subject.minimum(TASK)
    feasible = all(least[name] <= limit for name, limit in limits.items())
    assert (answer.status == "infeasible") == (not feasible)
    if not feasible:
        short = {name for name, limit in limits.items() if least[name] > limit}
        assert answer.spent == Cost() and backend.requests == []
        assert answer.stop_reason in {f"infeasible:{name}" for name in short}
    elif answer.status == "exhausted":
        assert answer.stop_reason in {f"limit:{name}" for name in limits}
        assert answer.text == WRAPPED
    else:
        assert (answer.status, answer.stop_reason, answer.text) == ("complete", "answered", ANSWER)
    return answer.status


@pytest.mark.parametrize("resource", NEED)
async def test_every_budget_from_0_to_200_percent(resource: str) -> None:
    need = NEED[resource]
    amounts = range(0, 2 * need + 1, max(1, need // 40))
    statuses = [await run_under({resource: amount}) for amount in amounts]
    assert statuses[-1] == "complete"
    assert set(statuses) >= ({"complete", "exhausted"} if resource == "tool_calls" else {"infeasible", "complete"})


@settings(max_examples=60)
@given(limits=st.fixed_dictionaries({}, optional={name: st.integers(0, 2 * need) for name, need in NEED.items()}))
def test_budgets_in_several_dimensions(limits: dict[str, int]) -> None:
    anyio.run(run_under, limits)


@pytest.mark.parametrize("limits", [{"tokens": 1_500}, {"usd": 5_000_000}, {"output_tokens": 1_100}])
async def test_a_model_that_fills_every_cap_never_overspends(limits: dict[str, int]) -> None:
    for tenth in range(11):
        backend = ScriptedBackend("word " * 3_000)
        some = {name: limit * tenth // 10 for name, limit in limits.items()}
        with Ledger.open() as ledger:
            scope = ledger.scope("application", limits=some)
            answer = await agent(backend).run(TASK, budget=as_budget(some), scope=scope)
            await check_books(ledger, scope, backend, exact=True)
        check_answer(answer)


@in_virtual_time
async def test_a_refusal_is_raised_when_that_is_asked_for() -> None:
    with pytest.raises(BudgetExceeded, match="0 tool_calls left"):
        await agent().run(TASK, budget=Budget(tool_calls=1, on_limit="raise"))
    with pytest.raises(Saturated, match="requests free"):  # the one request there is belongs to the finish line
        await agent().run(TASK, budget=Budget(requests=1, on_limit="raise"))
    with pytest.raises(BudgetExceeded):
        await agent().run(TASK, budget=Budget(tokens=3, on_limit="raise"))
    with pytest.raises(BudgetExceeded, match="seconds"):
        await agent(ScriptedBackend(play, delay=1)).run(TASK, budget=Budget(seconds=0.05, on_limit="raise"))


# ---------------------------------------------------------------- prices
async def test_an_unknown_price_under_a_dollar_limit_is_refused_before_anything_is_sent() -> None:
    backend = ScriptedBackend(play, card=card("unpriced", None))
    with pytest.raises(UnboundedCost):
        await agent(backend).run(TASK, budget=Budget(usd=1))
    assert backend.requests == []
    assert (await agent(backend).run(TASK, budget=Budget(tokens=5_000))).status == "complete"


async def test_an_unpriced_model_is_not_taken_for_the_cheapest() -> None:
    free, paid = ScriptedBackend(play, card=card("unpriced", None)), ScriptedBackend(play, card=card("priced"))
    subject = agent([free, paid])
    assert subject.minimum(TASK)["usd"] > 0
    for usd in ("1", "0.0006"):  # with everything affordable, and with the composer having to choose
        answer = await subject.run(TASK, budget=Budget(usd=usd))
        assert answer.status in ("complete", "exhausted")
    assert free.requests == []


# ---------------------------------------------------------------- time
@in_virtual_time
async def test_a_slow_model_leaves_time_for_the_wrap_up() -> None:
    def script(request: Request) -> str:
        return WRAPPED if "The budget is spent" in request.messages[-1].text else "word " * 1_000

    backend = ScriptedBackend(script, delay=0.01)
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        with anyio.fail_after(0.6 + 0.2):
            answer = await agent(backend).run(TASK, budget=Budget(seconds=0.6), scope=scope)
        assert (answer.status, answer.stop_reason, answer.text) == ("exhausted", "time", WRAPPED)
        check_answer(answer)
        await check_books(ledger, scope, backend)


@in_virtual_time
async def test_a_slow_tool_is_cut_and_the_facts_before_it_are_kept() -> None:
    @tool
    async def wait() -> str:
        await anyio.sleep(60)
        return "never"

    script: list[Reply] = [calls(("find_order", {"number": 7})), calls(("wait", {})), WRAPPED]
    backend = ScriptedBackend(script)
    with anyio.fail_after(1):
        answer = await agent(backend, tools=(*agent().tools, wait)).run(TASK, budget=Budget(seconds=0.2))
    assert (answer.stop_reason, answer.text) == ("time", WRAPPED)
    assert "order 7 shipped" in backend.requests[-1].messages[-1].text
    check_answer(answer)


@in_virtual_time
async def test_a_wrap_up_that_is_late_gives_way_to_what_is_known() -> None:
    backend = ScriptedBackend("word " * 1_000, delay=0.02)
    with anyio.fail_after(0.5):
        answer = await agent(backend).run(TASK, budget=Budget(seconds=0.2))
    assert (answer.stop_reason, answer.text) == ("time", "There is no final answer.")
    check_answer(answer)


async def test_without_any_time_nothing_is_sent() -> None:
    backend = ScriptedBackend(play)
    answer = await agent(backend).run(TASK, budget=Budget(seconds=0))
    assert (answer.status, answer.stop_reason, answer.spent) == ("exhausted", "time", Cost())
    assert backend.requests == []
    check_answer(answer)


# ---------------------------------------------------------------- cancellation
async def cancel_after(steps: int, url: str, bill: str, streamed: bool, lent: bool, pause: float = 0) -> bool:
    """Cancel a run after so many pauses, by default turns of the loop; returns whether it was still going.

    Its budget is ample, or so small that its only call is `lent` the finish line.
    """
    backend = ScriptedBackend("word " * 60 if lent else play, bill="full" if bill == "full" else "streamed")
    subject, done = agent(backend, tools=()) if lent else agent(backend), False
    budget = Budget(tokens=subject.minimum(TASK)["tokens"] + 10) if lent else Budget(usd=1)
    with Ledger.open(url) as ledger:
        scope = ledger.scope(f"application-{steps}-{bill}-{streamed}")

        async def go() -> None:
            nonlocal done
            if streamed:
                async with subject.stream(TASK, budget=budget, scope=scope) as events:
                    async for _ in events:
                        pass
            else:
                await subject.run(TASK, budget=budget, scope=scope)
            done = True

        async with anyio.create_task_group() as group:
            group.start_soon(go)
            for _ in range(steps):
                await anyio.sleep(pause)
            group.cancel_scope.cancel()
        await check_books(ledger, scope, backend)
    return not done


@pytest.mark.parametrize("lent", [False, True])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("bill", ["streamed", "full"])
async def test_cancelled_at_every_await(bill: str, streamed: bool, lent: bool) -> None:
    steps = 0
    while await cancel_after(steps, "memory:", bill, streamed, lent):
        steps += 1
    assert steps > (20 if streamed else 1 if lent else 3)  # the loop did meet the awaits of a whole run


@pytest.mark.parametrize("lent", [False, True])
async def test_cancelled_on_a_ledger_in_a_file(tmp_path: Path, lent: bool) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    cancelled = [await cancel_after(steps, url, "full", False, lent, pause=0.001) for steps in range(0, 30, 2)]
    assert cancelled[0] and (cancelled[1] or lent)


class CancellingBackend(ScriptedBackend):
    """Is cancelled the moment its reply has come."""

    def __init__(self) -> None:
        super().__init__("Yes.")
        self.cancel_scope = anyio.CancelScope()

    async def complete(self, request: Request) -> Completion:
        completion = await super().complete(request)
        self.cancel_scope.cancel()
        return completion


async def test_usage_that_has_come_is_charged_exactly_even_when_cancelled(tmp_path: Path) -> None:
    backend = CancellingBackend()
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        scope = ledger.scope("application")
        with backend.cancel_scope:
            await agent(backend, tools=()).run(TASK, budget=Budget(usd=1), scope=scope)
        await check_books(ledger, scope, backend, exact=True)


# ---------------------------------------------------------------- failures
async def test_when_every_model_fails_the_error_carries_what_is_known() -> None:
    backend = ScriptedBackend([calls(("find_order", {"number": 7})), BackendUnavailable("scripted", "gone")])
    once = Resilience(retry=RetryPolicy.never())
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        with pytest.raises(BackendUnavailable) as caught:
            await agent(backend, resilience=once).run(TASK, budget=Budget(usd=1), scope=scope)
        await check_books(ledger, scope, backend)
    assert caught.value.partial is not None and "order 7 shipped" in caught.value.partial.message.text


async def test_a_reply_without_usage_is_charged_in_full_and_said_so() -> None:
    backend = ScriptedBackend(Faulty("Done.", drop_usage=True))
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        answer = await agent(backend).run(TASK, budget=Budget(tokens=900), scope=scope)
        await check_books(ledger, scope, backend)
    (receipt,) = [receipt for receipt in answer.receipts if receipt.what.startswith("model:")]
    assert receipt.estimated and receipt.charged == receipt.held


async def test_a_bill_above_the_bound_freezes_the_run_and_is_still_answered() -> None:
    backend = ScriptedBackend([Faulty(calls(("find_order", {"number": 7})), overbill=3.0), ANSWER])
    answer = await agent(backend).run(TASK, budget=Budget(tokens=700))
    assert (answer.status, answer.stop_reason) == ("exhausted", "frozen")
    assert len(backend.requests) == 1 and answer.text == "There is no final answer."
    assert sum((receipt.charged for receipt in answer.receipts), Cost()) == answer.spent


async def test_under_a_frozen_scope_a_run_is_infeasible_and_sends_nothing() -> None:
    backend = ScriptedBackend(play)
    with Ledger.open() as ledger:
        scope = ledger.scope("application", limits={"tokens": 5_000})
        await (await scope.reserve({"tokens": 1}, dispatch=True)).settle({"tokens": 6_000})
        answer = await agent(backend).run(TASK, scope=scope)
        assert (answer.status, answer.stop_reason, answer.spent) == ("infeasible", "infeasible:frozen", Cost())
        check_answer(answer)
        with pytest.raises(ScopeFrozen):
            await agent(backend).run(TASK, budget=Budget(on_limit="raise"), scope=scope)
    assert backend.requests == []


async def test_the_wrap_up_reads_a_long_fact_shortened() -> None:
    @tool
    async def read() -> str:
        "Read the report."
        return "START " + "filler " * 2_000

    script: list[Reply] = [calls(("read", {})), calls(("read", {})), "Short."]
    backend = ScriptedBackend(script)
    answer = await agent(backend, tools=(read,)).run(TASK, budget=Budget(tool_calls=1, tokens=50_000))
    assert (answer.text, answer.stop_reason) == ("Short.", "limit:tool_calls")
    prompt = backend.requests[-1].messages[-1].text
    assert "START" in prompt and len(prompt) < 6_000


class NarrowBackend(ScriptedBackend):
    """Takes at most 100 tokens of input."""

    def bound(self, request: Request) -> Bound:
        bound = super().bound(request)
        if bound.input_tokens > 100:
            raise ContextOverflow(self.card.name, bound.input_tokens, 100)
        return bound


async def test_a_conversation_that_outgrows_the_model_is_wrapped_up() -> None:
    @tool
    async def read() -> str:
        "Read the report."
        return "START " + "filler " * 2_000

    backend = NarrowBackend([calls(("read", {})), "Short."])
    answer = await agent(backend, tools=(read,)).run(TASK)
    assert (answer.status, answer.stop_reason, answer.text) == ("degraded", "context", "Short.")
    assert "START" in backend.requests[-1].messages[-1].text
    check_answer(answer)
    with pytest.raises(ContextOverflow):
        await agent(backend, tools=()).run("word " * 101)


async def test_a_run_without_an_answer_after_max_steps_is_wrapped_up() -> None:
    def script(request: Request) -> Reply:
        return (
            WRAPPED if "The budget is spent" in request.messages[-1].text else calls(("find_order", {"number": 1}))
        )

    answer = await agent(ScriptedBackend(script), max_steps=3).run(TASK)
    assert (answer.status, answer.stop_reason, answer.text) == ("degraded", "max_steps", WRAPPED)
    check_answer(answer)


@pytest.mark.parametrize(("reply", "code"), [("", "empty"), ("word " * 40, "truncated")])
async def test_a_reply_that_falls_short_is_degraded(reply: str, code: str) -> None:
    def script(request: Request) -> str:
        return WRAPPED if "The budget is spent" in request.messages[-1].text else reply

    answer = await agent(ScriptedBackend(script), max_output_tokens=20).run(TASK)
    assert (answer.status, answer.stop_reason) == ("degraded", code)
    assert answer.text == (reply[: 20 * len("word ")] if reply else WRAPPED)
    check_answer(answer)


# ---------------------------------------------------------------- plans
class TwoSteps:
    """Plans a draft and a typed conclusion from it."""

    async def plan(self, task: str, selection: object, view: object) -> Plan:
        return Plan((Step("draft", "Draft."), Step("end", "Conclude.", ("draft",))), "two steps")


async def test_only_the_last_step_has_to_satisfy_the_output_type() -> None:
    backend = ScriptedBackend(["free text", "[1, 2]"])
    answer = await agent(backend, tools=(), planner=TwoSteps(), output_type=list[int]).run(TASK)
    assert (answer.status, answer.output) == ("complete", [1, 2])  # type: ignore[comparison-overlap]  # a list here
    assert [request.output_schema is None for request in backend.requests] == [True, False]
    assert "draft: free text" in backend.requests[1].messages[-1].text
    assert answer.messages[-1].text == "[1, 2]"


class Fan:
    """Plans two steps side by side and a third that joins them."""

    async def plan(self, task: str, selection: object, view: object) -> Plan:
        return Plan((Step("a", "One."), Step("b", "Two."), Step("end", "Join.", ("a", "b"))), "a fan")


async def test_steps_side_by_side_have_shares_and_the_last_one_what_they_leave() -> None:
    backend = ScriptedBackend("Fine.")
    with Ledger.open() as ledger, anyio.fail_after(60):
        scope = ledger.scope("application")
        answer = await agent(backend, tools=(), planner=Fan()).run(TASK, budget=Budget(tokens=2_000), scope=scope)
        await check_books(ledger, scope, backend, exact=True)
    assert answer.status == "complete"
    one, two, last = (request.max_output_tokens for request in backend.requests)
    assert one == pytest.approx(1_875 / 3, rel=0.02) == two and last == DEFAULT_OUTPUT


@in_virtual_time
@pytest.mark.parametrize("tokens", [0, 60, 200, 600, 3_000])
async def test_runs_that_share_an_application_scope_never_overspend_it(tokens: int) -> None:
    subject, answers = agent(backend := ScriptedBackend(play)), []
    with Ledger.open() as ledger:
        scope = ledger.scope("application", limits={"tokens": tokens})

        async def go() -> None:
            answers.append(await subject.run(TASK, budget=Budget(tokens=2_000, seconds=1), scope=scope))

        async with anyio.create_task_group() as group:
            for _ in range(16):
                group.start_soon(go)
        await check_books(ledger, scope, backend, exact=True)
        assert sum((answer.spent for answer in answers), Cost()) == scope.view().spent
    for answer in answers:
        check_answer(answer)
        assert answer.status != "infeasible" or answer.spent == Cost()
    served = [answer for answer in answers if answer.status != "infeasible"]
    assert bool(served) == (tokens > 0) and (tokens < 3_000 or len(served) == 16)


# ---------------------------------------------------------------- trace
@pytest.mark.parametrize("budget", [Budget(usd=1), Budget(tool_calls=1), Budget(tokens=150)])
async def test_every_hold_in_the_trace_has_one_ending(budget: Budget) -> None:
    events = [stamped.event for stamped in (await agent().run(TASK, budget=budget)).trace]
    made = [event.hold for event in events if isinstance(event, Reserved)]
    ended = [event.hold for event in events if isinstance(event, Settled | Charged | Voided)]
    assert sorted(made) == sorted(ended) and len(set(made)) == len(made) > 0


async def test_the_trace_has_every_settlement_and_ends_with_the_answer() -> None:
    answer = await agent().run(TASK)
    settled = [stamped.event for stamped in answer.trace if isinstance(stamped.event, Settled)]
    assert sum((event.charged for event in settled), Cost()) == answer.spent
    last = answer.trace[-1].event
    assert isinstance(last, Answered) and (last.status, last.stop_reason) == ("complete", "answered")
    assert [stamped.seq for stamped in answer.trace] == list(range(len(answer.trace)))
    assert not any(isinstance(stamped.event, Failed) for stamped in answer.trace)


async def test_errors_other_than_budgets_come_out_as_themselves() -> None:
    class Broken:
        def next(self, *_: object) -> object:
            raise LookupError("router bug")

    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        with pytest.raises(LookupError):
            await agent(router=Broken()).run(TASK, scope=scope)
        await check_books(ledger, scope)


async def test_history_is_valid_whenever_the_run_stops() -> None:
    for tool_calls in range(4):
        answer = await agent().run(TASK, budget=Budget(tool_calls=tool_calls))
        assert unanswered_calls(answer.messages) == ()
        assert answer.messages[-1].role == "assistant" and answer.messages[-1].text == answer.text
