"""A made tool: its code, the family it was made for, and how it is called; wrapped as a `Tool` that runs boxed."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentkit.costs import Cost
from agentkit.errors import ToolFailed
from agentkit.toolmaking.calls import run_calls
from agentkit.toolmaking.proposal import Proposal
from agentkit.tools import Tool, docstring, tool
from agentkit.tools.sandbox import Sandbox

_SHOWN_TASK = 300


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A task and the arguments that the tool takes for it, as JSON text."""

    task: str
    arguments: str


@dataclass(frozen=True, slots=True)
class MadeTool:
    """A verified function; `digest` is the hash of all it says, so a file that was altered is not taken for it."""

    family: str
    code: str
    demonstrations: tuple[Demonstration, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of code, family and demonstrations, in hexadecimal."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return what is kept on disk."""
        shown = [{"task": shown.task, "arguments": shown.arguments} for shown in self.demonstrations]
        return {"family": self.family, "code": self.code, "demonstrations": shown}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> MadeTool:
        """Read what `to_json` gave; raises KeyError or TypeError for anything else."""
        shown = tuple(Demonstration(entry["task"], entry["arguments"]) for entry in row["demonstrations"])
        return cls(row["family"], row["code"], shown)

    def to_tool(self, sandbox: Sandbox, cost: Cost | None = None) -> Tool:
        """Return the tool that a model calls: typed schema, docstring and demonstrations; it runs in `sandbox`."""
        proposal = Proposal.read(self.code)
        shown = "".join(
            f"\nFor example, for the task «{one.task[:_SHOWN_TASK]}» call it with {one.arguments}."
            for one in self.demonstrations
        )
        return as_tool(proposal, sandbox, docstring.summary(proposal.doc) + shown, cost)


def as_tool(proposal: Proposal, sandbox: Sandbox, description: str = "", cost: Cost | None = None) -> Tool:
    """Return `proposal` as a tool; raises ConfigError when its signature has no schema."""

    async def run(**arguments: Any) -> str:
        (came,) = await run_calls(sandbox, proposal.code, proposal.name, [arguments])
        if came.failed:
            raise ToolFailed(proposal.name, came.text)
        return came.text

    run.__name__, run.__doc__ = proposal.name, proposal.doc
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in proposal.parameters}
    run.__signature__ = inspect.Signature(proposal.parameters)  # type: ignore[attr-defined]
    return tool(description=description or docstring.summary(proposal.doc), cost=cost, timeout=None)(run)
