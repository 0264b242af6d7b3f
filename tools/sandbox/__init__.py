"""Code that models write, run where it can do no harm; how tightly is a level that is never lowered."""

from agentkit.tools.sandbox.levels import Level, levels
from agentkit.tools.sandbox.python import Ran, Sandbox, python_tool

__all__ = ["Level", "Ran", "Sandbox", "levels", "python_tool"]
