"""What a definition may say of how a task is worked on: one class a kind of planner."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from agentkit.spec_parts import Count, PositiveCount, Seconds, Spec, Text, ToolName, number


class BudgetAwareSpec(Spec):
    """Verify each answer before it stands; dig deeper or begin again elsewhere while the budget allows (BATS)."""

    proposals: Annotated[int, Field(ge=2, le=100), BeforeValidator(number)] | None = None
    """Answers that are proposed at most, 4 if not given."""


class PlanSpec(Spec):
    """Have a model plan the tool calls, and run those side by side that do not need each other."""

    when: Literal["always", "pays", "asked"] = "always"
    """Always, where a plan is likely to be cheaper than a tool loop, or when the model writes one by itself."""
    max_steps: PositiveCount | None = None
    """Steps of a plan at most, 32 if not given."""
    max_replans: Count | None = None
    """How often a plan is gone on with at most, once if not given."""
    concurrency: PositiveCount | None = None
    """Steps that run at a time, all that are ready if not given."""
    on_failure: Literal["isolate", "fail_fast"] = "isolate"
    """What a failed step does to the others: nothing but to those that need its result, or end them."""
    retries: Count = 0
    """Further tries of a step that fails."""
    refine: Count = 0
    """How often a plan is tried on stand-ins and revised at most before it runs; it ends when nothing changes."""


class StepSpec(Spec):
    """A step of a plan given beforehand: a tool call, or a task for a tool loop."""

    one_of = ("tool", "task")

    id: Text
    tool: ToolName | None = None
    arguments: dict[str, Any] = {}
    """Of the call; {$from: step, path: [key, 0]} in place of a value stands for what that step gave."""
    task: Text | None = None
    needs: tuple[str, ...] = ()
    """Steps that come first, besides those that are referred to."""
    share: Annotated[float, Field(gt=0, le=1), BeforeValidator(number)] | None = None
    """The part of what is free that it may spend."""
    seconds: Seconds = 1.0
    """How long it is likely to take, beside the others."""
    on_failure: Literal["isolate", "fail_fast"] = "fail_fast"
    retries: Count = 0


class StepsSpec(Spec):
    """Carry out these steps for every task; the last one has the answer."""

    steps: Annotated[tuple[StepSpec, ...], Field(min_length=1)]
    concurrency: PositiveCount | None = None
    """Steps that run at a time, all that are ready if not given."""


class PlannerSpec(Spec):
    """How a task is worked on; the one key it has is its kind."""

    one_of = ("budget_aware", "plan", "fixed")

    budget_aware: BudgetAwareSpec | None = None
    plan: PlanSpec | None = None
    fixed: StepsSpec | None = None
