"""Runs the steps of a plan: tool calls, agents and tool loops, each with what is to be done when it fails.

A step that calls an agent spawns it: the agent sees the task it is given and nothing else, works within a share of
the budget, and joins by the text it answers. Agents have no other way to run side by side.
"""

from __future__ import annotations

import json

from agentkit.errors import BackendError, PlanError, RoutingError, ToolNotFound
from agentkit.executor.job import Job
from agentkit.executor.plan_run import Results
from agentkit.executor.proposals import work_on
from agentkit.executor.shares import Shares
from agentkit.executor.tool_loop import StepResult
from agentkit.executor.tool_use import use_tool
from agentkit.executor.transcript import Transcript
from agentkit.messages import ToolCall
from agentkit.planner import Step, ToolUse
from agentkit.planner.check import value_of
from agentkit.trace import Failed, Retried

_WITHOUT_RESULT = ("failed", "skipped")


class Steps:
    """The runner of a plan's steps; `answers` is the step whose text is the answer of the run, if one is."""

    def __init__(self, job: Job, shares: Shares, transcript: Transcript, answers: str | None = None) -> None:
        self._job, self._inner, self._shares, self._transcript = job, job.inner(), shares, transcript
        self._answers = answers
        self._spenders = {tool.name for tool in job.tools if tool.spends}
        self._calls = 0

    async def __call__(self, step: Step, results: Results) -> StepResult:
        """Run `step`, again if it fails, then its fallback; raises the refusal of the run's budget.

        A tool loop that fails for want of a model raises too, unless `on_failure` has more to say.
        """
        policy, result, error = step.on_failure, None, None
        for _ in range(1 + policy.retries):
            if result is not None:
                self._job.emit(Retried(step.id, result.problems[0]))
            try:
                result, error = await self._once(step, results), None
            except (BackendError, RoutingError) as failure:
                result, error = _failed(str(failure)), failure
            if result.ended != "failed":
                break
        assert result is not None
        instead = policy.fallback
        if instead is not None and result.ended in _WITHOUT_RESULT and _is_supplied(instead, results):
            self._job.emit(Retried(step.id, f"{result.problems[0]}; now {instead.tool}"))
            result, error = await self._use(step, instead, results), None
        if result.ended in _WITHOUT_RESULT:
            self._job.emit(Failed(f"step:{step.id}", result.problems[0]))
            if error is not None and policy.then == "fail_fast":
                raise error
        return result

    def expect(self, *steps: Step) -> None:
        """Keep a part of the budget for those of `steps` that take a share of it."""
        for step in steps:
            if self.takes_share(step):
                self._shares.expect(step)

    def takes_share(self, step: Step) -> bool:
        """Tell whether `step` works within a share: not a mere tool call, whose price is known."""
        return step.call is None or step.share is not None or step.call.tool in self._spenders

    async def _once(self, step: Step, results: Results) -> StepResult:
        if step.call is None:
            job = self._job if step.id == self._answers else self._inner
            text = _task_of(step, results)
            result = await self._shares.run(job, step, lambda own: work_on(own, step, text))
            if result.ended == "answered" and job is self._inner:
                self._job.progress.facts.append(f"{step.id}: {result.text}")
            return result
        if lost := next((need for need in step.needs if results[need].ended in _WITHOUT_RESULT), None):
            return _skipped(lost)
        return await self._use(step, step.call, results)

    async def _use(self, step: Step, use: ToolUse, results: Results) -> StepResult:
        """Make a call with the results it refers to."""
        try:
            schema = self._job.tools.get(use.tool).spec.parameters
            arguments = use.arguments_with(lambda place, ref: value_of(ref, results[ref.step].text, schema, place))
        except (PlanError, ToolNotFound) as error:
            return _failed(str(error))
        self._calls += 1
        call = ToolCall(f"{step.id}-{self._calls}", use.tool, json.dumps(arguments, ensure_ascii=False))
        self._transcript.begin(step, call)
        if step.share is None and use.tool not in self._spenders:
            return await self._called(self._job, call)
        result = await self._shares.run(self._job, step, lambda own: self._called(own, call))
        return _failed(result.problems[0]) if result.ended == "limit" else result

    async def _called(self, job: Job, call: ToolCall) -> StepResult:
        result = await use_tool(job, call)
        self._transcript.end(result)
        return _failed(result.content) if result.is_error else StepResult(result.content, "answered", ())


def _task_of(step: Step, results: Results) -> str:
    """A task is read below the answers it needs, and what became of those there are none of."""
    known = "\n".join(f"{need}: {results[need].said}" for need in step.needs)
    return f"{known}\n\n{step.task}" if known else step.task


def _is_supplied(use: ToolUse, results: Results) -> bool:
    return all(results[ref.step].ended not in _WITHOUT_RESULT for _, ref in use.references)


def _failed(problem: str) -> StepResult:
    return StepResult("", "failed", (), (problem,))


def _skipped(need: str) -> StepResult:
    return StepResult("", "skipped", (), (f"step {need!r}, whose result it needs, has none",))
