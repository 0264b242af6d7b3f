"""Who is paid first when the budget does not pay every tool call of a plan: the calls on the longest paths.

The price of a tool call is known before it is made, so a plan can tell beforehand whether it is short.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from agentkit.costs import Cost
from agentkit.errors import ToolNotFound
from agentkit.executor.job import Job
from agentkit.planner import Step
from agentkit.tools import Registry


class Purse:
    """What a plan can spend on tool calls, `room` by resource, and what its steps still want of it."""

    def __init__(self, room: Mapping[str, int], tools: Registry | None = None) -> None:
        self._left = dict(room)
        self._wanted = dict.fromkeys(room, 0)
        self._tools = tools or Registry()
        self._prices: dict[str, Mapping[str, int]] = {}
        self._short = False

    @classmethod
    def of(cls, job: Job) -> Purse:
        """Return the purse of a run: what is free in its scope of the resources its tools take."""
        taken = {name for tool in job.tools for name in tool.hold}
        available = job.scope.view().available
        return cls({name: room for name, room in available.items() if name in taken}, job.tools)

    def expect(self, step: Step) -> None:
        """Count `step` among those that will be paid."""
        self._count(step, 1)

    def spend(self, step: Step) -> None:
        """Take out the price of `step`, which starts."""
        self._count(step, -1)
        for name, price in self._price(step).items():
            self._left[name] -= price

    def pays(self, step: Step, ahead: Callable[[Step], Sequence[Step]]) -> bool:
        """Tell whether `step` can be paid beside the steps `ahead` of it, which come first."""
        if not self._short:
            return True
        others = ahead(step)
        return all(
            price + sum(self._price(other).get(name, 0) for other in others) <= self._left[name]
            for name, price in self._price(step).items()
        )

    def _count(self, step: Step, sign: int) -> None:
        if not self._left:
            return
        for name, price in self._price(step).items():
            self._wanted[name] += sign * price
        self._short = any(wanted > self._left[name] for name, wanted in self._wanted.items())

    def _price(self, step: Step) -> Mapping[str, int]:
        """Return what the call of `step` costs of the limited resources; a task has no price beforehand."""
        if step.call is None or not self._left:
            return {}
        name = step.call.tool
        if name not in self._prices:
            try:
                hold = self._tools.get(name).hold
            except ToolNotFound:  # the step will say so
                hold = Cost()
            self._prices[name] = {resource: hold[resource] for resource in self._left if hold[resource]}
        return self._prices[name]
