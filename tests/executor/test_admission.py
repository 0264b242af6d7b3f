"""Which output cap a call is sent with: alone, beside others, behind the gate, and on the finish line."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

import anyio
import pytest

from agentkit.agent import Agent
from agentkit.answer import Answer
from agentkit.backends.fake import SCRIPTED, Reply, ScriptedBackend, calls
from agentkit.budgets import Ledger
from agentkit.costs import Budget, Cost
from agentkit.errors import ConfigError, ContextOverflow
from agentkit.executor.resilience import Resilience
from agentkit.messages import assistant, user
from agentkit.tools import Context, tool
from agentkit.trace import Dispatched, Extended
from agentkit.types import Request
from agentkit.usage import Bound
from tests.scenario import TASK, agent, card, check_answer, check_books
from tests.virtual import anyio_backend  # noqa: F401

pytestmark = pytest.mark.anyio

CAP, SHORT, LONG = 1_000, 40, 120


@dataclass(frozen=True, slots=True)
class Fan:
    """What came of a fan-out: the children's answers, what was sent for each call, and when it was over."""

    answers: Sequence[Answer[str]]
    caps: Sequence[int]
    seconds: float
    spent: int


async def fan_out(
    lengths: Sequence[int],
    tokens: int,
    replies: Sequence[Reply] = (),
    until: float = math.inf,
    bill: Literal["streamed", "full"] = "full",
    **knobs: object,
) -> Fan:
    """Let one agent learn that replies are short, then start one child for each of `lengths` at once.

    All of it is cancelled after `until` seconds.
    """

    def play(request: Request) -> Reply:
        number = int(request.messages[0].text)
        return replies[number] if replies else "word " * lengths[number]

    model, answers = ScriptedBackend(play, bill=bill, delay=0.1), []
    child = Agent(model, max_output_tokens=CAP, **knobs)  # type: ignore[arg-type]  # knobs of the agent
    for _ in range(20):
        child._lengths.observe(("scripted", False), SHORT, cut=False)

    @tool(timeout=None)
    async def hand_out(context: Context[None]) -> str:
        async def one(number: int) -> None:
            answers.append(await child.run(str(number), scope=context.scope))

        async with anyio.create_task_group() as group:
            for number in range(len(lengths)):
                group.start_soon(one, number)
        return "done"

    parent = ScriptedBackend([calls(("hand_out", {})), "Done."])
    started = anyio.current_time()
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        with anyio.move_on_after(until):
            answer = await Agent(parent, tools=[hand_out]).run(TASK, budget=Budget(tokens=tokens), scope=scope)
            check_answer(answer)
        await check_books(ledger, scope, model, parent, exact=until == math.inf)
        spent = scope.view().spent["tokens"]
    caps = [request.max_output_tokens for request in model.requests]
    return Fan(answers, caps, anyio.current_time() - started, spent)


async def test_without_a_quantile_calls_wait_for_the_whole_cap() -> None:
    fan = await fan_out([SHORT] * 6, 2_800, output_quantile=1.0)
    assert fan.caps == [CAP] * 6 and {answer.status for answer in fan.answers} == {"complete"}


