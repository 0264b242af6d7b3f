"""Finding the tools a need calls for, out of many: by words, by meaning, or by both; loaded when it is named."""

from typing import TYPE_CHECKING

from agentkit.lazy import load_lazily

if TYPE_CHECKING:
    from agentkit.tools.index.base import Scored, ToolIndex
    from agentkit.tools.index.dependencies import DependencyIndex
    from agentkit.tools.index.fused import FusedIndex
    from agentkit.tools.index.lexical import LexicalIndex
    from agentkit.tools.index.search import ToolSearch
    from agentkit.tools.index.semantic import SemanticIndex

__getattr__ = load_lazily(
    __name__,
    {
        "Scored": "agentkit.tools.index.base",
        "ToolIndex": "agentkit.tools.index.base",
        "DependencyIndex": "agentkit.tools.index.dependencies",
        "FusedIndex": "agentkit.tools.index.fused",
        "LexicalIndex": "agentkit.tools.index.lexical",
        "ToolSearch": "agentkit.tools.index.search",
        "SemanticIndex": "agentkit.tools.index.semantic",
    },
)

__all__ = [
    "DependencyIndex",
    "FusedIndex",
    "LexicalIndex",
    "Scored",
    "SemanticIndex",
    "ToolIndex",
    "ToolSearch",
]
