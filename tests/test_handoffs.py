"""Hand-off: another agent goes on with the conversation, in the same scope, and its history stays valid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from agentkit import Agent, Answer, load, tool
from agentkit.backends.fake import ScriptedBackend, calls
from agentkit.budgets import Ledger
from agentkit.errors import ConfigError, SpecError
from agentkit.planner import BudgetAware, LLMPlanner
from agentkit.tools.index import ToolSearch
from agentkit.tools.policy import Policy, Rule
from agentkit.trace import Planned
from agentkit.types import Request
from tests.scenario import check_answer, check_books, unanswered_calls
from tests.virtual import anyio_backend  # noqa: F401

pytestmark = pytest.mark.anyio

TO_BILLING = calls(("hand_over_to_billing", {"reason": "an invoice"}))


@tool
async def find_invoice(number: int) -> str:
    "Find an invoice."
    return f"invoice {number} is paid"


@tool
async def greet() -> str:
    "Greet."
    return "hello"


def desk(first: Any, second: Any, **options: Any) -> tuple[Agent[Any], ScriptedBackend, ScriptedBackend]:
    """A desk that may hand over to billing, which has a tool of its own."""
    one, two = ScriptedBackend(first), ScriptedBackend(second)
    billing = Agent(two, name="billing", description="invoices", instructions="You bill.", tools=[find_invoice])
    return (
        Agent(one, name="desk", instructions="You greet.", tools=[greet], handoffs=[billing], **options),
        one,
        two,
    )


async def carried_out(agent: Agent[Any], *backends: ScriptedBackend, budget: str = "usd=1") -> Answer[Any]:
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        answer = await agent.run("Is invoice 7 paid?", budget=budget, scope=scope)
        await check_books(ledger, scope, *backends)
    check_answer(answer)
    return answer


async def test_the_other_agent_goes_on_with_the_whole_conversation() -> None:
    agent, one, two = desk(
        [calls(("greet", {})), TO_BILLING], [calls(("find_invoice", {"number": 7})), "It is paid."]
    )
    answer = await carried_out(agent, one, two)
    assert (answer.status, answer.text) == ("complete", "It is paid.")
    first = two.requests[0]
    assert [m.role for m in first.messages] == ["system", "user", "assistant", "tool", "assistant", "tool"]
    assert first.messages[0].text == "You bill." and first.messages[-1].text == "billing takes over: an invoice"
    assert [spec.name for spec in first.tools] == ["find_invoice"]
    assert [spec.name for spec in one.requests[0].tools] == ["greet", "hand_over_to_billing"]
    assert "invoices" in one.requests[0].tools[1].description
    assert answer.spent["requests"] == 4 and answer.spent["tool_calls"] == 3
    plans = [stamped.event.reason for stamped in answer.trace if isinstance(stamped.event, Planned)]
    assert plans[1] == "desk hands over to billing"


async def test_a_conversation_goes_to_one_agent_only() -> None:
    agent, one, two = desk(
        calls(("hand_over_to_billing", {"reason": "a"}), ("hand_over_to_other", {"reason": "b"})), "Mine."
    )
    other = ScriptedBackend("Never.")
    agent.handoffs.append(Agent(other, name="other"))
    answer = await carried_out(agent, one, two, other)
    assert answer.text == "Mine." and not other.requests
    assert [m.text for m in answer.messages if m.role == "tool"][1].startswith("Error")


@pytest.mark.parametrize("most", [1, 2, 5])
async def test_agents_do_not_hand_over_for_ever(most: int) -> None:
    def play(other: str) -> Any:
        def reply(request: Request) -> Any:
            wanted = f"hand_over_to_{other}"
            return calls((wanted, {"reason": "yours"})) if wanted in [t.name for t in request.tools] else "Mine."

        return ScriptedBackend(reply)

    one, two = play("b"), play("a")
    a, b = Agent(one, name="a", max_handoffs=most), Agent(two, name="b")
    a.handoffs.append(b)
    b.handoffs.append(a)
    answer = await carried_out(a, one, two)
    assert (answer.status, answer.text) == ("complete", "Mine.")
    assert answer.spent["tool_calls"] == most and len(one.requests) + len(two.requests) == most + 1


async def test_the_budget_of_the_run_holds_for_whoever_has_the_conversation() -> None:
    def endless(request: Request) -> Any:
        return calls(("find_invoice", {"number": 7})) if request.tools else "Known: paid."

    agent, one, two = desk([TO_BILLING], endless)
    answer = await carried_out(agent, one, two, budget="usd=1,tool_calls=4")
    assert answer.status == "exhausted" and answer.stop_reason == "limit:tool_calls"
    assert answer.spent["tool_calls"] == 4


async def test_the_time_that_ends_the_other_agent_leaves_a_valid_conversation() -> None:
    @tool
    async def wait() -> str:
        "Wait."
        await anyio.sleep(100)
        raise AssertionError("nobody waits so long")

    agent, one, two = desk([TO_BILLING, "Wrapped up."], [calls(("wait", {}))])
    agent.handoffs[0].tools = (wait,)
    answer = await carried_out(agent, one, two, budget="usd=1,seconds=10")
    assert answer.status == "exhausted" and unanswered_calls(answer.messages) == ()
    assert "billing takes over" in [m.text for m in answer.messages if m.role == "tool"][0]


async def test_the_answer_is_held_to_the_type_that_was_asked_for() -> None:
    class Paid(BaseModel):
        paid: bool

    agent, one, two = desk([TO_BILLING], ['{"paid": true}'], output_type=Paid)
    assert (await carried_out(agent, one, two)).output == Paid(paid=True)
    assert two.requests[0].output_schema is not None


@pytest.mark.parametrize("planner", [BudgetAware(3), LLMPlanner()], ids=["verified", "planned"])
async def test_every_planner_may_end_in_a_hand_over(planner: Any) -> None:
    first = (
        [TO_BILLING]
        if isinstance(planner, BudgetAware)
        else ['{"id": "a", "tool": "greet", "with": {}}', TO_BILLING]
    )
    agent, one, two = desk(first, "Mine.", planner=planner)
    answer = await carried_out(agent, one, two)
    assert (answer.status, answer.text) == ("complete", "Mine.")
    if isinstance(planner, LLMPlanner):  # a plan is no place to hand over in
        assert "hand_over" not in one.requests[0].messages[-1].text


async def test_a_search_never_hides_who_else_there_is() -> None:
    agent, one, two = desk([TO_BILLING], "Mine.", tool_search=ToolSearch(1))
    agent.tools = (greet, find_invoice)
    await carried_out(agent, one, two)
    assert [spec.name for spec in one.requests[0].tools] == ["find_invoice", "hand_over_to_billing"]


async def test_handing_over_washes_no_taint_off() -> None:
    agent, one, two = desk(
        [calls(("greet", {})), TO_BILLING],
        [calls(("find_invoice", {"number": 7})), "No."],
        policy=Policy({"hand_over_*": Rule("read"), "greet": Rule("read")}),
    )
    answer = await carried_out(agent, one, two)
    assert "may be the wish of whoever wrote" in [m.text for m in answer.messages if m.role == "tool"][-1]


async def test_what_an_agent_without_a_policy_read_taints_whoever_takes_over() -> None:
    agent, one, two = desk([calls(("greet", {})), TO_BILLING], [calls(("find_invoice", {"number": 7})), "No."])
    agent.handoffs[0].policy = Policy({"find_invoice": Rule("write")})
    answer = await carried_out(agent, one, two)
    assert "may be the wish of whoever wrote" in [m.text for m in answer.messages if m.role == "tool"][-1]


async def test_who_takes_over_before_anything_was_read_may_act() -> None:
    agent, one, two = desk([TO_BILLING], [calls(("find_invoice", {"number": 7})), "Yes."])
    agent.handoffs[0].policy = Policy({"find_invoice": Rule("write")})
    answer = await carried_out(agent, one, two)
    assert [m.text for m in answer.messages if m.role == "tool"][-1] == "invoice 7 is paid"


async def test_a_definition_may_hand_over_in_a_circle(tmp_path: Path) -> None:
    text = """\
version: 1
models: {small: {backend: local, zoo: pico}}
agents:
  desk: {model: small, handoffs: [billing], max_handoffs: 2}
  billing: {model: small, handoffs: [desk]}
entry: desk
"""
    (tmp_path / "a.yaml").write_text(text)
    agent = load(tmp_path / "a.yaml")
    assert agent.handoffs[0].handoffs == [agent] and agent.max_handoffs == 2

    (tmp_path / "a.yaml").write_text(text.replace("[billing]", "[biling]"))
    with pytest.raises(SpecError, match="did you mean 'billing'"):
        load(tmp_path / "a.yaml")


def test_no_hand_over_is_no_number_of_them() -> None:
    with pytest.raises(ConfigError, match="max_handoffs is 1 or more"):
        Agent(ScriptedBackend("x"), max_handoffs=0)
