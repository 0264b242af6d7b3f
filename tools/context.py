"""What a tool may know about the run it serves, beyond its arguments."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from agentkit.budgets import Scope

T = TypeVar("T")

enforcer_around: ContextVar[Any] = ContextVar("enforcer", default=None)
"""The policy at work where a tool runs; here, so that runs without one need not load what enforces it."""


@dataclass(frozen=True, slots=True)
class Context(Generic[T]):
    """The application's own dependencies and the budget scope of one tool call.

    A parameter annotated `Context[T]` receives it and never shows in the tool's schema. `value` is the
    object given to `agent.run(context=…)`; `scope` is where the tool's own spending belongs, None outside
    a run.
    """

    value: T
    scope: Scope | None = None
