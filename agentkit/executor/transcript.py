"""The tool calls of a plan as a conversation: one turn for each depth of the graph.

Every call gets its result, also one that was cancelled, so that the conversation is valid at any moment and can be
gone on with by any model.
"""

from __future__ import annotations

from agentkit.messages import Message, ToolCall, ToolResult, assistant, tool_message
from agentkit.planner import Step


class Transcript:
    """Collects the calls of a plan that were begun, and their results."""

    def __init__(self) -> None:
        self._depth: dict[str, int] = {}
        self._turns: list[list[ToolCall]] = []
        self._results: dict[str, ToolResult] = {}

    def begin(self, step: Step, call: ToolCall) -> None:
        """Note that `step` makes `call`; what the step needs has begun before."""
        depth = 1 + max((self._depth.get(need, -1) for need in step.needs), default=-1)
        self._depth[step.id] = depth
        while len(self._turns) <= depth:
            self._turns.append([])
        self._turns[depth].append(call)

    def end(self, result: ToolResult) -> None:
        """Note the result of a call."""
        self._results[result.call_id] = result

    def messages(self) -> tuple[Message, ...]:
        """Return the conversation so far."""
        messages: list[Message] = []
        for calls in filter(None, self._turns):
            messages.append(assistant("", tuple(calls)))
            messages += [tool_message(self._results.get(call.id) or _cancelled(call)) for call in calls]
        return tuple(messages)


def _cancelled(call: ToolCall) -> ToolResult:
    return ToolResult(call.id, call.name, "Error: the call was cancelled before it gave a result", is_error=True)
