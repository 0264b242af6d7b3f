"""The SDK's surface: streaming, synchronous runs, histories, default budgets, and agents as tools."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from agentkit.agent import Agent
from agentkit.answer import Answer
from agentkit.backends.fake import Faulty, ScriptedBackend, calls
from agentkit.backends.retry import RetryPolicy
from agentkit.budgets import Ledger
from agentkit.costs import Budget, Cost
from agentkit.errors import BackendUnavailable, ConfigError, NoEligibleModel
from agentkit.executor.offer import LEAST_OUTPUT
from agentkit.executor.resilience import Resilience
from agentkit.executor.turn import DEFAULT_OUTPUT
from agentkit.messages import user
from agentkit.routers import RuleRouter
from agentkit.run import is_inside_run
from agentkit.tools import Context, tool
from agentkit.trace import Event, RunStarted, Stamped, TextDelta, ToolFinished
from agentkit.types import Completion, Request
from tests.scenario import ANSWER, TASK, WRAPPED, agent, card, check_answer, check_books, find_order
from tests.virtual import in_virtual_time

pytestmark = pytest.mark.anyio


def test_models_need_names_of_their_own() -> None:
    with pytest.raises(ConfigError, match="two models are called .scripted.; give each card its own name"):
        Agent([ScriptedBackend("a"), ScriptedBackend("b")])
    with pytest.raises(ConfigError, match="one or more models"):
        Agent([])


def test_a_function_that_is_no_tool_is_refused() -> None:
    def search(query: str) -> str:
        return query

    with pytest.raises(ConfigError, match="search.* is not a tool; decorate the function with @tool"):
        Agent(ScriptedBackend("a"), tools=[find_order, search])  # type: ignore[list-item]  # the mistake


@in_virtual_time
async def test_the_error_of_a_failed_run_has_its_receipts() -> None:
    backend = ScriptedBackend([calls(("find_order", {"number": 7})), BackendUnavailable("scripted", "gone")])
    once = Resilience(retry=RetryPolicy.never())
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        with pytest.raises(BackendUnavailable) as caught:
            await agent(backend, resilience=once).run(TASK, budget=Budget(usd=1), scope=scope)
        assert sum((receipt.charged for receipt in caught.value.receipts), Cost()) == scope.view().spent != Cost()


# ---------------------------------------------------------------- streaming
async def test_stream_yields_typed_events_and_the_answer_last() -> None:
    async with agent().stream(TASK) as events:
        seen = [event async for event in events]
    assert isinstance(seen[0], RunStarted)
    assert all(isinstance(event, Event) for event in seen[:-1])
    assert isinstance(seen[-1], Answer) and seen[-1].text == ANSWER
    assert "".join(event.text for event in seen if isinstance(event, TextDelta)) == ANSWER
    assert [stamped.event for stamped in seen[-1].trace] == seen[:-1]


@in_virtual_time
async def test_leaving_a_stream_early_cancels_and_charges() -> None:
    backend = ScriptedBackend("word " * 500, bill="full", delay=0.05)
    with Ledger.open() as ledger, anyio.fail_after(5):  # the whole reply would take 25 s
        scope = ledger.scope("application")
        async with agent(backend).stream(TASK, budget=Budget(usd=1), scope=scope) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    break
        assert scope.view().spent["output_tokens"] >= 500
        await check_books(ledger, scope, backend)


async def test_an_error_of_the_run_comes_out_of_the_stream_as_itself() -> None:
    failing = agent(ScriptedBackend(BackendUnavailable("scripted", "gone")))
    with pytest.raises(BackendUnavailable):
        async with failing.stream(TASK) as events:
            async for _ in events:
                pass


async def test_an_error_of_the_reader_comes_out_of_the_stream_as_itself() -> None:
    with pytest.raises(LookupError):
        async with agent().stream(TASK) as events:
            async for _ in events:
                raise LookupError


async def test_an_error_of_the_run_that_was_handled_is_not_raised_again() -> None:
    failing = agent(ScriptedBackend(BackendUnavailable("scripted", "gone")))
    handled = False
    async with failing.stream(TASK) as events:
        try:
            async for _ in events:
                pass
        except BackendUnavailable:
            handled = True
    assert handled


async def test_a_stream_that_breaks_is_charged_in_full() -> None:
    backend = ScriptedBackend(Faulty("word " * 50, fail_after=10), bill="full")
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        with pytest.raises(BackendUnavailable):
            async with agent(backend).stream(TASK, scope=scope) as events:
                async for _ in events:
                    pass
        await check_books(ledger, scope, backend)


# ---------------------------------------------------------------- one call
def test_run_sync() -> None:
    subject = agent()
    assert [subject.run_sync(TASK).text for _ in range(2)] == [ANSWER, ANSWER]


async def test_run_sync_refuses_inside_an_event_loop() -> None:
    with pytest.raises(ConfigError, match="await agent.run"):
        agent().run_sync(TASK)


async def test_run_sync_works_in_a_thread_of_a_running_loop() -> None:
    assert (await anyio.to_thread.run_sync(agent().run_sync, TASK)).text == ANSWER


async def test_history_continues_a_conversation() -> None:
    backend = ScriptedBackend(["First.", "Second."])
    subject = agent(backend, tools=(), instructions="Be brief.")
    first = await subject.run("One?")
    await subject.run("Two?", history=first.messages)
    roles = [(message.role, message.text) for message in backend.requests[1].messages]
    assert roles == [
        ("system", "Be brief."),
        ("user", "One?"),
        ("assistant", "First."),
        ("user", "Two?"),
    ]


async def test_where_the_budget_comes_from_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTKIT_DEFAULT_BUDGET", "tokens=4000")
    answer = await agent().run(TASK)
    assert answer.budget_origin == "the project's default budget (tokens=4000, from AGENTKIT_DEFAULT_BUDGET)"
    started = answer.trace[0].event
    assert isinstance(started, RunStarted) and dict(started.limits) == {"tokens": 4000}
    assert (await agent(budget=Budget(tokens=5000)).run(TASK)).budget_origin == "the agent's budget"
    assert (await agent().run(TASK, budget=Budget(tokens=5000))).budget_origin == "the budget argument"


async def test_traces_go_to_the_sink_and_to_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Kept:
        def __init__(self) -> None:
            self.events: list[Stamped] = []
            self.closed = 0

        def write(self, stamped: Stamped) -> None:
            self.events.append(stamped)

        def close(self) -> None:
            self.closed += 1

    monkeypatch.setenv("AGENTKIT_TRACE_DIR", str(tmp_path))
    sink = Kept()
    answer = await agent(name="desk").run(TASK, trace=sink)
    assert tuple(sink.events) == answer.trace and sink.closed == 1
    assert len((tmp_path / "desk.jsonl").read_text().splitlines()) == len(answer.trace)


async def test_the_context_reaches_the_tool() -> None:
    scopes = []

    @tool
    async def whoami(context: Context[str]) -> str:
        assert context.scope is not None and is_inside_run(context.scope)
        scopes.append(context.scope)
        return context.value

    backend = ScriptedBackend([calls(("whoami", {})), "Done."])
    answer = await agent(backend, tools=(whoami,)).run(TASK, context="Ada")
    assert [e.event.content for e in answer.trace if isinstance(e.event, ToolFinished)] == ["Ada"]
    assert not is_inside_run(scopes[0])  # the run is over


# ---------------------------------------------------------------- agents inside agents
async def test_a_scope_of_the_users_own_is_not_taken_for_a_run() -> None:
    with Ledger.open() as ledger:
        assert not is_inside_run(ledger.scope("run-42"))


async def test_an_agent_as_a_tool_draws_from_its_callers_run() -> None:
    inner = ScriptedBackend("42", card=card("inner"))
    child = agent(inner, tools=(), name="expert")
    outer = ScriptedBackend([calls(("expert", {"task": "What?"})), "It is 42."], card=card("outer"))
    with Ledger.open() as ledger:
        scope = ledger.scope("application", limits={"tokens": 4_000})
        answer = await agent(outer, tools=(child.as_tool(),)).run(TASK, budget=Budget(tokens=3_000), scope=scope)
        await check_books(ledger, scope, inner, outer, exact=True)
    check_answer(answer)
    assert answer.text == "It is 42." and inner.requests[0].messages[-1].text == "What?"
    assert [receipt.what for receipt in answer.receipts].count("finish:outer") == 1
    assert not any(receipt.what == "finish:inner" for receipt in answer.receipts)


async def test_a_child_takes_what_is_left_rather_than_wait_for_the_finish_line() -> None:
    inner = ScriptedBackend("word " * 30, card=card("inner"))
    child = agent(inner, tools=(), name="expert")
    outer = ScriptedBackend([calls(("expert", {"task": "What?"})), "Done."], card=card("outer"))
    with anyio.fail_after(60):  # no deadline of its own: only the executor keeps it from waiting for ever
        answer = await agent(outer, tools=(child.as_tool(),)).run(TASK, budget=Budget(tokens=1_000))
    check_answer(answer)
    assert LEAST_OUTPUT <= inner.requests[0].max_output_tokens < DEFAULT_OUTPUT


async def spawn(children: int, tokens: int, url: str) -> Answer[str]:
    """Run an agent whose tool starts so many children at once under a tight budget, and check the books."""
    inner = ScriptedBackend("word " * 20, card=card("inner"), bill="full")
    child = agent(inner, tools=())

    @tool
    async def fan_out(context: Context[object]) -> int:
        answers: list[Answer[str]] = []

        async def go() -> None:
            answers.append(await child.run("Say something.", scope=context.scope))

        async with anyio.create_task_group() as group:
            for _ in range(children):
                group.start_soon(go)
        assert all(answer.text for answer in answers)
        return sum(answer.status == "complete" for answer in answers)

    def script(request: Request) -> str | Completion:
        if "The budget is spent" in request.messages[-1].text:
            return WRAPPED
        done = any(message.role == "tool" for message in request.messages)
        return "Done." if done else calls(("fan_out", {}))

    outer = ScriptedBackend(script, card=card("outer"))
    with Ledger.open(url) as ledger, anyio.fail_after(60):
        scope = ledger.scope("application", limits={"tokens": tokens})
        answer = await agent(outer, tools=(fan_out,)).run(TASK, budget=Budget(tokens=tokens), scope=scope)
        check_answer(answer)
        await check_books(ledger, scope, inner, outer, exact=True)
    return answer


@pytest.mark.parametrize("tokens", [300, 900, 1_300, 2_600, 40_000])
async def test_32_children_at_once_never_overspend(tokens: int) -> None:
    answer = await spawn(32, tokens, "memory:")
    results = [event.event.content for event in answer.trace if isinstance(event.event, ToolFinished)]
    if tokens >= 2_600:  # room for two full holds at a time, and for what all of them bill
        assert results[0].startswith("32")


async def test_children_on_a_ledger_in_a_file(tmp_path: Path) -> None:
    answer = await spawn(8, 2_600, f"sqlite:///{tmp_path}/ledger.db")
    results = [event.event.content for event in answer.trace if isinstance(event.event, ToolFinished)]
    assert results[0].startswith("8")


async def test_a_child_that_fails_is_a_tool_error_for_its_caller() -> None:
    child = agent(ScriptedBackend(BackendUnavailable("inner", "gone"), card=card("inner")), name="expert")
    outer = ScriptedBackend([calls(("expert", {"task": "What?"})), "It failed."], card=card("outer"))
    answer = await agent(outer, tools=(child.as_tool(),)).run(TASK)
    (result,) = [event.event for event in answer.trace if isinstance(event.event, ToolFinished)]
    assert result.is_error and "gone" in result.content and answer.status == "complete"


async def test_a_child_is_not_called_without_a_task() -> None:
    inner = ScriptedBackend("42", card=card("inner"))
    outer = ScriptedBackend([calls(("expert", {"question": "What?"})), "Never mind."], card=card("outer"))
    expert = agent(inner, tools=(), name="expert").as_tool()
    answer = await agent(outer, tools=(expert,)).run(TASK)
    (result,) = [event.event for event in answer.trace if isinstance(event.event, ToolFinished)]
    assert "'task' is missing" in result.content and answer.spent["tool_calls"] == 0
    assert inner.requests == []


async def test_minimum_sends_nothing_and_is_what_the_ledger_takes() -> None:
    backend = ScriptedBackend(WRAPPED)
    subject = agent(backend, tools=(find_order,), instructions="Be brief.")
    least = subject.minimum(TASK)
    assert backend.requests == [] and least["requests"] == 1
    answer = await subject.run(TASK, budget=Budget(tokens=least["tokens"]))
    assert (answer.status, answer.text) == ("exhausted", WRAPPED) and answer.spent.minus(least) == Cost()


def test_history_may_be_written_by_hand() -> None:
    backend = ScriptedBackend("Yes.")
    agent(backend, tools=()).run_sync("Sure?", history=[user("Earlier.")])
    assert [message.text for message in backend.requests[0].messages] == ["Earlier.", "Sure?"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 0.05}, "not 0.05"),
        ({"budget": {"usd": 1}}, "Budget or text such as"),
        ({"budget": "usd=much"}, "usd must be dollars"),
    ],
)
async def test_a_budget_that_is_none_is_refused_before_anything_is_sent(
    options: dict[str, Any], message: str
) -> None:
    backend = ScriptedBackend("Hello.")
    with pytest.raises(ConfigError, match=message):
        await agent(backend).run(TASK, **options)
    assert backend.requests == []


async def test_a_budget_may_be_written_as_text() -> None:
    answer = await agent(ScriptedBackend("Hello."), budget="tokens=4000").run(TASK)
    assert answer.trace[0].event.limits == {"tokens": 4000}  # type: ignore[attr-defined]  # the first is RunStarted


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".hidden", "x" * 65])
def test_a_name_that_could_leave_the_trace_folder_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="agent name"):
        agent(ScriptedBackend("Hello."), name=name)


async def test_a_task_is_text() -> None:
    with pytest.raises(ConfigError, match="a task is text, not list"):
        await agent(ScriptedBackend("Hello.")).run(["Hello."])  # type: ignore[arg-type]


@in_virtual_time
async def test_a_metered_call_that_is_cut_short_is_charged_what_it_used() -> None:
    """The provider stops billing at the disconnect, and each delta says what it has billed by then."""
    backend = ScriptedBackend("word " * 500, delay=0.002, bill="streamed")
    answer = await agent(backend, tools=()).run(TASK, budget=Budget(tokens=4_000, seconds=0.2))
    assert answer.status == "exhausted" and answer.stop_reason == "time"
    cut = next(receipt for receipt in answer.receipts if receipt.what == "model:scripted")
    assert not cut.estimated and 0 < cut.charged["output_tokens"] < 400
    assert answer.spent == backend.billed


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"model": None}, "None is no model; take 'openai:MODEL'"),
        ({"model": []}, "needs one or more models"),
        ({"router": "rules"}, "'rules' is no router; it needs a method next"),
        ({"planner": "plan"}, "'plan' is no planner; it needs a method plan"),
    ],
)
def test_what_is_no_part_of_an_agent_is_named(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Agent(**{"model": ScriptedBackend("ok")} | wrong)


async def test_a_router_that_names_another_model_is_pointed_at() -> None:
    with pytest.raises(NoEligibleModel, match="scripted: the router ruled it out: it does not name the model"):
        await Agent(ScriptedBackend("ok"), router=RuleRouter(["scribted"])).run("Hello", budget=Budget(usd="0.05"))
