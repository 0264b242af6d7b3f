"""Plans that run: order, parallelism and failure on random graphs."""

from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.errors import BackendUnavailable, BudgetExceeded, PlanError
from agentkit.evals.benches.virtual_time import run_virtually
from agentkit.executor import StepResult
from agentkit.executor.plan_run import PlanRun, Results, run_plan
from agentkit.planner import Plan, Step
from tests.virtual import in_virtual_time

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
        self.failing = failing

    async def __call__(self, step: Step, results: Results) -> StepResult:
        self.log.append(("begin", step.id))
        assert set(step.needs) <= set(results)
        await anyio.lowlevel.checkpoint()
        if step.id == self.failing:
            raise BackendUnavailable("model", "down")
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


@settings(max_examples=60)
@given(plan=plans(), data=st.data())
def test_a_step_that_fails_stops_the_others_and_comes_out_as_itself(plan: Plan, data: st.DataObject) -> None:
    failing = data.draw(st.sampled_from([step.id for step in plan.steps]))
    steps = Steps(failing)
    with pytest.raises(BackendUnavailable):
        anyio.run(run_plan, plan, steps)
    below = {failing}
    for step in sorted(plan.steps, key=lambda step: int(step.id[1:])):
        if below & set(step.needs):
            below.add(step.id)
            assert ("begin", step.id) not in steps.log


@in_virtual_time
async def test_a_step_that_fails_ends_those_that_still_run() -> None:
    async def run_step(step: Step, results: Results) -> StepResult:
        await anyio.sleep(60 if step.id == "slow" else 0.001)
        raise BackendUnavailable("model", "down")

    with pytest.raises(BackendUnavailable), anyio.fail_after(5):
        await run_plan(Plan((Step("slow", ""), Step("quick", "")), "race"), run_step)


async def test_steps_that_are_ready_run_side_by_side() -> None:
    steps = Steps()
    plan = Plan((Step("a", ""), Step("b", ""), Step("c", ""), Step("end", "", ("a", "b", "c"))), "fan")
    await run_plan(plan, steps)
    assert [what for what, _ in steps.log[:6]] == ["begin"] * 3 + ["end"] * 3


@in_virtual_time
async def test_a_step_starts_the_moment_what_it_needs_is_done() -> None:
    order: list[str] = []

    async def run_step(step: Step, results: Results) -> StepResult:
        await anyio.sleep(0.05 if step.id == "slow" else 0)
        order.append(step.id)
        return StepResult("", "answered", ())

    plan = Plan(
        (Step("slow", ""), Step("quick", ""), Step("next", "", ("quick",)), Step("end", "", ("slow",))), ""
    )
    await run_plan(plan, run_step)
    assert order == ["quick", "next", "slow", "end"]


@st.composite
def timed_plans(draw: st.DrawFn) -> tuple[Plan, int]:
    """A plan whose steps take some seconds, and places for it."""
    drawn = draw(plans())
    steps = tuple(replace(step, seconds=float(draw(st.integers(1, 9)))) for step in drawn.steps)
    places = draw(st.integers(1, 4))
    return Plan(steps, "drawn", places), places


def critical_path(plan: Plan) -> float:
    by_id = {step.id: step for step in plan.steps}

    def end(step: Step) -> float:
        return step.seconds + max((end(by_id[need]) for need in step.needs), default=0.0)

    return max(map(end, plan.steps))


@settings(max_examples=100)
@given(timed_plans())
def test_no_schedule_is_longer_than_a_list_schedule_can_be(drawn: tuple[Plan, int]) -> None:
    plan, places = drawn
    running: set[str] = set()

    async def run_step(step: Step, results: Results) -> StepResult:
        running.add(step.id)
        assert len(running) <= places and set(step.needs) <= set(results)
        await anyio.sleep(step.seconds)
        running.remove(step.id)
        return StepResult(step.id, "answered", ())

    async def makespan() -> float:
        start = anyio.current_time()
        await run_plan(plan, run_step)
        return anyio.current_time() - start

    seconds = run_virtually(makespan)
    longest, work = critical_path(plan), sum(step.seconds for step in plan.steps)
    assert max(longest, work / places) - 1e-6 <= seconds
    assert seconds <= longest * (1 - 1 / places) + work / places + 1e-6


@settings(max_examples=60)
@given(drawn=timed_plans(), data=st.data())
def test_steps_may_be_added_while_others_run(drawn: tuple[Plan, int], data: st.DataObject) -> None:
    plan, places = drawn
    ordered = sorted(plan.steps, key=lambda step: int(step.id[1:]))
    pauses = [data.draw(st.integers(0, 12)) for _ in ordered]
    steps = Steps()

    async def feed(run: PlanRun) -> None:
        for step, pause in zip(ordered, pauses, strict=True):
            await anyio.sleep(pause)
            run.add(step)

    async def whole() -> PlanRun:
        run = PlanRun(steps, places)
        await run.run(feed)
        return run

    run = run_virtually(whole)
    assert set(run.results) == {step.id for step in ordered}
    assert sorted(steps.log) == sorted((what, step.id) for step in ordered for what in ("begin", "end"))


@in_virtual_time
async def test_the_feed_is_stopped_by_a_step_that_fails_and_its_own_error_comes_out_as_itself() -> None:
    async def endless(run: PlanRun) -> None:
        run.add(Step("a"))
        await anyio.sleep_forever()

    with pytest.raises(BackendUnavailable), anyio.fail_after(5):
        await PlanRun(Steps("a")).run(endless)

    async def broken(run: PlanRun) -> None:
        run.add(Step("a"))
        raise BudgetExceeded("scope", "tokens", 2, 1)

    run = PlanRun(steps := Steps())
    with pytest.raises(BudgetExceeded):
        await run.run(broken)
    assert steps.log == [("begin", "a"), ("end", "a")]  # it was under way


@pytest.mark.parametrize(
    ("steps", "message"),
    [((Step("a"), Step("a")), "'a' already"), ((Step("a"), Step("b", needs=("c",))), "'c', which is not in")],
)
async def test_what_cannot_be_added_is_refused(steps: tuple[Step, ...], message: str) -> None:
    async def feed(run: PlanRun) -> None:
        for step in steps:
            run.add(step)

    with pytest.raises(PlanError, match=message):
        await PlanRun(Steps()).run(feed)


async def test_a_new_step_moves_what_it_waits_for_to_the_front() -> None:
    steps = Steps()

    async def feed(run: PlanRun) -> None:
        run.add(Step("busy"), Step("a"), Step("b"))
        run.add(Step("c", needs=("b",)))

    await PlanRun(steps, 1).run(feed)
    assert [name for what, name in steps.log if what == "begin"] == ["busy", "b", "a", "c"]
