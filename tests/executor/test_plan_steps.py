"""Steps of a plan through the public entry point: references, failures, shares, order, and what is left behind."""

from collections.abc import Callable

import anyio
import pytest

from agentkit.agent import Agent
from agentkit.answer import Answer
from agentkit.backends.fake import Faulty, ScriptedBackend
from agentkit.budgets import Ledger
from agentkit.costs import Budget
from agentkit.errors import BackendUnavailable, PlanError
from agentkit.planner import FixedPlanner, OnFailure, Plan, Ref, Step, ToolUse
from agentkit.tools import Tool, tool
from agentkit.trace import Failed, Retried, ToolFinished, ToolStarted
from tests.scenario import TASK, check_answer, check_books, unanswered_calls
from tests.virtual import anyio_backend  # noqa: F401

pytestmark = pytest.mark.anyio


class World:
    """Tools that take seconds, note when they ran, and fail as often as they are told."""

    def __init__(self, failures: dict[str, int] | None = None) -> None:
        self.log: list[tuple[float, str]] = []
        self.failures = failures or {}

        @tool
        async def work(name: str, seconds: float = 1.0, given: str = "") -> str:
            "Work."
            self.log.append((anyio.current_time(), f"+{name}"))
            await anyio.sleep(seconds)
            if self.failures.get(name, 0) > 0:
                self.failures[name] -= 1
                raise ValueError(f"{name} broke")
            self.log.append((anyio.current_time(), f"-{name}"))
            return f"{name}({given})" if given else name

        @tool
        async def add(numbers: list[float]) -> float:
            "Add."
            return sum(numbers)

        self.tools: tuple[Tool, ...] = (work, add)

    async def run(self, plan: Plan, budget: Budget | None = None, replies: object = "unused") -> Answer[str]:
        """Run `plan` and check all that holds for every run."""
        backend = ScriptedBackend(replies)  # type: ignore[arg-type]  # a script of any kind
        with Ledger.open() as ledger:
            scope = ledger.scope("application")
            agent = Agent(backend, tools=self.tools, planner=FixedPlanner(plan))
            answer = await agent.run(TASK, budget=budget or Budget(usd=1), scope=scope)
            await check_books(ledger, scope, backend)
        check_answer(answer)
        return answer


def call(name: str, *needs: str, seconds: float = 1.0, **options: object) -> Step:
    arguments = {"name": name, "seconds": seconds}
    return Step(name, needs=needs, call=ToolUse("work", arguments), seconds=seconds, **options)  # type: ignore[arg-type]


def plan(*steps: Step, concurrency: int | None = None) -> Plan:
    return Plan(steps, "as given", concurrency)


def failures(answer: Answer[str]) -> list[str]:
    return [stamped.event.where for stamped in answer.trace if isinstance(stamped.event, Failed)]


async def test_results_go_where_they_are_referred_to_with_their_type() -> None:
    world = World()
    answer = await world.run(
        plan(
            Step("a", call=ToolUse("add", {"numbers": [1, 2.5]})),
            Step("b", call=ToolUse("add", {"numbers": [Ref("a"), Ref("a"), 1]})),
            Step("c", call=ToolUse("work", {"name": Ref("b"), "given": "x"})),
        )
    )
    assert (answer.status, answer.text) == ("complete", "8.0(x)")
    assert [message.role for message in answer.messages] == ["user", *["assistant", "tool"] * 3, "assistant"]
    assert answer.messages[3].tool_calls[0].arguments == '{"numbers": [3.5, 3.5, 1]}'
    assert answer.spent["tool_calls"] == 3 and answer.spent["requests"] == 0


async def test_calls_of_one_depth_are_one_turn_of_the_conversation() -> None:
    answer = await World().run(plan(call("a"), call("b"), call("c", "a"), call("d", "b", "c")))
    turns = [[c.name for c in m.tool_calls] for m in answer.messages if m.tool_calls]
    assert [len(turn) for turn in turns] == [2, 1, 1]


@pytest.mark.parametrize("failing", range(8))
async def test_under_isolate_one_failing_tool_of_eight_leaves_the_others_finished(failing: int) -> None:
    world = World({f"s{failing}": 1})
    steps = [call(f"s{n}", on_failure=OnFailure("isolate")) for n in range(8)]
    lost = Step("lost", call=ToolUse("work", {"name": Ref(f"s{failing}")}), on_failure=OnFailure("isolate"))
    last = Step("last", "Sum up.", needs=tuple(step.id for step in (*steps, lost)))
    answer = await world.run(plan(*steps, lost, last), replies=lambda request: request.messages[-1].text)
    ended = {name[1:] for _, name in world.log if name[0] == "-"}
    assert ended == {f"s{n}" for n in range(8)} - {f"s{failing}"}
    assert answer.status == "complete" and answer.text.count("broke") == 1
    assert f"lost: step 's{failing}', whose result it needs, has none" in answer.text
    assert failures(answer) == [f"step:s{failing}", "step:lost"]


