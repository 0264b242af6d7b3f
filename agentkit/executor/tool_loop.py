"""The tool loop (ReAct, arXiv 2210.03629): a model turn, the tools it calls, and again until it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import anyio

from agentkit.executor.context import fitted_turn
from agentkit.executor.job import Job
from agentkit.executor.tool_use import use_tools
from agentkit.messages import Message, ToolResult, system, tool_message, user
from agentkit.routers import Outcome
from agentkit.types import FinishReason

Ended = Literal[
    "answered",
    "max_steps",
    "limit",
    "truncated",
    "filtered",
    "empty",
    "invalid_output",
    "unverified",
    "failed",
    "skipped",
    "handed_over",
]

_CUT: Mapping[FinishReason, Ended] = {"length": "truncated", "content_filter": "filtered"}


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step came to, and the conversation that led there.

    `ended` is `answered`, `max_steps` when it never stopped calling tools, `limit` when its share of the budget
    was used up, `failed` and `skipped` for a step of a plan that gave nothing, or what is wrong with the answer;
    then `problems` says it in sentences. After `handed_over` the agent that the tool `taker` stands for goes on.
    """

    text: str
    ended: Ended
    messages: tuple[Message, ...]
    problems: tuple[str, ...] = ()
    taker: str = ""

    @property
    def said(self) -> str:
        """The text, or why there is none."""
        return self.text or "; ".join(self.problems)


async def run_tool_loop(job: Job, step: str, task: str, messages: tuple[Message, ...] = ()) -> StepResult:
    """Work on `task` until a model answers, in the conversation `messages` if it has begun.

    Raises what `take_turn` raises, and the refusal of a tool call.
    """
    messages = messages or opening(job, task)
    job.progress.messages = messages
    weak: set[str] = set()
    for turn in range(job.max_steps):
        outcome, messages = await fitted_turn(job, step, task, messages, turn, weak)
        assert outcome.completion is not None
        reply = outcome.completion.message
        if not reply.tool_calls:
            messages = (*messages, reply) if reply.text.strip() else messages
            job.progress.messages, job.progress.text = messages, reply.text.strip()
            return StepResult(reply.text, _ended(outcome), messages, outcome.problems)
        results, refusal = await use_tools(job, reply.tool_calls)
        taker = _taker(job, results)
        messages = (*messages, reply, *map(tool_message, _noted(job, results)))
        job.progress.messages = messages
        if refusal is not None:
            raise refusal
        if taker:
            return StepResult("", "handed_over", messages, taker=taker)
    return StepResult("", "max_steps", messages, (f"no answer after {job.max_steps} model turns",))


def _taker(job: Job, results: list[ToolResult]) -> str:
    """Return the tool that handed the conversation over, if one did; a conversation goes to one agent only."""
    taker = ""
    for place, result in enumerate(results):
        if not result.is_error and job.tools.get(result.name).hands_over:
            if taker:
                results[place] = replace(result, content="Error: it was handed over to another", is_error=True)
            taker = taker or result.name
    return taker


def opening(job: Job, task: str) -> tuple[Message, ...]:
    """Return what the conversation starts with: instructions, the history given, and the task."""
    instructions = (system(job.instructions),) if job.instructions else ()
    return (*instructions, *job.history, user(task))


def _ended(outcome: Outcome) -> Ended:
    assert outcome.completion is not None
    if not outcome.problems:
        return "answered"
    if not outcome.completion.message.text.strip():
        return "empty"
    return _CUT.get(outcome.completion.finish_reason, "invalid_output")


def _noted(job: Job, results: list[ToolResult]) -> list[ToolResult]:
    """Append the budget note to the last result when the band has changed.

    Notes are only ever appended, so that what a provider has cached of the conversation stays valid.
    """
    note = job.tracker.note(job.scope.view(), _deadline_share(job))
    if note is not None and results:
        results[-1] = replace(results[-1], content=f"{results[-1].content}\n{note}")
    return results


def _deadline_share(job: Job) -> float | None:
    if job.deadline is None or job.seconds is None:
        return None
    return max(0.0, job.deadline - anyio.current_time()) / job.seconds if job.seconds else 0.0
