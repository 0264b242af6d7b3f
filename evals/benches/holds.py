"""What others do about a shared limit, as plain policies for the scenario of the overspend bench.

Each policy holds an amount for a call before it leaves, from nothing (check afterwards) to the worst case, and
refuses, waits or sends a smaller output cap when the amount does not fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

import anyio

from agentkit.evals.benches.fanout import CAP, MEAN_LENGTH, TOOL, Model, Scenario, World
from agentkit.messages import Message, ToolResult, tool_message, user
from agentkit.types import Request, ToolSpec
from agentkit.usage import Bound

_FAN_OUT = ToolSpec(TOOL, "Hand out the parts and collect the reports.", {"type": "object", "properties": {}})


@dataclass(frozen=True, slots=True)
class Policy:
    """Hold `output_tokens` for a call's output, None for no hold; wait or clamp when that does not fit.

    `answers` keeps room for the parent's last call from the start.
    """

    output_tokens: int | None
    waits: bool = False
    clamps: bool = False
    answers: bool = False


POLICIES: Mapping[str, Policy] = {
    "check_afterwards": Policy(None),
    "hold_mean": Policy(MEAN_LENGTH),
    "hold_worst_case": Policy(CAP),
    "hold_worst_case_wait": Policy(CAP, waits=True),
    "hold_worst_case_wait_clamp": Policy(CAP, waits=True, clamps=True),
    "hold_worst_case_wait_clamp_answer": Policy(CAP, waits=True, clamps=True, answers=True),
}


async def run_under(policy: Policy, scenario: Scenario) -> tuple[World, bool]:
    """Run `scenario` under `policy`; returns the bills, and whether the parent could give its answer."""
    world, gate = scenario.open(), _Gate(policy, scenario)
    task = user("Fan out, then answer.")
    first = await gate.call(world.parent, (task,), (_FAN_OUT,))
    if first is None:
        return world, False
    last = (task, first, tool_message(ToolResult(first.tool_calls[0].id, TOOL, "done")))
    with gate.room_for(world.parent, last) if policy.answers else nullcontext():
        await world.run_children(lambda child: gate.call(child.model, (user(child.task),)))
    return world, await gate.call(world.parent, last, (_FAN_OUT,)) is not None


class _Gate:
    """One shared counter of what is held and what is spent, in units of the scenario's resource."""

    def __init__(self, policy: Policy, scenario: Scenario) -> None:
        self._policy, self._resource, self._limit = policy, scenario.resource, scenario.limit
        self._held = self._spent = 0
        self._released = anyio.Event()

    async def call(
        self, model: Model, messages: tuple[Message, ...], tools: tuple[ToolSpec, ...] = ()
    ) -> Message | None:
        """Make the call if the policy admits it."""
        request = Request(messages=messages, max_output_tokens=CAP, tools=tools)
        bound = model.bound(request)
        cap = await self._admit(bound)
        if cap is None:
            return None
        charged = held = self._hold(bound, cap)
        self._held += held
        try:
            completion = await model.complete(replace(request, max_output_tokens=cap))
            if completion.usage is not None:
                charged = completion.usage.cost(model.card.price)[self._resource]
            return completion.message
        finally:  # without a usage record the hold is all there is to charge
            self._held -= held
            self._spent += charged
            self._released.set()
            self._released = anyio.Event()

    @contextmanager
    def room_for(self, model: Model, messages: tuple[Message, ...]) -> Iterator[None]:
        """Keep room for a later call until the block ends."""
        bound = model.bound(Request(messages=messages, max_output_tokens=CAP, tools=(_FAN_OUT,)))
        kept = bound.at(CAP)[self._resource]
        self._limit -= kept
        yield
        self._limit += kept

    async def _admit(self, bound: Bound) -> int | None:
        """Return the output cap to send, None for a refusal."""
        hold = self._hold(bound, CAP)
        while self._limit - self._spent - self._held < max(hold, 1):
            if not self._policy.waits or self._limit - self._spent < max(hold, 1):
                return self._clamped(bound)
            await self._released.wait()
        return CAP

    def _clamped(self, bound: Bound) -> int | None:
        if not self._policy.clamps:
            return None
        cap = bound.affordable_cap({self._resource: self._limit - self._spent - self._held}, CAP)
        return cap if cap > 0 else None

    def _hold(self, bound: Bound, cap: int) -> int:
        held = self._policy.output_tokens
        return 0 if held is None else bound.at(min(held, cap))[self._resource]
