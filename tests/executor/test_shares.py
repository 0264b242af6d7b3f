"""Shares of a plan's steps: no step starves the rest, nothing is left lying, and no share passes the budget."""

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.backends.fake import Reply, ScriptedBackend, calls
from agentkit.budgets import Ledger
from agentkit.costs import Budget
from agentkit.errors import PlanError
from agentkit.planner import Plan, Step
from agentkit.tools import tool
from agentkit.trace import Failed
from agentkit.types import Request
from tests.executor.test_plan_run import plans
from tests.scenario import TASK, agent, check_answer, check_books, find_order
from tests.virtual import anyio_backend  # noqa: F401

pytestmark = pytest.mark.anyio

LOOK = calls(("find_order", {"number": 7}))


class Planned:
    """A planner of one plan."""

    def __init__(self, *steps: Step) -> None:
        self.steps = steps

    async def plan(self, task: str, selection: object, view: object) -> Plan:
        return Plan(self.steps, "as given")


CHAIN = Planned(
    Step("greedy", "Greedy."), Step("modest", "Modest.", ("greedy",)), Step("end", "End.", ("modest",))
)


def play(request: Request) -> Reply:
    """The greedy step never has enough; the others answer at once."""
    first = next(message for message in request.messages if message.role == "user")
    return LOOK if first.text == "Greedy." else f"done: {first.text.split()[-1]}"


@pytest.mark.parametrize("on_limit", ["answer", "raise"])
async def test_a_step_that_never_has_enough_does_not_starve_the_rest(on_limit: str) -> None:
    backend = ScriptedBackend(play)
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        subject = agent(backend, tools=(find_order,), planner=CHAIN, max_steps=1_000)
        budget = Budget(tokens=3_000, on_limit=on_limit)  # type: ignore[arg-type]  # one of the two
        answer = await subject.run(TASK, budget=budget, scope=scope)
        await check_books(ledger, scope, backend, exact=True)
    check_answer(answer)
    assert (answer.status, answer.text) == ("complete", "done: End.")
    assert [e.event.where for e in answer.trace if isinstance(e.event, Failed)] == ["step:greedy"]
    modest = next(r for r in backend.requests if r.messages[0].text.endswith("Modest."))
    assert "greedy: There is no final answer. Known so far:\n- find_order" in modest.messages[0].text
    spent = sum(receipt.charged["tokens"] for receipt in answer.receipts if receipt.scope.endswith("/greedy"))
    assert 800 < spent <= 1_000


async def test_a_step_hears_of_its_own_share_alone() -> None:
    """Not that it is HIGH again because the step before it ended LOW."""

    def script(request: Request) -> Reply:
        modest = request.messages[-1].role == "user" and request.messages[-1].text.endswith("Modest.")
        return LOOK if modest else play(request)

    backend = ScriptedBackend(script)
    subject = agent(backend, tools=(find_order,), planner=CHAIN, max_steps=1_000)
    await subject.run(TASK, budget=Budget(tokens=6_000))
    told = {"Greedy.": "", "Modest.": ""}
    for request in backend.requests:
        for task in told:
            if request.messages[0].text.endswith(task):
                told[task] = "".join(message.text for message in request.messages if message.role == "tool")
    assert "Budget LOW" in told["Greedy."]
    assert "order 7" in told["Modest."] and "Budget" not in told["Modest."]


async def test_what_a_step_leaves_over_flows_on() -> None:
    backend = ScriptedBackend("Fine.")
    await agent(backend, tools=(), planner=CHAIN).run(TASK, budget=Budget(tokens=1_600))
    caps = [request.max_output_tokens for request in backend.requests]
    assert caps[0] == pytest.approx(1_500 / 3, rel=0.05) and caps[1] == pytest.approx(1_500 / 2, rel=0.05)
    assert caps[2] == 1_024


async def test_a_step_of_three_times_the_weight_has_three_times_the_share() -> None:
    planner = Planned(Step("hard", "Hard.", weight=3), Step("end", "End.", ("hard",)))
    backend = ScriptedBackend("Fine.")
    await agent(backend, tools=(), planner=planner).run(TASK, budget=Budget(tokens=1_000))
    assert backend.requests[0].max_output_tokens == pytest.approx(940 * 3 / 4, rel=0.05)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_is_above_0(weight: float) -> None:
    with pytest.raises(PlanError, match="weight"):
        Step("hard", "Hard.", weight=weight)


async def test_what_a_running_step_may_yet_spend_is_not_given_to_others() -> None:
    @tool
    async def wait() -> str:
        await anyio.sleep(60)
        return "waited"

    def script(request: Request) -> Reply:
        return calls(("wait", {})) if request.messages[-1].text == "Slow." else "Fine."

    planner = Planned(
        Step("slow", "Slow."),
        Step("quick", "Quick."),
        Step("next", "Next.", ("quick",)),
        Step("end", "End.", ("slow", "next")),
    )
    backend = ScriptedBackend(script)
    subject = agent(backend, tools=(wait,), planner=planner, max_output_tokens=10_000)
    await subject.run(TASK, budget=Budget(tokens=8_000))
    (cap,) = (r.max_output_tokens for r in backend.requests if r.messages[-1].text.endswith("Next."))
    assert cap == pytest.approx(8_000 * 15 / 16 * 3 / 4 / 2, rel=0.02)  # a quarter is the slow step's


async def test_the_last_steps_limit_is_the_runs() -> None:
    planner = Planned(Step("modest", "Modest."), Step("end", "Greedy.", ()))
    answer = await agent(
        ScriptedBackend([*["fine"], *[LOOK] * 100]), tools=(find_order,), planner=planner, max_steps=1_000
    ).run(TASK, budget=Budget(tokens=2_000))
    assert (answer.status, answer.stop_reason) == ("exhausted", "limit:tokens")
    assert "order 7 shipped" in answer.text  # of facts that a step found out before its limit
    check_answer(answer)


@settings(max_examples=30)
@given(plan=plans(), tokens=st.integers(0, 1_500), greedy=st.integers(0, 7))
def test_on_any_plan_the_books_are_right_and_there_is_an_answer(plan: Plan, tokens: int, greedy: int) -> None:
    def script(request: Request) -> Reply:
        return LOOK if request.tools and f"task {greedy}" in request.messages[-1].text else "done"

    async def run() -> None:
        backend = ScriptedBackend(script)
        with Ledger.open() as ledger:
            scope = ledger.scope("application")
            subject = agent(backend, tools=(find_order,), planner=Planned(*plan.steps), max_steps=8)
            answer = await subject.run(TASK, budget=Budget(tokens=tokens), scope=scope)
            await check_books(ledger, scope, backend)
        check_answer(answer)

    anyio.run(run)
