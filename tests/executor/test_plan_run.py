"""Plans that run: order, parallelism and failure on random graphs."""

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.errors import BudgetExceeded
from agentkit.executor import StepResult, run_plan
from agentkit.planner import Plan, Step

pytestmark = pytest.mark.anyio


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    count = draw(st.integers(1, 8))
    steps = []
    for place in range(count):
        needs = draw(st.sets(st.sampled_from(range(place)), max_size=3)) if place else set()
        steps.append(Step(f"s{place}", f"task {place}", tuple(f"s{need}" for need in sorted(needs))))
    last = steps[-1]
    return Plan((*draw(st.permutations(steps[:-1])), last), "drawn")


class Steps:
    """Runs steps that take one tick, and notes when each began and ended."""

    def __init__(self, failing: str = "") -> None:
        self.log: list[tuple[str, str]] = []
        self.tasks: dict[str, str] = {}
        self.failing = failing

    async def __call__(self, step: Step, task: str) -> StepResult:
        self.log.append(("begin", step.id))
        self.tasks[step.id] = task
        await anyio.lowlevel.checkpoint()
        if step.id == self.failing:
            raise BudgetExceeded("scope", "tokens", 2, 1)
        self.log.append(("end", step.id))
        return StepResult(f"result of {step.id}", "answered", ())


@settings(max_examples=60)
@given(plan=plans())
def test_every_step_runs_once_after_what_it_needs(plan: Plan) -> None:
    steps = Steps()
    result = anyio.run(run_plan, plan, steps)
    assert result.text == f"result of {plan.steps[-1].id}"
    assert sorted(steps.log) == sorted((what, step.id) for step in plan.steps for what in ("begin", "end"))
    for step in plan.steps:
        for need in step.needs:
            assert steps.log.index(("end", need)) < steps.log.index(("begin", step.id))
            assert f"{need}: result of {need}\n" in steps.tasks[step.id]
        assert steps.tasks[step.id].endswith(step.task)


@settings(max_examples=60)
@given(plan=plans(), data=st.data())
def test_a_step_that_fails_stops_the_others_and_comes_out_as_itself(plan: Plan, data: st.DataObject) -> None:
    failing = data.draw(st.sampled_from([step.id for step in plan.steps]))
    steps = Steps(failing)
    with pytest.raises(BudgetExceeded):
        anyio.run(run_plan, plan, steps)
    below = {failing}
    for step in sorted(plan.steps, key=lambda step: int(step.id[1:])):
        if below & set(step.needs):
            below.add(step.id)
            assert ("begin", step.id) not in steps.log


async def test_a_step_that_fails_ends_those_that_still_run() -> None:
    async def run_step(step: Step, task: str) -> StepResult:
        await anyio.sleep(60 if step.id == "slow" else 0.001)
        raise BudgetExceeded("scope", "tokens", 2, 1)

    with pytest.raises(BudgetExceeded), anyio.fail_after(5):
        await run_plan(Plan((Step("slow", ""), Step("quick", "")), "race"), run_step)


async def test_steps_that_are_ready_run_side_by_side() -> None:
    steps = Steps()
    plan = Plan((Step("a", ""), Step("b", ""), Step("c", ""), Step("end", "", ("a", "b", "c"))), "fan")
    await run_plan(plan, steps)
    assert [what for what, _ in steps.log[:6]] == ["begin"] * 3 + ["end"] * 3


async def test_a_step_starts_the_moment_what_it_needs_is_done() -> None:
    order: list[str] = []

    async def run_step(step: Step, task: str) -> StepResult:
        await anyio.sleep(0.05 if step.id == "slow" else 0)
        order.append(step.id)
        return StepResult("", "answered", ())

    plan = Plan(
        (Step("slow", ""), Step("quick", ""), Step("next", "", ("quick",)), Step("end", "", ("slow",))), ""
    )
    await run_plan(plan, run_step)
    assert order == ["quick", "next", "slow", "end"]
