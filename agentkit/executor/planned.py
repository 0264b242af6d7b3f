"""Carries out a task that a model plans, as `planner/llm.py` says.

Tool calls start while the plan is still being written. What has a share of the budget (agents, tool loops) starts
when the plan is whole, since only then is it known how many share. The joining turn is a turn of the tool loop, in
a conversation in which the plan's calls stand as if the model had made them one by one; it may answer, call
another tool, or write further steps. A plan of which nothing can be run leaves the task to the tool loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from agentkit.costs import NANO
from agentkit.errors import BackendError, BudgetError, RoutingError
from agentkit.executor.job import Job
from agentkit.executor.plan_run import PlanRun
from agentkit.executor.purse import Purse
from agentkit.executor.shares import Shares
from agentkit.executor.steps import Steps
from agentkit.executor.tool_loop import StepResult, opening, run_tool_loop
from agentkit.executor.transcript import Transcript
from agentkit.executor.turn import take_turn
from agentkit.messages import Message, user
from agentkit.planner import Plan, Step
from agentkit.planner.dry_run import dry_run
from agentkit.planner.llm import offer_prompt, planning_prompt, refining_prompt, repair_prompt, replan_prompt
from agentkit.planner.plan_text import PlanReader, written
from agentkit.planner.policy import Planning
from agentkit.refining import refine
from agentkit.routers import Decision, Outcome, Query, Router, Stop
from agentkit.tools import Registry
from agentkit.trace import Failed, Planned, Replanned
from agentkit.types import ModelCard, ScopeView

_PLAN = "plan"
Feed = Callable[[Steps, PlanRun], Awaitable[None]]
_ANSWER = Step("answer")
"""Has a part of the budget kept for it."""
_NO_PLAN = "it is a plan where the answer is due"
_ASKED, _SHORT = "the model asked for a plan", "the results do not suffice"
_UNPLANNABLE = (BudgetError, BackendError, RoutingError)


async def work_by_plan(job: Job, step: Step) -> StepResult:
    """Have `step` planned, run the plan, and answer; raises what the tool loop raises."""
    assert step.planning is not None
    return await _PlannedWork(job, step, step.planning).run()


class _PlannedWork:
    """One task from its first plan to its answer."""

    def __init__(self, job: Job, step: Step, planning: Planning) -> None:
        self._job, self._step, self._planning = job, step, planning
        self._reader = PlanReader(job.inner().tools, planning.on_failure, planning.max_steps)
        self._messages = opening(job, step.task)
        self._results: dict[str, StepResult] = {}
        self._fresh: list[str] = []  # the results that the model has not been told yet

    async def run(self) -> StepResult:
        if self._planning.asked:
            left = 1 + self._planning.max_replans  # the first plan comes as a further one would
        else:
            await self._round(self._write)
            left = self._planning.max_replans if self._reader.steps else 0
        while True:
            result = await self._join(may_replan=left > 0)
            further = self._further(result.text) if left else None
            if further is None:
                return result
            left = left - 1 if further else 0  # what cannot be run is not worth another try
            self._job.emit(Replanned(_needs(further), _ASKED if self._has_offer else _SHORT))
            self._messages = result.messages[:-1]  # the calls of the plan take its place
            await self._round(_given(further))

    async def _round(self, feed: Feed) -> None:
        """Run the steps that `feed` adds, and put what they gave into the conversation."""
        transcript, shares = Transcript(), Shares(self._job.scope)
        shares.expect(_ANSWER)
        steps = Steps(self._job, shares, transcript)
        run = PlanRun(steps, self._planning.concurrency, Purse.of(self._job), self._results)
        try:
            await run.run(partial(feed, steps))
        finally:
            self._fresh = [step_id for step_id in run.results if step_id not in self._results]
            self._results = run.results
            self._messages += transcript.messages()
            self._job.progress.messages = self._messages

    async def _write(self, steps: Steps, run: PlanRun) -> None:
        """Have the plan written, starting steps on the way; steps that cannot run may be corrected once."""
        prompt = planning_prompt(self._step.task, self._job.inner().tools, self._planning)
        messages, held = opening(self._job.inner(), prompt), list[Step]()

        def hear(piece: str) -> None:
            for step in self._reader.feed(piece):
                waits = self._planning.refine or steps.takes_share(step)
                if waits or any(other.id in step.needs for other in held):
                    held.append(step)
                else:
                    run.add(step)

        for _ in range(2):
            try:
                reply = await self._ask(messages, hear)
            except _UNPLANNABLE as error:  # what was written of it may run; else the tool loop meets the same
                self._job.emit(Failed(_PLAN, str(error)))
                break
            problems = self._reader.problems
            if not problems:
                break
            for problem in problems:
                self._job.emit(Failed(_PLAN, problem))
            messages = (*messages, reply, user(repair_prompt(problems)))
            self._reader.begin_again()
        if self._planning.refine and held:
            held = await self._refined(held)
        self._job.emit(Planned(_needs(self._reader.steps.values()), "planned by a model"))
        await _given(held)(steps, run)

    async def _refined(self, steps: list[Step]) -> list[Step]:
        """Show the model what its plan came to on stand-ins, until it would change nothing more."""
        job, planning = self._job.inner(), self._planning

        async def revise(draft: tuple[Step, ...]) -> tuple[Step, ...] | None:
            plan = "\n".join(map(written, draft))
            asked = refining_prompt(self._step.task, job.tools, planning, plan, _findings_of(job, draft))
            reader = PlanReader(job.tools, planning.on_failure, planning.max_steps)
            try:
                reader.feed((await self._ask(opening(job, asked))).text)
            except _UNPLANNABLE as error:
                job.emit(Failed(_PLAN, str(error)))
                return None
            return None if reader.problems else tuple(reader.steps.values()) or None

        refined = await refine(tuple(steps), revise, rounds=planning.refine)
        self._reader.steps = {step.id: step for step in refined.proposal}
        return list(refined.proposal)

    async def _ask(
        self, messages: tuple[Message, ...], hear: Callable[[str], None] = lambda piece: None
    ) -> Message:
        heard: list[str] = []

        def listen(piece: str) -> None:
            heard.append(piece)
            hear(piece)

        job = replace(self._job.inner(), tools=Registry(), hear=listen, router=_OneVoice(self._job.router, heard))
        outcome = await take_turn(job, _PLAN, self._step.task, messages, 0, set())
        assert outcome.completion is not None
        return outcome.completion.message

    async def _join(self, *, may_replan: bool) -> StepResult:
        """Answer from the results, or say in the form of a plan what else is to be done."""
        job, check, notes = self._job, self._job.check, self._findings()
        if may_replan:
            notes += [offer_prompt() if self._has_offer else replan_prompt()]
            job = replace(job, output_schema=None, check=lambda text: () if self._is_plan(text) else check(text))
        elif self._refuses_plans:
            job = replace(job, check=lambda text: (_NO_PLAN,) if self._is_plan(text) else check(text))
        if notes:
            self._messages += (user("\n\n".join(notes)),)
        return await run_tool_loop(job, self._step.id, self._step.task, self._messages)

    @property
    def _has_offer(self) -> bool:
        """Whether a plan may still be asked for: nothing of one has run."""
        return self._planning.asked and not self._results

    @property
    def _refuses_plans(self) -> bool:
        """Whether steps are no answer: further ones were asked for before, and no schema may want such a text."""
        asked = (self._planning.asked or self._planning.max_replans > 0) and bool(self._reader.steps)
        return asked and self._job.output_schema is None

    def _findings(self) -> list[str]:
        """Return what the tool loops of the plan found out; what tools gave is in the conversation already."""
        steps = (self._reader.steps[step_id] for step_id in self._fresh)
        return [f"{step.task}: {self._results[step.id].said}" for step in steps if step.call is None]

    def _further(self, text: str) -> list[Step] | None:
        """Return the further steps that `text` plans, none for a plan that cannot be run, None for an answer."""
        if self._job.output_schema is not None and not self._job.check(text):
            return None
        self._reader.begin_again()
        steps = self._reader.feed(text)
        return steps if steps or '"tool"' in text and self._reader.problems else None

    def _is_plan(self, text: str) -> bool:
        reader = PlanReader(self._job.inner().tools, self._planning.on_failure, self._planning.max_steps)
        return bool(reader.feed(text))


@dataclass(frozen=True, slots=True)
class _OneVoice:
    """A router of a call whose text is acted on as it comes: once one model has begun, no other begins anew."""

    router: Router
    heard: Sequence[str]

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        if seen and self.heard:
            whole = seen[-1].completion is not None
            return Stop(len(seen) - 1 if whole else None, "the plan has begun")
        return self.router.next(query, candidates, seen, view)


def _findings_of(job: Job, steps: tuple[Step, ...]) -> tuple[str, ...]:
    """Say what a plan came to on stand-ins: what cannot work, else what its calls cost beside what is left."""
    dry, left = dry_run(Plan(steps, "a draft"), job.tools), job.view().available
    costs = [f"{_amount(name, dry.calls[name])} of {_amount(name, left[name])} left" for name in left]
    return (*dry.problems, f"its calls cost {', '.join(costs) or 'nothing that is limited'}")


def _amount(resource: str, amount: int) -> str:
    return f"${amount / NANO:.6g}" if resource == "usd" else f"{amount} {resource}"


def _given(further: list[Step]) -> Feed:
    """Return the feed of steps that are known."""

    async def feed(steps: Steps, run: PlanRun) -> None:
        steps.expect(*further)
        run.add(*further)

    return feed


def _needs(steps: Iterable[Step]) -> Mapping[str, tuple[str, ...]]:
    return {step.id: step.needs for step in steps}