async def test_beside_others_the_likely_cap_is_sent_and_more_calls_run_at_once() -> None:
    waiting = await fan_out([SHORT] * 6, 2_800, output_quantile=1.0)
    sharing = await fan_out([SHORT] * 6, 2_800, output_quantile=0.9)
    assert sharing.caps == [CAP] * 2 + [SHORT * 11 // 10] * 4
    assert sharing.seconds < waiting.seconds / 2 and sharing.spent == waiting.spent


async def test_a_metered_call_waits_for_its_whole_cap() -> None:
    fan = await fan_out([SHORT] * 6, 2_800, bill="streamed", output_quantile=0.9, finish_line_gate=40.0)
    assert fan.caps == [CAP] * 6 and {answer.status for answer in fan.answers} == {"complete"}


async def test_what_the_likely_cap_cuts_goes_on() -> None:
    fan = await fan_out([LONG] * 4, 2_800, output_quantile=0.9)
    assert [answer.text.split() for answer in fan.answers] == [["word"] * LONG] * 4
    assert len(fan.caps) > 4


async def test_what_cannot_be_gone_on_with_is_asked_for_under_the_wanted_cap() -> None:
    """Such as a tool call, whose arguments are no text to go on with."""
    replies = [calls(("look", {"why": "so " * LONG}))] * 3
    fan = await fan_out([LONG] * 3, 2_400, replies, output_quantile=0.9, max_steps=1)
    assert fan.caps == [CAP, CAP, SHORT * 11 // 10, CAP]


async def test_cancelled_at_any_time_while_calls_wait_share_and_go_on_nothing_stays_held() -> None:
    whole = await fan_out([LONG] * 6, 2_800, output_quantile=0.9)
    for percent in range(0, 100, 5):
        cut = await fan_out([LONG] * 6, 2_800, until=whole.seconds * percent / 100, output_quantile=0.9)
        assert len(cut.answers) < 6


@pytest.mark.parametrize(("gate", "rounds"), [(0.0, 1), (40.0, 6)])
async def test_the_gate_keeps_room_for_those_that_are_cut(gate: float, rounds: int) -> None:
    fan = await fan_out([SHORT] * 6, 2_500, output_quantile=0.9, finish_line_gate=gate)
    assert fan.seconds == pytest.approx(rounds * SHORT * 0.1, abs=0.5)


@pytest.mark.parametrize("words", [SHORT, CAP], ids=["first piece", "further piece"])
async def test_a_call_does_not_wait_for_others_whose_end_brings_it_no_room(words: int) -> None:
    """Its own budget is below its cap; what the other child holds is of another budget."""
    lengths, ends = {"long": CAP - 1, "short": words}, dict[str, float]()
    model = ScriptedBackend(lambda request: "word " * lengths[request.messages[-1].text], bill="full", delay=0.1)
    child = Agent(model, max_output_tokens=CAP)

    @tool(timeout=None)
    async def hand_out(context: Context[None]) -> str:
        async def one(task: str, budget: Budget) -> None:
            check_answer(await child.run(task, scope=context.scope, budget=budget))
            ends[task] = anyio.current_time()

        async with anyio.create_task_group() as group:
            group.start_soon(one, "long", Budget(tokens=2 * CAP))
            group.start_soon(one, "short", Budget(tokens=CAP // 2))
        return "done"

    parent = ScriptedBackend([calls(("hand_out", {})), "Done."])
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        await Agent(parent, tools=[hand_out]).run(TASK, budget=Budget(tokens=10 * CAP), scope=scope)
        await check_books(ledger, scope, model, parent, exact=True)
    assert [request.max_output_tokens for request in model.requests] == [CAP, CAP // 2 - 1]
    assert ends["short"] == pytest.approx(min(words, CAP // 2) * 0.1, abs=1)
    assert ends["long"] == pytest.approx(CAP * 0.1, abs=1)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"output_quantile": 1.5}, "output_quantile: a quantile lies above 0 and not above 1"),
        ({"finish_line_gate": -1.0}, "finish_line_gate is a number of calls such as 1.0"),
        ({"finish_line_gate": float("nan")}, "finish_line_gate is a number of calls such as 1.0"),
    ],
)
def test_knobs_out_of_range_are_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        agent(**knobs)


# ---------------------------------------------------------------- the finish line's room
async def test_the_only_call_of_a_run_may_have_what_is_kept_for_an_answer() -> None:
    subject = ScriptedBackend("word " * 200)
    least = agent(subject, tools=()).minimum(TASK)["tokens"]
    for tokens in range(least, least + 220, 10):
        backend = ScriptedBackend("word " * 200)
        with Ledger.open() as ledger:
            scope = ledger.scope("application")
            answer = await agent(backend, tools=()).run(TASK, budget=Budget(tokens=tokens), scope=scope)
            await check_books(ledger, scope, backend, exact=True)
        check_answer(answer)
        words = len(TASK.split())
        assert [request.max_output_tokens for request in backend.requests] == [tokens - words]
        assert len(answer.text.split()) == min(200, tokens - words)
        kinds = {type(stamped.event) for stamped in answer.trace}
        assert {Extended, Dispatched} <= kinds or tokens == least


async def test_a_call_that_may_ask_for_tools_leaves_the_finish_line_alone() -> None:
    backend = ScriptedBackend("word " * 200)
    least = agent(backend).minimum(TASK)["tokens"]
    answer = await agent(backend).run(TASK, budget=Budget(tokens=least))
    assert answer.stop_reason == "limit:tokens" and len(backend.requests) == 1
    assert "The budget is spent" in backend.requests[0].messages[-1].text


async def test_a_summary_of_the_conversation_leaves_the_finish_line_alone() -> None:
    """Whatever the budget: a summary takes the room of one answer and is none."""

    class Window(ScriptedBackend):
        def bound(self, request: Request) -> Bound:
            bound, window = super().bound(request), self.card.context_window
            if bound.input_tokens + request.max_output_tokens > window:
                raise ContextOverflow("scripted", bound.input_tokens + request.max_output_tokens, window)
            return bound

    def play(request: Request) -> str:
        return "Sorry." if "The budget is spent" in request.messages[-1].text else "word " * 200

    small = replace(SCRIPTED, context_window=900)
    history = [user("word " * 600), assistant("word " * 200)]
    for tokens in range(60, 1_000, 30):
        subject = agent(Window(play, card=small), tools=(), resilience=Resilience(on_overflow="summarise"))
        answer = await subject.run(TASK, history=history, budget=Budget(tokens=tokens))
        check_answer(answer)
        assert "There is no final answer" not in answer.text


async def test_a_call_that_the_deadline_may_cancel_leaves_the_finish_line_alone() -> None:
    def play(request: Request) -> str:
        return "Sorry." if "The budget is spent" in request.messages[-1].text else "word " * 200

    least = agent(ScriptedBackend(play), tools=()).minimum(TASK)["tokens"]
    for bill in ("full", "streamed"):
        for tokens in range(least, 1_000, 50):
            backend = ScriptedBackend(play, bill=bill, delay=0.1)
            answer = await agent(backend, tools=()).run(TASK, budget=Budget(tokens=tokens, seconds=3))
            check_answer(answer)
            assert answer.text == "Sorry."


async def test_the_finish_line_of_one_model_is_not_lent_to_another() -> None:
    """Its receipt would name the wrong one."""
    cheap, dear = (ScriptedBackend("", card=card(name, price)) for name, price in (("cheap", "1"), ("dear", "9")))
    for usd in range(100, 2_000, 100):
        budget = Budget(usd=Decimal(usd) / 1_000_000)
        answer = await Agent([cheap, dear], max_output_tokens=200).run(TASK, budget=budget)
        for backend in (cheap, dear):
            charges = (r.charged for r in answer.receipts if r.what.endswith(f":{backend.card.name}"))
            assert sum(charges, Cost()) == backend.billed
            backend.bill.clear()


async def test_a_lent_finish_line_that_brought_no_text_is_made_anew_from_what_is_left() -> None:
    backend = ScriptedBackend(["", "Sorry."])
    budget = Budget(tokens=2 * agent(backend, tools=()).minimum(TASK)["tokens"])
    answer = await agent(backend, tools=()).run(TASK, budget=budget)
    assert (answer.status, answer.text) == ("degraded", "Sorry.")
    check_answer(answer)


async def test_every_run_teaches_the_next_one_and_models_and_tools_apart() -> None:
    backend = ScriptedBackend(["word " * 30] * 10 + [calls(("find_order", {"number": 7})), "Done."])
    plain = agent(backend, tools=(), output_quantile=0.9, max_output_tokens=CAP)
    for _ in range(10):
        await plain.run(TASK)
    assert plain._lengths.likely(("scripted", False), CAP) == 33
    assert plain._lengths.likely(("scripted", True), CAP) == CAP == plain._lengths.likely(("other", False), CAP)