async def test_under_fail_fast_the_others_are_stopped_and_the_run_still_answers() -> None:
    world = World({"bad": 1})
    steps = (call("bad"), call("slow", seconds=50.0), call("last", "bad", "slow"))
    answer = await world.run(plan(*steps), replies="It broke.")
    assert (answer.status, answer.stop_reason, answer.text) == ("degraded", "failed", "It broke.")
    assert "bad broke" in answer.unmet[0]
    assert "-slow" not in [name for _, name in world.log]
    assert any("was cancelled" in message.text for message in answer.messages)


@pytest.mark.parametrize(("broken", "status"), [(2, "complete"), (3, "degraded")])
async def test_a_step_is_tried_again_and_each_try_is_paid(broken: int, status: str) -> None:
    world = World({"a": broken})
    answer = await world.run(plan(call("a", on_failure=OnFailure(retries=2)), call("b", "a")), replies="x")
    assert answer.status == status
    assert answer.spent["tool_calls[work]"] == (4 if status == "complete" else 3)
    assert sum(isinstance(stamped.event, Retried) for stamped in answer.trace) == 2


async def test_a_fallback_takes_the_place_of_what_failed() -> None:
    world = World({"a": 9})
    instead = OnFailure("isolate", 1, ToolUse("work", {"name": "instead", "given": Ref("z")}))
    last = Step("b", call=ToolUse("work", {"name": "b", "given": Ref("a")}))
    answer = await world.run(plan(call("z"), call("a", on_failure=instead), last))
    assert answer.text == "b(instead(z))" and answer.status == "complete"


@pytest.mark.parametrize("then", ["fail_fast", "isolate"])
async def test_a_tool_loop_that_no_model_carries_out_is_a_failure_like_any_other(then: str) -> None:
    down = BackendUnavailable("scripted", "down")

    def script(request: object) -> object:
        asked = request.messages[0].text  # type: ignore[attr-defined]
        return down if asked == "Find out." else f"seen: {asked}"

    steps = plan(
        Step("a", "Find out.", on_failure=OnFailure(then)),  # type: ignore[arg-type]  # one of the two
        Step("b", "Sum up.", needs=("a",)),
    )
    if then == "fail_fast":
        with pytest.raises(BackendUnavailable):
            await World().run(steps, replies=script)
    else:
        answer = await World().run(steps, replies=script)
        assert answer.text.startswith("seen: a: model 'scripted': down") and answer.status == "complete"


async def test_the_longest_path_goes_first_where_places_are_few() -> None:
    world = World()
    chain = (call("a"), call("b", "a", seconds=4.0), call("end", "b", "p", "q", "r"))
    short = (call("p"), call("q"), call("r"))
    await world.run(plan(*short, *chain, concurrency=2))
    assert world.log[0] == (0.0, "+a")
    assert world.log[-1][0] == 6.0  # as long as the longest path alone


async def test_at_most_so_many_run_at_a_time() -> None:
    world = World()
    await world.run(plan(*(call(f"s{n}") for n in range(7)), concurrency=3))
    running = most = 0
    for _, name in world.log:
        running += 1 if name[0] == "+" else -1
        most = max(most, running)
    assert most == 3 and world.log[-1][0] == 3.0


async def test_a_short_budget_is_kept_for_the_longest_path() -> None:
    world = World()
    chain = (call("a"), call("b", "a"), call("c", "b", seconds=2.0))
    answer = await world.run(plan(*(call(f"leaf{n}") for n in range(3)), *chain), Budget(tool_calls=4))
    assert {name[1:] for _, name in world.log} >= {"a", "b", "c"}
    assert answer.spent["tool_calls"] == 4
    assert answer.stop_reason == "limit:tool_calls"


async def test_what_is_under_way_ends_when_the_budget_does() -> None:
    world = World()
    steps = (call("a", seconds=5.0), call("b"), call("c", "b"), call("d", "a", "c"))
    answer = await world.run(plan(*steps), Budget(tool_calls=2), replies="Wrapped.")
    assert [name for _, name in world.log] == ["+a", "+b", "-b", "-a"]
    assert (answer.status, answer.text) == ("exhausted", "Wrapped.")


async def test_a_plan_cut_short_leaves_a_valid_conversation() -> None:
    world = World()
    steps = (call("a"), call("b", "a", seconds=100.0), call("c", "a", seconds=1.0), call("d", "b", "c"))
    answer = await world.run(plan(*steps), Budget(seconds=10), replies="Wrapped.")
    assert answer.stop_reason == "time" and unanswered_calls(answer.messages) == ()
    assert [message.role for message in answer.messages] == [
        "user", "assistant", "tool", "assistant", "tool", "tool", "assistant",
    ]  # fmt: skip
    assert "cancelled" in answer.messages[4].text and answer.messages[5].text == "c"


