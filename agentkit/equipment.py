"""What a run works with: the tools of its sources, a made one, and what the search and the composer choose."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack, nullcontext
from dataclasses import replace
from typing import TypeVar

import anyio

from agentkit.answer import MadeFor
from agentkit.catalog import Catalog, Selection, key_of
from agentkit.costs import Cost
from agentkit.executor import Job
from agentkit.tools import Registry, Tool
from agentkit.trace import Composed
from agentkit.work import Work

T = TypeVar("T")


async def with_sources(work: Work[T], cleanup: AsyncExitStack) -> Work[T]:
    """Return `work` with the tools of its sources, which `cleanup` closes.

    Raises ToolSourceError when one cannot be opened.
    """
    for source in work.sources:
        tools = await cleanup.enter_async_context(source.open(work.budget.seconds))
        work = replace(work, tools=(*work.tools, *tools))
    return work


async def with_made_tool(work: Work[T], job: Job) -> Job:
    """Return the job with the made tool that fits its task, if there is one or one is worth making."""
    if work.tool_making is None:
        return job
    taken = {tool.name for tool in job.tools}
    left = None if job.deadline is None else job.deadline - anyio.current_time()
    with nullcontext() if job.enforcer is None else job.enforcer.around():  # for the maker's own tools
        dispatch = await work.tool_making.decide(work.task, job.scope, job.emit, taken=taken, seconds=left)
    job.progress.dispatch = dispatch
    return job if dispatch.tool is None else replace(job, tools=Registry((*job.tools, dispatch.tool)))


async def compose(work: Work[T], job: Job) -> Selection:
    """Return what to work with, out of what the search finds, what was made and the models."""
    tools, passed_over = await _found(work, job)
    tools += tuple(tool for tool in job.tools if tool not in work.tools)
    catalog = Catalog.of(work.task, job.instructions, tools, job.cards)
    selection = work.composer.compose(catalog, job.scope.view().available)  # the search may have cost something
    reasons = {**selection.reasons, **passed_over}
    job.emit(Composed(tuple(sorted(selection.chosen)), reasons, selection.value, selection.more))
    return selection


def equipped(job: Job, selection: Selection, planned: frozenset[str] = frozenset()) -> Job:
    """Return the job with nothing but what was chosen, and the tools that the plan calls."""
    chosen = selection.chosen
    if len(chosen) == len(job.backends) + len(job.tools):  # nearly always that is all there is
        return job
    return replace(
        job,
        backends={name: backend for name, backend in job.backends.items() if f"model:{name}" in chosen},
        tools=Registry(tool for tool in job.tools if key_of(tool) in chosen or tool.name in planned),
    )


def made_for(work: Work[T], job: Job, spent: Cost, *, complete: bool) -> MadeFor | None:
    """Count what the task cost with or without a made tool; one that is not `complete` tells nothing."""
    dispatch = job.progress.dispatch
    if work.tool_making is None or dispatch is None:
        return None
    economics = work.tool_making.note(dispatch, spent.minus(dispatch.making)) if complete else None
    tool = None if dispatch.tool is None else dispatch.tool.name
    return MadeFor(dispatch.family, tool, dispatch.reason, dispatch.making, economics)


async def _found(work: Work[T], job: Job) -> tuple[tuple[Tool, ...], Mapping[str, str]]:
    """Return the tools that the search finds for the task, and by key why the others are passed over."""
    if work.tool_search is None:
        return work.tools, {}
    handing = tuple(tool for tool in work.tools if tool.hands_over)  # who else is there is always said
    tools = tuple(tool for tool in work.tools if not tool.hands_over)
    asked = [message.text for message in job.history if message.role == "user"][-1:]  # "and cancel it"
    need = "\n".join((*asked, work.task))
    found = await work.tool_search.shortlist(tools, need, job.scope, job.emit)
    kept = {tool.name for tool in found}
    why = f"not among the {work.tool_search.top} tools found for the task"
    return (*found, *handing), {key_of(tool): why for tool in tools if tool.name not in kept}
