"""Plans that a model writes: started on the way, repaired, gone on with, and never in the way of an answer."""

from collections.abc import Callable

import anyio
import pytest
from pydantic import BaseModel

from agentkit.agent import Agent
from agentkit.answer import Answer
from agentkit.backends.fake import Faulty, Reply, ScriptedBackend, calls
from agentkit.budgets import Ledger
from agentkit.catalog import Selection
from agentkit.costs import Budget, Cost
from agentkit.errors import BackendUnavailable
from agentkit.messages import assistant
from agentkit.planner import LLMPlanner
from agentkit.planner.llm import pays
from agentkit.tools import tool
from agentkit.trace import Failed, Planned, Replanned, Routed, ToolStarted
from agentkit.types import Completion, Request, ScopeView
from tests.scenario import card, check_answer, check_books
from tests.virtual import anyio_backend  # noqa: F401

pytestmark = pytest.mark.anyio

TASK = "What do a lamp and two chairs cost?"
PLAN = (
    '{"id": "lamp", "tool": "price", "with": {"item": "lamp"}}\n'
    '{"id": "chair", "tool": "price", "with": {"item": "chair"}}\n'
    '{"id": "sum", "tool": "total", '
    '"with": {"prices": [{"$from": "lamp"}, {"$from": "chair"}, {"$from": "chair"}]}}\n'
)
MORE = '{"id": "table", "tool": "price", "with": {"item": "table"}}'
started: list[tuple[str, float]] = []


@tool
async def price(item: str) -> int:
    "Price of an item."
    started.append((item, anyio.current_time()))
    await anyio.sleep(1)
    if item == "table":
        raise ValueError("no table")
    return {"lamp": 30, "chair": 20}[item]


@tool
async def total(prices: list[int]) -> int:
    "Sum of prices."
    started.append(("total", anyio.current_time()))
    return sum(prices)


async def ask(
    *replies: Reply | Callable[[Request], Reply],
    budget: Budget | None = None,
    delay: float = 0.0,
    **options: object,
) -> tuple[Answer[str], ScriptedBackend]:
    """Run the task on a model that gives `replies` in turn, and check the books."""
    started.clear()
    script = iter(replies)

    def play(request: Request) -> Reply:
        reply = next(script)
        return reply(request) if callable(reply) else reply

    backend = ScriptedBackend(play, delay=delay)
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        options = {"tools": (price, total), "planner": LLMPlanner(), **options}
        agent = Agent(backend, **options)  # type: ignore[arg-type]
        answer = await agent.run(TASK, budget=budget or Budget(usd=1), scope=scope)
        await check_books(ledger, scope, backend)
    check_answer(answer)
    assert next(script, None) is None
    return answer, backend


def last_text(request: Request) -> Reply:
    """Answer with the last result of a tool."""
    return next(message.text for message in reversed(request.messages) if message.role == "tool")


async def test_a_plan_is_made_run_and_answered_in_two_calls() -> None:
    answer, backend = await ask(PLAN, last_text)
    assert (answer.status, answer.text) == ("complete", "70")
    assert answer.spent["requests"] == 2 and answer.spent["tool_calls"] == 3
    asked, joined = (request.messages for request in backend.requests)
    assert "- price: Price of an item." in asked[-1].text and not backend.requests[0].tools
    assert [m.role for m in joined] == ["user", "assistant", "tool", "tool", "assistant", "tool", "user"]
    assert joined[0].text == TASK  # the joining turn is not shown the planning
    (planned,) = [s.event for s in answer.trace if isinstance(s.event, Planned)][1:]
    assert planned.needs == {"lamp": (), "chair": (), "sum": ("lamp", "chair")}


async def test_steps_start_while_the_plan_is_still_being_written() -> None:
    answer, _ = await ask(PLAN, "70", delay=1.0)
    (_, lamp), (_, chair), (_, total_) = started
    assert (lamp, chair, total_) == tuple(1.0 * len(" ".join(PLAN.splitlines()[:n]).split()) for n in (1, 2, 3))
    ends = [i for i, s in enumerate(answer.trace) if isinstance(s.event, Planned)][-1]
    assert sum(isinstance(s.event, ToolStarted) for s in answer.trace[:ends]) >= 2


