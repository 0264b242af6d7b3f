"""Tools a model can call: made from Python functions, checked, run and turned into text.

`calculate` is loaded when it is first used, since making a tool loads what reads signatures.
"""

from typing import TYPE_CHECKING

from agentkit.lazy import load_lazily
from agentkit.tools.arguments import parse_arguments
from agentkit.tools.context import Context
from agentkit.tools.invoke import invoke
from agentkit.tools.registry import Registry, Toolset, namespace
from agentkit.tools.tool import Tool, tool

if TYPE_CHECKING:
    from agentkit.tools.calculator import calculate

__all__ = ["Context", "Registry", "Tool", "Toolset", "calculate", "invoke", "namespace", "parse_arguments", "tool"]

__getattr__ = load_lazily(__name__, {"calculate": "agentkit.tools.calculator"})
