"""The executor: runs the steps of a plan, each model and tool call under the ledger."""

from agentkit.executor.carry_out import carry_out
from agentkit.executor.finish_line import (
    FinishLine,
    known_so_far,
    minimum,
    release,
    reserve_finish_line,
    wrap_up,
)
from agentkit.executor.job import Job, Progress, Sampling
from agentkit.executor.tool_loop import StepResult

__all__ = [
    "FinishLine",
    "Job",
    "Progress",
    "Sampling",
    "StepResult",
    "carry_out",
    "known_so_far",
    "minimum",
    "release",
    "reserve_finish_line",
    "wrap_up",
]
