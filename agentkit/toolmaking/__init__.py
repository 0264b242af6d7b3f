"""Tools that a strong model makes once and a cheap one uses many times; loaded when it is named."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentkit.toolmaking.abstraction import Solution, distil
    from agentkit.toolmaking.economics import Economics
    from agentkit.toolmaking.example import Example, Family, read_families
    from agentkit.toolmaking.made_tool import MadeTool
    from agentkit.toolmaking.making import ToolMaking
    from agentkit.toolmaking.store import ToolStore

_HOME = {
    "Economics": "agentkit.toolmaking.economics",
    "Example": "agentkit.toolmaking.example",
    "Family": "agentkit.toolmaking.example",
    "MadeTool": "agentkit.toolmaking.made_tool",
    "Solution": "agentkit.toolmaking.abstraction",
    "ToolMaking": "agentkit.toolmaking.making",
    "ToolStore": "agentkit.toolmaking.store",
    "distil": "agentkit.toolmaking.abstraction",
    "read_families": "agentkit.toolmaking.example",
}

__all__ = [
    "Economics",
    "Example",
    "Family",
    "MadeTool",
    "Solution",
    "ToolMaking",
    "ToolStore",
    "distil",
    "read_families",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value
