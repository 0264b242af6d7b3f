"""Plans are checked when they are made."""

import anyio
import pytest

from agentkit.catalog import Selection
from agentkit.costs import Cost
from agentkit.errors import ConfigError, PlanError
from agentkit.planner import OnFailure, Plan, Ref, SingleStepPlanner, Step, ToolUse
from agentkit.planner.policy import Planning
from agentkit.types import ScopeView

BROKEN = {
    "no steps": ((), "at least one step"),
    "doubled id": ((Step("a", ""), Step("a", "")), "same id"),
    "unknown need": ((Step("a", "", ("b",)),), r"unknown steps \['b'\]"),
    "needs itself": ((Step("a", "", ("a",)),), "in a circle"),
    "cycle": ((Step("a", ""), Step("b", "", ("a", "c")), Step("c", "", ("b",))), "in a circle"),
}


@pytest.mark.parametrize(("steps", "message"), BROKEN.values(), ids=BROKEN)
def test_a_plan_that_cannot_run_is_refused(steps: tuple[Step, ...], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        Plan(steps, "broken")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"id": "a/b"}, "letters, digits"),
        ({"needs": ("b", "b")}, "names a need twice"),
        ({"share": 0.0}, "above 0 and at most 1"),
        ({"seconds": -1.0}, "0 or more"),
    ],
)
def test_a_step_that_cannot_be_meant_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        Step(**{"id": "a", **options})  # type: ignore[arg-type]  # wrong on purpose


def test_limits_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(ConfigError, match="0 retries or more"):
        OnFailure("isolate", -1)
    with pytest.raises(ConfigError, match="max_replans of 0 or more"):
        Planning(max_replans=-1)
    with pytest.raises(PlanError, match="at least one step"):
        Plan((Step("a"),), "", concurrency=0)
    with pytest.raises(PlanError, match="stands alone"):
        Plan((Step("a", planning=Planning()), Step("b")), "")


def test_a_step_needs_what_its_call_and_its_fallback_refer_to() -> None:
    call = ToolUse("t", {"x": [Ref("b"), {"y": Ref("c")}], "z": Ref("b")})
    step = Step("a", needs=("d",), call=call, on_failure=OnFailure(fallback=ToolUse("t", {"x": Ref("e")})))
    assert step.needs == ("d", "b", "c", "e")


def test_steps_may_come_before_what_they_need() -> None:
    plan = Plan((Step("b", "", ("a",)), Step("a", "")), "backwards")
    assert [step.id for step in plan.steps] == ["b", "a"]


def test_the_default_plan_is_one_step_with_the_task() -> None:
    view = ScopeView("scope", {}, Cost(), Cost(), Cost(), {})
    plan = anyio.run(SingleStepPlanner().plan, "Do it.", Selection(frozenset(), {}, 0.0, Cost()), view)
    assert plan.steps == (Step("main", "Do it."),)