async def test_steps_that_cannot_run_are_repaired_once() -> None:
    broken = PLAN.replace("total", "totl", 1)
    repaired = PLAN.splitlines()[2]
    answer, backend = await ask(broken, repaired, last_text)
    assert answer.text == "70" and answer.spent["requests"] == 3
    assert "did you mean 'total'" in backend.requests[1].messages[-1].text
    assert [name for name, _ in started] == ["lamp", "chair", "total"]  # what was right ran but once
    assert [s.event.where for s in answer.trace if isinstance(s.event, Failed)] == ["plan"]


async def test_what_stays_broken_is_left_out() -> None:
    broken = PLAN.replace("total", "totl", 1)
    answer, _ = await ask(broken, broken.splitlines()[2], "Lamp 30, chair 20.")
    assert answer.status == "complete" and [name for name, _ in started] == ["lamp", "chair"]


@pytest.mark.parametrize("nonsense", ["I shall look up both.", "{", '{"a": 1}', "$1 = price(lamp)"])
async def test_without_a_plan_the_tool_loop_does_the_work(nonsense: str) -> None:
    replies = [nonsense] * (2 if nonsense == '{"a": 1}' else 1)
    answer, backend = await ask(*replies, calls(("price", {"item": "lamp"})), last_text)
    assert (answer.status, answer.text) == ("complete", "30")
    assert backend.requests[-2].messages[-1].text == TASK and backend.requests[-2].tools


async def test_a_model_that_fails_before_it_plans_is_tried_in_the_tool_loop() -> None:
    answer, _ = await ask(*[BackendUnavailable("scripted", "down")] * 3, "30", resilience=None)
    assert (answer.status, answer.text) == ("complete", "30")


async def test_a_plan_cut_short_is_a_plan() -> None:
    cut = Faulty(PLAN, fail_after=14)
    answer, _ = await ask(cut, "Lamp 30, chair 20.")
    assert answer.status == "complete" and [name for name, _ in started] == ["lamp", "chair"]
    assert any(isinstance(s.event, Failed) and s.event.where == "plan" for s in answer.trace)


async def test_a_failed_step_is_told_and_a_further_plan_may_follow() -> None:
    further = '{"id": "b", "tool": "total", "with": {"prices": [{"$from": "lamp"}, 1]}}'
    answer, backend = await ask(PLAN.splitlines()[0] + MORE, further, last_text)
    assert (answer.status, answer.text) == ("complete", "31")
    told = backend.requests[1].messages
    assert any("no table" in message.text for message in told) and "plan further steps" in told[-1].text
    (again,) = [s.event for s in answer.trace if isinstance(s.event, Replanned)]
    assert again.needs == {"b": ("lamp",)}
    assert [m.role for m in answer.messages][-4:] == ["user", "assistant", "tool", "assistant"]


async def test_replans_have_an_end() -> None:
    answer, backend = await ask(PLAN, MORE, MORE.replace("table", "lamp"))
    assert answer.stop_reason == "invalid_output" and backend.requests[-1].messages[-1].role == "tool"
    assert [name for name, _ in started].count("lamp") == 1


async def test_a_further_plan_that_cannot_run_costs_one_turn() -> None:
    answer, _ = await ask(PLAN, '{"id": "x", "tool": "nope"}', "70")
    assert (answer.status, answer.text) == ("complete", "70")


async def test_the_joining_turn_may_use_tools_by_itself() -> None:
    answer, _ = await ask(PLAN, calls(("total", {"prices": [70, 5]})), last_text)
    assert answer.text == "75" and answer.spent["tool_calls"] == 4


async def test_tasks_of_a_plan_are_tool_loops_that_see_what_they_need() -> None:
    tasks = (
        '{"id": "a", "tool": "price", "with": {"item": "lamp"}}'
        '{"id": "b", "task": "Say it in words.", "needs": ["a"]}'
        '{"id": "c", "tool": "total", "with": {"prices": [1]}, "needs": ["b"]}'
    )

    def joined(request: Request) -> Reply:
        assert request.messages[-1].text.startswith("Say it in words.: thirty")
        return "thirty"

    answer, backend = await ask(tasks, "thirty", joined)
    assert answer.text == "thirty"
    assert backend.requests[1].messages[-1].text == "a: 30\n\nSay it in words."
    assert {r.scope.rpartition("/")[2] for r in answer.receipts if r.what.startswith("model:")} >= {"b"}