async def test_an_agent_in_a_step_is_spawned_within_a_share_and_joins_by_its_text() -> None:
    inner = ScriptedBackend(lambda request: f"told: {request.messages[-1].text} " + "word " * 2_000)
    helper = Agent(inner, name="helper")
    world = World()
    world.tools = (*world.tools, helper.as_tool())
    steps = plan(
        call("a"),
        Step("one", call=ToolUse("helper", {"task": Ref("a")}), needs=("a",)),
        Step("two", call=ToolUse("helper", {"task": "two"}), share=0.1),
        Step("end", "Join.", needs=("one", "two")),
    )
    answer = await world.run(steps, Budget(tokens=4_000), replies="joined")
    assert answer.text == "joined"
    by_step = {
        name: sum(r.charged["tokens"] for r in answer.receipts if f"/{name}/" in r.scope)
        for name in ("one", "two")
    }
    assert 0 < by_step["two"] <= 400 and 400 < by_step["one"] <= 2_000
    assert [request.messages[-1].text for request in inner.requests][:1] == ["two"]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (Step("x", call=ToolUse("wrok", {"name": "x"})), "did you mean 'work'"),
        (Step("x", call=ToolUse("work", {"nam": "x"})), "'name' is missing"),
        (Step("x", "t", on_failure=OnFailure(fallback=ToolUse("work", {"name": 1}))), "'name'"),
    ],
)
async def test_a_call_that_no_tool_takes_is_refused_before_anything_runs(step: Step, message: str) -> None:
    world = World()
    with pytest.raises(PlanError, match=message):
        await world.run(plan(call("a"), step))
    assert world.log == []


async def test_a_tool_that_the_plan_calls_is_not_left_out() -> None:
    @tool(cost={"usd": "0.4"})
    async def dear(name: str) -> str:
        "Dear."
        return f"dear {name}"

    world = World()
    world.tools = (dear, *world.tools)
    steps = plan(
        Step("a", call=ToolUse("dear", {"name": "x"})), Step("b", call=ToolUse("dear", {"name": Ref("a")}))
    )
    answer = await world.run(steps, Budget(usd="0.6"), replies="Wrapped.")
    assert (answer.status, answer.text, answer.spent["tool_calls"]) == ("exhausted", "Wrapped.", 1)
    answer = await world.run(
        steps, Budget(usd="0.3"), replies="Wrapped."
    )  # too little for the composer to choose it
    assert (answer.status, answer.spent["tool_calls"]) == ("exhausted", 0)


async def test_an_empty_result_is_a_result() -> None:
    world = World()

    @tool
    async def nothing() -> str:
        "Say nothing."
        return ""

    world.tools = (nothing,)
    steps = plan(Step("a", call=ToolUse("nothing", {})), Step("b", "Go on.", needs=("a",)))
    answer = await world.run(steps, replies=lambda request: request.messages[-1].text)
    assert (answer.status, answer.text) == ("complete", "a: \n\nGo on.")


@pytest.mark.parametrize(("numbers", "status"), [([40, 2], "complete"), ([0.5], "degraded")])
async def test_the_result_of_the_last_call_is_held_to_the_output_type(numbers: list[float], status: str) -> None:
    steps = plan(Step("a", call=ToolUse("add", {"numbers": numbers})))
    agent = Agent(ScriptedBackend("x"), tools=World().tools, planner=FixedPlanner(steps), output_type=int)
    answer = await agent.run(TASK, budget=Budget(usd=1))
    assert answer.status == status and bool(answer.unmet) == (status == "degraded")


async def test_an_agent_that_takes_the_place_of_a_call_has_a_share_too() -> None:
    inner = ScriptedBackend("word " * 2_000)
    world = World({"a": 1})
    world.tools = (*world.tools, Agent(inner, name="helper").as_tool())
    instead = OnFailure("isolate", fallback=ToolUse("helper", {"task": "instead"}))
    steps = plan(call("a", on_failure=instead), Step("end", "End.", needs=("a",)))
    answer = await world.run(steps, Budget(tokens=2_000), replies="ended")
    assert answer.text == "ended" and sum(usage.output_tokens for usage in inner.bill) <= 1_000


async def test_a_result_of_the_wrong_type_fails_the_step_that_takes_it() -> None:
    steps = plan(call("a"), Step("b", call=ToolUse("add", {"numbers": Ref("a")})))
    answer = await World().run(steps, replies="No sum.")
    assert (answer.status, answer.text) == ("degraded", "No sum.") and "numbers" in answer.unmet[0]


async def test_the_trace_has_every_call_after_what_it_needs() -> None:
    answer = await World().run(plan(call("a"), call("b", "a"), call("c", "a", "b")))
    kinds: list[Callable[..., object]] = [ToolStarted, ToolFinished]
    calls = [type(s.event) for s in answer.trace if type(s.event) in kinds]
    assert calls == kinds * 3


async def test_an_overbilled_step_ends_the_plan_with_what_is_known() -> None:
    steps = plan(call("a"), Step("b", "Sum up.", needs=("a",)), Step("c", "End.", needs=("b",)))
    backend = ScriptedBackend(Faulty("so", overbill=1_000.0))
    agent = Agent(backend, tools=World().tools, planner=FixedPlanner(steps))
    answer = await agent.run(TASK, budget=Budget(tokens=3_000))
    assert answer.stop_reason == "frozen" and "work(" in answer.text
