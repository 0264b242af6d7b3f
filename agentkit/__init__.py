"""agentkit runs LLM agents under a budget: it never spends past the limit and always has an answer.

The names below are loaded when they are first used, so that `import agentkit` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.lazy import load_lazily

if TYPE_CHECKING:
    from agentkit.agent import Agent
    from agentkit.answer import Answer
    from agentkit.budgets import Ledger, Scope
    from agentkit.costs import Budget, Cost
    from agentkit.errors import AgentkitError
    from agentkit.loader import load
    from agentkit.tools import Context, Tool, tool
    from agentkit.types import ModelCard
    from agentkit.usage import Price

__version__ = "0.1.0"

__getattr__ = load_lazily(
    __name__,
    {
        "Agent": "agentkit.agent",
        "AgentkitError": "agentkit.errors",
        "Answer": "agentkit.answer",
        "Budget": "agentkit.costs",
        "Context": "agentkit.tools",
        "Cost": "agentkit.costs",
        "Ledger": "agentkit.budgets",
        "ModelCard": "agentkit.types",
        "Price": "agentkit.types",
        "Scope": "agentkit.budgets",
        "Tool": "agentkit.tools",
        "load": "agentkit.loader",
        "tool": "agentkit.tools",
    },
)

__all__ = [
    "Agent",
    "AgentkitError",
    "Answer",
    "Budget",
    "Context",
    "Cost",
    "Ledger",
    "ModelCard",
    "Price",
    "Scope",
    "Tool",
    "load",
    "tool",
]


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
