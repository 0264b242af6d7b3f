"""The executor: runs the steps of a plan, each model and tool call under the ledger."""

from agentkit.executor.finish_line import (
    FinishLine,
    known_so_far,
    minimum,
    release,
    reserve_finish_line,
    wrap_up,
)
from agentkit.executor.job import Job, Progress, Sampling
from agentkit.executor.plan_run import run_plan
from agentkit.executor.tool_loop import StepResult, run_tool_loop

__all__ = [
    "FinishLine",
    "Job",
    "Progress",
    "Sampling",
    "StepResult",
    "known_so_far",
    "minimum",
    "release",
    "reserve_finish_line",
    "run_plan",
    "run_tool_loop",
    "wrap_up",
]
