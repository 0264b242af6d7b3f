"""Finding the tools a need calls for, out of many: by words, by meaning, or by both."""

from agentkit.tools.index.base import Scored, ToolIndex
from agentkit.tools.index.fused import FusedIndex
from agentkit.tools.index.lexical import LexicalIndex
from agentkit.tools.index.search import ToolSearch
from agentkit.tools.index.semantic import SemanticIndex

__all__ = ["FusedIndex", "LexicalIndex", "Scored", "SemanticIndex", "ToolIndex", "ToolSearch"]
