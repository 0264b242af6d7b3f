"""Plans on stand-ins: what cannot flow is found, what might is left alone, and the price is known beforehand."""

from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest
from typing_extensions import TypedDict

from agentkit.agent import Agent
from agentkit.backends.fake import ScriptedBackend
from agentkit.costs import Budget, Cost, nano_usd
from agentkit.planner import FixedPlanner, OnFailure, Plan, Ref, Step, ToolUse
from agentkit.planner.dry_run import DryRun, dry_run
from agentkit.planner.plan_text import read_plan, written
from agentkit.toolmaking import ToolMaking
from agentkit.tools import Registry, Tool, tool
from agentkit.tools.index import ToolSearch
from agentkit.tools.sandbox import Sandbox
from agentkit.types import ToolSpec


class Line(TypedDict):
    product: str
    quantity: int


@dataclass
class Order:
    customer: str
    lines: list[Line]
    paid: bool | None
    total: Decimal
    parent: "Order | None" = None


@tool(cost={"usd": "0.002"})
def order(number: int) -> Order:
    "An order."
    raise AssertionError("a dry run calls nothing")


@tool
def anything(number: int) -> dict[str, Any]:
    "A row."
    raise AssertionError


@tool
def text(number: int) -> str:
    "A text, which may hold JSON."
    raise AssertionError


@tool(cost={"usd": "0.001"})
def ship(
    name: str = "", count: int = 0, lines: list[Line] | None = None, how: Literal["air", "sea"] = "air",
    price: float = 0.0, flags: list[bool] | None = None,
) -> bool:  # fmt: skip
    "Ship."
    raise AssertionError


def untyped(arguments: Any, context: Any) -> Any:
    raise AssertionError


foreign = Tool(ToolSpec("foreign", "", {}), untyped, returns={"type": "array", "items": {"type": "integer"}})
helper = Agent(ScriptedBackend("unused"), name="helper").as_tool()
TOOLS = Registry([order, anything, text, ship, foreign, helper])


def flow(source: Tool, path: tuple[str | int, ...], argument: str) -> DryRun:
    first = {} if source is foreign else {"task": "x"} if source is helper else {"number": 1}
    use = ToolUse("ship", {argument: Ref("a", path)})
    return dry_run(Plan((Step("a", call=ToolUse(source.name, first)), Step("b", call=use)), "test"), TOOLS)


@pytest.mark.parametrize(
    ("source", "path", "argument"),
    [
        (order, ("customer",), "name"),
        (order, (), "name"),  # as JSON
        (order, ("lines",), "lines"),
        (order, ("lines", 3, "quantity"), "count"),
        (order, ("total",), "price"),
        (order, ("parent", "parent", "customer"), "name"),
        (order, ("customer",), "how"),  # it may be one of the two
        (anything, ("customer", 0, "id"), "count"),
        (text, (), "count"),
        (text, ("id",), "lines"),
        (foreign, (0,), "count"),
        (helper, (), "count"),
    ],
)
def test_what_may_flow_is_left_alone(source: Tool, path: tuple[str | int, ...], argument: str) -> None:
    assert flow(source, path, argument).problems == ()


@pytest.mark.parametrize(
    ("source", "path", "argument", "problem"),
    [
        (order, ("costumer",), "name", "has nothing at costumer; it has customer, lines, paid, total, parent"),
        (order, ("lines", "product"), "name", "has nothing at lines/product"),
        (order, (0,), "name", "has nothing at 0"),
        (order, ("customer", "name"), "name", "has nothing at customer/name"),
        (order, ("customer",), "count", "'count': input should be a valid integer"),
        (order, ("paid",), "count", "'count': input should be a valid integer"),
        (order, ("lines", 0), "lines", "'lines': input should be a valid array"),
        (order, ("lines",), "flags", "'flags.0': input should be a valid boolean"),
        (foreign, (), "count", "'count': input should be a valid integer"),
    ],
)
def test_what_cannot_flow_is_found(source: Tool, path: tuple[str | int, ...], argument: str, problem: str) -> None:
    (found,) = flow(source, path, argument).problems
    assert found.startswith("step 'b': ") and problem in found


def test_a_call_that_is_wrong_as_written_is_found_too() -> None:
    plan = Plan((Step("a", call=ToolUse("ordr", {})), Step("b", call=ToolUse("order", {}))), "test")
    first, second = dry_run(plan, TOOLS).problems
    assert "did you mean 'order'" in first and "'number'" in second
    assert dry_run(plan, TOOLS, others=True).problems == (second,)


