"""What becomes of a step that fails, and how a model plans."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from agentkit.errors import ConfigError
from agentkit.planner.tool_use import ToolUse


@dataclass(frozen=True, slots=True)
class OnFailure:
    """What becomes of a step that fails: `retries` more tries, then `fallback`, then the rest of the plan.

    `fail_fast` ends the plan there; `isolate` lets go on whatever does not need the result.
    """

    then: Literal["fail_fast", "isolate"] = "fail_fast"
    retries: int = 0
    fallback: ToolUse | None = None

    def __post_init__(self) -> None:
        if self.then not in ("fail_fast", "isolate") or self.retries < 0:
            raise ConfigError(
                "a step that fails leads to fail_fast or isolate after 0 retries or more, not to "
                f"{self.then!r} after {self.retries!r}"
            )


@dataclass(frozen=True, slots=True)
class Planning:
    """How a model plans: limits, revisions before it runs, and what becomes of a step that fails.

    With `asked` it plans only if it wants to: it is told how, and works in a tool loop otherwise.
    """

    max_replans: int = 1
    max_steps: int = 32
    concurrency: int | None = None
    on_failure: OnFailure = field(default_factory=lambda: OnFailure("isolate"))
    refine: int = 0
    asked: bool = False

    def __post_init__(self) -> None:
        if self.refine < 0:
            raise ConfigError(f"a plan is refined 0 times or more, not {self.refine}")
        if self.max_replans < 0 or self.max_steps < 1 or (self.concurrency is not None and self.concurrency < 1):
            raise ConfigError(
                "a planner has max_replans of 0 or more, max_steps and concurrency of 1 or more, not "
                f"{self.max_replans}, {self.max_steps} and {self.concurrency}"
            )
