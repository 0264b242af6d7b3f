"""Tools a model can call: made from Python functions, checked, run and turned into text."""

from agentkit.tools.arguments import parse_arguments
from agentkit.tools.calculator import calculate
from agentkit.tools.context import Context
from agentkit.tools.invoke import invoke
from agentkit.tools.registry import Registry, Toolset
from agentkit.tools.tool import Tool, tool

__all__ = ["Context", "Registry", "Tool", "Toolset", "calculate", "invoke", "parse_arguments", "tool"]
