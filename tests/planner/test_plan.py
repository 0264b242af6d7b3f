"""Plans are checked when they are made."""

import anyio
import pytest

from agentkit.catalog import Selection
from agentkit.costs import Cost
from agentkit.errors import PlanError
from agentkit.planner import Plan, SingleStepPlanner, Step
from agentkit.types import ScopeView

BROKEN = {
    "no steps": ((), "at least one step"),
    "doubled id": ((Step("a", ""), Step("a", "")), "same id"),
    "unknown need": ((Step("a", "", ("b",)),), r"unknown steps \['b'\]"),
    "needs itself": ((Step("a", "", ("a",)),), "in a circle"),
    "cycle": ((Step("a", ""), Step("b", "", ("a", "c")), Step("c", "", ("b",))), "in a circle"),
    "doubled need": ((Step("a", ""), Step("b", "", ("a", "a"))), "names a need twice"),
}


@pytest.mark.parametrize(("steps", "message"), BROKEN.values(), ids=BROKEN)
def test_a_plan_that_cannot_run_is_refused(steps: tuple[Step, ...], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        Plan(steps, "broken")


def test_steps_may_come_before_what_they_need() -> None:
    plan = Plan((Step("b", "", ("a",)), Step("a", "")), "backwards")
    assert [step.id for step in plan.steps] == ["b", "a"]


def test_the_default_plan_is_one_step_with_the_task() -> None:
    view = ScopeView("scope", {}, Cost(), Cost(), Cost(), {})
    plan = anyio.run(SingleStepPlanner().plan, "Do it.", Selection(frozenset(), {}, 0.0, Cost()), view)
    assert plan.steps == (Step("main", "Do it."),)