async def test_tasks_and_the_answer_share_what_is_free() -> None:
    two = '{"id": "a", "task": "Look around."}{"id": "b", "task": "Look again."}'
    _, backend = await ask(two, "a", "b", "both", budget=Budget(tokens=3_000), max_output_tokens=10_000)
    caps = [request.max_output_tokens for request in backend.requests[1:3]]
    assert all(600 < cap < 1_000 for cap in caps)


@pytest.mark.parametrize(
    "cut", [Faulty(PLAN, fail_after=14), Completion(assistant(PLAN), "content_filter")], ids=["broken", "filtered"]
)
async def test_a_plan_that_one_model_has_begun_is_not_begun_again_by_another(cut: Reply) -> None:
    first = ScriptedBackend([cut, "Lamp 30, chair 20."], card=card("first", price="0.1"))
    second = ScriptedBackend([], card=card("second"))
    agent = Agent([first, second], tools=(price, total), planner=LLMPlanner())
    answer = await agent.run(TASK, budget=Budget(usd=1))
    assert (answer.status, answer.text, second.requests) == ("complete", "Lamp 30, chair 20.", [])


async def test_a_model_that_need_not_stream_is_streamed_all_the_same() -> None:
    started.clear()
    backend = ScriptedBackend([PLAN, "70"], bill="full", delay=1.0)
    await Agent(backend, tools=(price, total), planner=LLMPlanner()).run(TASK, budget=Budget(usd=1))
    assert [at for _, at in started[:2]] == [7.0, 14.0]


async def test_a_plan_that_the_time_cuts_short_leaves_a_valid_conversation() -> None:
    answer, _ = await ask(PLAN, "Wrapped.", budget=Budget(seconds=1))
    assert (answer.stop_reason, answer.text) == ("time", "Wrapped.")
    assert [message.role for message in answer.messages] == ["user", "assistant", "tool", "tool", "assistant"]
    assert all("cancelled" in message.text for message in answer.messages if message.role == "tool")


class Sum(BaseModel):
    sum: int


async def test_typed_output_holds_for_the_answer_and_for_nothing_else() -> None:
    answer, backend = await ask(PLAN, '{"sum": 70}', output_type=Sum)
    assert answer.output == Sum(sum=70)  # type: ignore[comparison-overlap]
    assert backend.requests[0].output_schema is None and backend.requests[0].messages[0].role == "user"


class Todo(BaseModel):
    task: str


@pytest.mark.parametrize("further", [(), (MORE,)])
async def test_a_typed_answer_that_looks_like_a_step_is_an_answer(further: tuple[str, ...]) -> None:
    answer, _ = await ask(PLAN, *further, '{"task": "Buy."}', output_type=Todo)
    assert (answer.status, answer.output) == ("complete", Todo(task="Buy."))  # type: ignore[comparison-overlap]


async def test_an_answer_may_hold_json_where_no_further_plan_is_asked_for() -> None:
    answer, _ = await ask(PLAN, 'Noted: {"task": "Buy."}', planner=LLMPlanner(max_replans=0))
    assert (answer.status, answer.text) == ("complete", 'Noted: {"task": "Buy."}')


async def test_what_was_found_out_is_told_once() -> None:
    look = '{"id": "a", "task": "Look around."}'
    answer, backend = await ask(look, "a lamp", look.replace('"a"', '"b"'), "a chair", "both")
    told = [message.text for message in backend.requests[-1].messages if "Look around.: " in message.text]
    assert [text.partition("\n")[0] for text in told] == ["Look around.: a lamp", "Look around.: a chair"]


@pytest.mark.parametrize("tokens", range(100, 2_000, 150))
async def test_with_any_budget_the_books_are_right_and_there_is_an_answer(tokens: int) -> None:
    def play(request: Request) -> Reply:
        return PLAN if "plan the tool calls" in request.messages[-1].text else "70"

    backend = ScriptedBackend(play)
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        agent = Agent(backend, tools=(price, total), planner=LLMPlanner())
        answer = await agent.run(TASK, budget=Budget(tokens=tokens), scope=scope)
        await check_books(ledger, scope, backend)
    check_answer(answer)


