"""Three other ways to end at a limit, for the anytime bench: no answer, the last text there is, one more call.

The work before the end is the same for all three: agentkit's own tool loop with the same models and tools, in a
scope with the same limit, of which nothing is kept back for a final answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agentkit import Agent
from agentkit.budgets import Ledger, Scope, Tracker
from agentkit.errors import BudgetExceeded, Saturated
from agentkit.executor import Job, Progress, Sampling, StepResult
from agentkit.executor.tool_loop import run_tool_loop
from agentkit.messages import system, user
from agentkit.routers import RuleRouter
from agentkit.tools import Registry
from agentkit.trace import Trace
from agentkit.types import Request
from agentkit.wrap_up import wrap_up_prompt

ENDINGS = ("exception", "forced_submit", "extra_call")


@dataclass(frozen=True, slots=True)
class Ended:
    """What a run came to: its text, empty for no answer, and its real spend in units of the limited resource."""

    text: str
    spent: int


async def endings(agent: Agent[str], task: str, resource: str, limit: int, cap: int) -> Mapping[str, Ended]:
    """Work on `task` up to `limit` of `resource`, at most `cap` output tokens a turn, and end in each way.

    `exception` has no answer, `forced_submit` hands in the last text of the conversation, a tool's result if that
    is the last, and `extra_call` asks the agent's first model for an answer from all facts, whatever the limit.
    """
    with Ledger.open() as ledger:
        scope = ledger.scope("work", limits={resource: limit})
        job = _job(agent, scope, cap)
        result: StepResult | None = None
        try:
            result = await run_tool_loop(job, "main", task)
        except (BudgetExceeded, Saturated):
            pass
        spent = scope.view().spent[resource]
    if result is not None and result.ended == "answered":
        return dict.fromkeys(ENDINGS, Ended(result.text, spent))
    last = (result.text if result else "") or _last_text(job)
    return {
        "exception": Ended("", spent),
        "forced_submit": Ended(last, spent),
        "extra_call": await _extra_call(job, task, resource, spent, cap),
    }


async def _extra_call(job: Job, task: str, resource: str, spent: int, cap: int) -> Ended:
    """The wrap-up that agentkit would ask for, with every fact and the full cap, paid on top of what was spent."""
    backend = next(iter(job.backends.values()))
    opening = (system(job.instructions),) if job.instructions else ()
    prompt = user(wrap_up_prompt(task, job.progress.facts))
    completion = await backend.complete(Request(messages=(*opening, prompt), max_output_tokens=cap))
    assert completion.usage is not None
    return Ended(completion.message.text.strip(), spent + completion.usage.cost(backend.card.price)[resource])


def _last_text(job: Job) -> str:
    said = (message.text for message in job.progress.messages if message.role in ("assistant", "tool"))
    return next((text for text in reversed(tuple(said)) if text.strip()), "")


def _job(agent: Agent[str], scope: Scope, cap: int) -> Job:
    return Job(
        backends=agent.backends,
        router=RuleRouter(),
        tools=Registry(agent.tools),
        scope=scope,
        trace=Trace("work"),
        tracker=Tracker(),
        context=None,
        instructions=agent.instructions,
        history=(),
        sampling=Sampling(max_output_tokens=cap),
        check=lambda text: (),
        output_schema=None,
        max_steps=agent.max_steps,
        deadline=None,
        seconds=None,
        under_way=set(),
        progress=Progress(),
    )
