"""Tools that a strong model makes once and a cheap one uses many times; loaded when it is named."""

from typing import TYPE_CHECKING

from agentkit.lazy import load_lazily

if TYPE_CHECKING:
    from agentkit.toolmaking.abstraction import Solution, distil
    from agentkit.toolmaking.economics import Economics
    from agentkit.toolmaking.example import Example, Family, read_families
    from agentkit.toolmaking.made_tool import MadeTool
    from agentkit.toolmaking.making import ToolMaking
    from agentkit.toolmaking.store import ToolStore

__getattr__ = load_lazily(
    __name__,
    {
        "Economics": "agentkit.toolmaking.economics",
        "Example": "agentkit.toolmaking.example",
        "Family": "agentkit.toolmaking.example",
        "MadeTool": "agentkit.toolmaking.made_tool",
        "Solution": "agentkit.toolmaking.abstraction",
        "ToolMaking": "agentkit.toolmaking.making",
        "ToolStore": "agentkit.toolmaking.store",
        "distil": "agentkit.toolmaking.abstraction",
        "read_families": "agentkit.toolmaking.example",
    },
)

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