def test_a_plan_pays_where_many_turns_would_read_a_long_prompt() -> None:
    errand = "Find the lamp, the chair and the table, then add them up."
    assert pays(errand, 2_000) and not pays(errand, 50)
    assert not pays("Find the lamp.", 2_000)


@pytest.mark.parametrize(("when", "task", "planned"), [("always", "x", True), ("pays", "x", False)])
async def test_a_plan_is_made_when_asked_for_or_when_it_pays(when: str, task: str, planned: bool) -> None:
    view = ScopeView("scope", {}, Cost(), Cost(), Cost(), {})
    selection = Selection(frozenset({"tool:a", "model:b"}), {}, 0.0, Cost(tokens=100))
    plan = await LLMPlanner(when=when).plan(task, selection, view)  # type: ignore[arg-type]  # one of the two
    assert (plan.steps[0].planning is not None) == planned


async def test_without_tools_there_is_nothing_to_plan() -> None:
    backend = ScriptedBackend("Hello.")
    answer = await Agent(backend, planner=LLMPlanner()).run("Hi.", budget=Budget(usd=1))
    assert answer.text == "Hello." and len(backend.requests) == 1
    assert sum(isinstance(s.event, Routed) and bool(s.event.model) for s in answer.trace) == 1


async def test_a_plan_is_refined_until_it_no_longer_changes() -> None:
    started.clear()
    draft = PLAN.replace('"tool": "total", "with"', '"tool": "total", "needs": ["lamp"], "with"').replace(
        "lamp", "table"
    )
    backend = ScriptedBackend([draft, PLAN, PLAN, "70 dollars."])
    planner = LLMPlanner(refine=5)
    answer = await Agent(backend, tools=[price, total], planner=planner).run(TASK, budget="usd=1,tool_calls=9")
    assert answer.text == "70 dollars." and [item for item, _ in started] == ["lamp", "chair", "total"]
    shown = backend.requests[1].messages[-1].text
    assert '"item": "table"' in shown and "3 tool_calls of 9 tool_calls left" in shown
    assert len(backend.requests) == 4
    check_answer(answer)


@pytest.mark.parametrize(
    "second", ["no plan at all", PLAN.replace("price", "prize"), BackendUnavailable("m", "gone")]
)
async def test_a_revision_that_cannot_run_leaves_the_plan_as_it_was(second: str | Exception) -> None:
    def reply(request: Request) -> Reply:
        text = request.messages[-1].text
        if "It was run on stand-ins" in text:
            return second
        return PLAN if "plan the tool calls" in text else "70 dollars."

    planner = LLMPlanner(refine=3, max_replans=0)
    answer = await Agent(ScriptedBackend(reply), tools=[price, total], planner=planner).run(TASK, budget="usd=1")
    assert answer.text == "70 dollars." and answer.spent["tool_calls"] == 3


async def test_a_model_asks_for_a_plan_or_does_not() -> None:
    planner = LLMPlanner(when="asked", max_replans=0)
    answer, backend = await ask(PLAN, last_text, planner=planner)
    assert answer.text == "70" and answer.spent["requests"] == 2 and answer.spent["tool_calls"] == 3
    first, joined = backend.requests
    assert first.tools and "you may plan" in first.messages[-1].text  # a tool loop that has been told how
    assert [m.role for m in joined.messages[-4:]] == ["tool", "tool", "assistant", "tool"]
    (event,) = [s.event for s in answer.trace if isinstance(s.event, Replanned)]
    assert event.reason == "the model asked for a plan"

    loop, backend = await ask(calls(("price", {"item": "lamp"})), "30", planner=planner)
    assert loop.text == "30" and len(backend.requests) == 2 and not loop.spent["tool_calls"] > 1

    again, _ = await ask(PLAN, PLAN, planner=planner)  # one plan was allowed, and a second is no answer
    assert again.status == "degraded" and again.spent["tool_calls"] == 3