def test_the_price_is_known_before() -> None:
    plan = Plan(
        (
            Step("a", call=ToolUse("order", {"number": 1}), on_failure=OnFailure(retries=2), seconds=3),
            Step("b", call=ToolUse("anything", {"number": 2}), seconds=4),
            Step(
                "c",
                call=ToolUse("ship", {"name": Ref("a")}),
                on_failure=OnFailure(fallback=ToolUse("order", {"number": 3})),
                seconds=2,
            ),
            Step("d", "Write it up.", needs=("b", "c")),
        ),
        "test",
    )
    found = dry_run(plan, TOOLS, lambda step: {"usd": nano_usd("0.01"), "requests": 4})
    assert [step.maximum.get("usd") for step in found.steps] == [6_000_000, 0, 3_000_000, 10_000_000]
    assert found.maximum == {"usd": 19_000_000, "requests": 4}  # nobody knows how many calls the task makes
    assert found.calls == Cost(
        {
            "usd": 3_000_000,
            "tool_calls": 3,
            "tool_calls[order]": 1,
            "tool_calls[anything]": 1,
            "tool_calls[ship]": 1,
        }
    )
    assert (found.critical_path, found.seconds) == (("a", "c", "d"), 6)


def test_an_agent_in_a_plan_has_no_bound_but_its_share() -> None:
    plan = Plan((Step("a", call=ToolUse("helper", {"task": "x"})),), "test")
    assert dry_run(plan, TOOLS).maximum == {}


def test_a_quote_has_the_fixed_plan_and_its_hard_maximum() -> None:
    plan = Plan(
        (
            Step("a", call=ToolUse("order", {"number": 1})),
            Step("b", call=ToolUse("ship", {"count": Ref("a", ("x",))})),
        ),
        "test",
    )
    agent = Agent(ScriptedBackend("unused"), tools=[order, ship], planner=FixedPlanner(plan))
    quote = agent.quote("Ship it.", budget=Budget.unlimited())
    assert quote.plan is not None and quote.plan.maximum["usd"] == 3_000_000
    assert quote.maximum["usd"] > 3_000_000 and quote.maximum["tool_calls"] == 2
    assert quote.problems == (
        "step 'b': the result of 'a' has nothing at x; it has customer, lines, paid, total, parent",
    )
    short = agent.quote("Ship it.", budget="usd=0.003,tool_calls=1")
    assert short.maximum["usd"] == 3_000_000 and len(short.problems) == 3
    assert "a final answer take $0.003" in short.problems[1] and "take 2 of 1 tool_calls" in short.problems[2]


def test_what_is_spent_beside_the_steps_of_a_plan_has_no_maximum(tmp_path: Path) -> None:
    plan, other = Plan((Step("a", "Ship it."),), "test"), Agent(ScriptedBackend("unused"), name="other")
    making = ToolMaking(other, (), tmp_path, sandbox=Sandbox("process"))
    for options in (
        {"handoffs": [other]},
        {"tool_making": making},
        {"tool_search": ToolSearch(1, model=ScriptedBackend("unused"))},
    ):
        agent = Agent(ScriptedBackend("unused"), planner=FixedPlanner(plan), **options)
        assert "usd" not in agent.quote("Ship it.", budget=Budget.unlimited()).maximum


def test_the_text_of_a_plan_is_quoted_too() -> None:
    agent = Agent(ScriptedBackend("unused"), tools=[order, ship])
    text = '{"id": "a", "tool": "order", "with": {"number": 1}}\n{"id": "b", "tool": "ship", "with": {"nam": ""}}'
    quote = agent.quote("Ship it.", plan=text)
    assert quote.plan is not None and [step.id for step in quote.plan.steps] == ["a"]
    assert len(quote.problems) == 1 and "'nam'" in quote.problems[0]
    assert agent.quote("Ship it.").plan is None


def test_a_step_is_written_as_it_is_read() -> None:
    steps = (
        Step("a", call=ToolUse("order", {"number": 1})),
        Step("b", call=ToolUse("ship", {"lines": [Ref("a", ("lines", 0))], "name": Ref("a")}), needs=("c",)),
        Step("c", "Find out.", needs=("a",)),
    )
    text = "\n".join(map(written, (steps[0], steps[2], steps[1])))
    read, problems = read_plan(text, TOOLS)
    assert problems == () and read is not None
    isolated = [replace(step, on_failure=OnFailure("isolate")) for step in (steps[0], steps[2], steps[1])]
    assert list(read.steps) == isolated
