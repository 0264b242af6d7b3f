"""Finding the tools a need calls for, out of many: by words, by meaning, or by both; loaded when it is named."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentkit.tools.index.base import Scored, ToolIndex
    from agentkit.tools.index.dependencies import DependencyIndex
    from agentkit.tools.index.fused import FusedIndex
    from agentkit.tools.index.lexical import LexicalIndex
    from agentkit.tools.index.search import ToolSearch
    from agentkit.tools.index.semantic import SemanticIndex

_HOME = {
    "Scored": "agentkit.tools.index.base",
    "ToolIndex": "agentkit.tools.index.base",
    "DependencyIndex": "agentkit.tools.index.dependencies",
    "FusedIndex": "agentkit.tools.index.fused",
    "LexicalIndex": "agentkit.tools.index.lexical",
    "ToolSearch": "agentkit.tools.index.search",
    "SemanticIndex": "agentkit.tools.index.semantic",
}

__all__ = [
    "DependencyIndex",
    "FusedIndex",
    "LexicalIndex",
    "Scored",
    "SemanticIndex",
    "ToolIndex",
    "ToolSearch",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value
