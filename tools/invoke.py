"""Runs one tool call and turns whatever happens into the text a model reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from agentkit.errors import BudgetError, ToolError, ToolFailed, ToolTimeout
from agentkit.messages import ToolCall, ToolResult
from agentkit.tools.arguments import parse_arguments
from agentkit.tools.context import Context
from agentkit.tools.result import result_text, truncated
from agentkit.tools.tool import Tool

if TYPE_CHECKING:
    from agentkit.budgets import Scope


async def invoke(
    tool: Tool,
    call: ToolCall,
    context: object = None,
    scope: Scope | None = None,
    *,
    limit: int = 20_000,
) -> ToolResult:
    """Run `call` and return its result, at most `limit` characters of it.

    Wrong arguments, a timeout and an exception of the tool become a result with `is_error` set, never a
    traceback. Cancellation and `BudgetError` pass through: they end the call for its caller too.
    """
    try:
        text, failed = await _run(tool, call, Context(context, scope)), False
    except ToolError as error:
        text, failed = f"Error: {error}", True
    return ToolResult(call.id, call.name, truncated(text, limit), failed)


async def _run(tool: Tool, call: ToolCall, context: Context[object]) -> str:
    arguments = parse_arguments(tool, call)
    try:
        with anyio.move_on_after(tool.timeout):
            return result_text(await tool.function(arguments, context))
    except Exception as error:
        causes = _causes(error)
        for kind in (BudgetError, ToolError):
            for cause in causes:
                if isinstance(cause, kind):
                    raise cause from cause.__cause__  # out of its group, otherwise as it was
        raise ToolFailed(tool.name, "; ".join(f"{type(cause).__name__}: {cause}" for cause in causes)) from error
    assert tool.timeout is not None  # nothing else ends the block without a result
    raise ToolTimeout(tool.name, tool.timeout)


def _causes(error: Exception) -> list[Exception]:
    """Return what a task group inside the tool may have wrapped, any number of times."""
    if isinstance(error, ExceptionGroup):
        return [cause for wrapped in error.exceptions for cause in _causes(wrapped)]
    return [error]
