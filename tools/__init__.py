"""Tools a model can call: made from Python functions, checked, run and turned into text.

`calculate` is loaded when it is first used, since making a tool loads what reads signatures.
"""

from typing import TYPE_CHECKING, Any

from agentkit.tools.arguments import parse_arguments
from agentkit.tools.context import Context
from agentkit.tools.invoke import invoke
from agentkit.tools.registry import Registry, Toolset, namespace
from agentkit.tools.tool import Tool, tool

if TYPE_CHECKING:
    from agentkit.tools.calculator import calculate

__all__ = ["Context", "Registry", "Tool", "Toolset", "calculate", "invoke", "namespace", "parse_arguments", "tool"]


def __getattr__(name: str) -> Any:
    if name != "calculate":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from agentkit.tools.calculator import calculate

    return calculate
