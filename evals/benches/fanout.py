"""The scenario of the overspend bench: one parent whose tool starts N children at once under one limit.

A child is one model call with an output cap of `CAP` tokens. Its reply has a length drawn for the seed; some
children are cut off on the way, some usage records get lost. Every child has a model of its own, so that its
bill can be compared with its receipts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Literal

import anyio
import anyio.lowlevel

from agentkit.backends.fake import Faulty, Reply, Script, ScriptedBackend, calls
from agentkit.costs import NANO, Cost
from agentkit.types import Completion, Delta, FinishReason, ModelCard, Request
from agentkit.usage import Price, Usage

CAP = 400
TOOL, ANSWER = "fan_out", "All parts are in."
MEAN_LENGTH = 165
"""Tokens; the mean of the lengths drawn below, for baselines that hold what a call costs on average."""
_LOG_MEDIAN, _LOG_DEVIATION = 4.8, 0.75
_CANCELLED, _LOST, _CANCEL_WITHIN = 0.125, 0.1, 100
_PRICE = Price(Decimal("0.25"), Decimal(1))

Bill = Literal["streamed", "full"]
BILLS: tuple[Bill, ...] = ("streamed", "full")
Resource = Literal["tokens", "usd"]
LIMITS: Mapping[Resource, int] = {"tokens": 1_000, "usd": NANO // 1_000}
"""1,000 tokens, or $0.001 in nano-dollars: at the fake's price about 1,000 output tokens too."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One world: how many children, which limit, what a disconnect costs, and the seed of the rest."""

    children: int
    resource: Resource
    bill: Bill
    seed: int

    @property
    def limit(self) -> int:
        """The limit in units of the resource."""
        return LIMITS[self.resource]

    def open(self) -> World:
        """Return the models of this scenario, none of them called yet."""
        draw = Random(f"{self.seed} {self.children} {self.resource} {self.bill}")
        children = tuple(self._child(number, draw) for number in range(self.children))
        return World(Model("parent", _parent, self.bill), children)

    def _child(self, number: int, draw: Random) -> Child:
        length = max(1, min(round(draw.lognormvariate(_LOG_MEDIAN, _LOG_DEVIATION)), CAP))
        lost, cancelled = draw.random() < _LOST, draw.random() < _CANCELLED
        ticks = draw.randint(1, _CANCEL_WITHIN)
        reply = Faulty("word " * length, drop_usage=lost)
        # only a slow reply can be cut off in its middle; the delay is one turn of the event loop a token
        model = Model(f"child-{number}", reply, self.bill, delay=1e-9 if cancelled else 0.0)
        return Child(model, f"Report on part {number}.", ticks if cancelled else None)


class Model(ScriptedBackend):
    """A scripted model that also sums what whole replies cost, and counts the usage records it sent."""

    def __init__(self, name: str, replies: Script, bill: Bill, delay: float = 0.0) -> None:
        super().__init__(replies, card=ModelCard(name, "fake", name, _PRICE), bill=bill, delay=delay)
        self.completed = Cost()
        self.records = 0

    async def complete(self, request: Request) -> Completion:
        """Return the next reply; one that was not cut counts as completed."""
        completion = await super().complete(request)
        self._count(completion.finish_reason, completion.usage)
        return completion

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Yield the next reply; one that was not cut counts as completed."""
        last = Delta()
        async with aclosing(super().stream(request)) as deltas:
            async for last in deltas:
                yield last
        self._count(last.finish_reason, last.usage)

    def _count(self, finish: FinishReason | None, usage: Usage | None) -> None:
        self.records += usage is not None
        if finish not in (None, "length"):
            self.completed += self.bill[-1].cost(_PRICE)


@dataclass(frozen=True, slots=True)
class Child:
    """A child's model and task, and after how many turns of the event loop it is cancelled, None for never."""

    model: Model
    task: str
    cancel_after: int | None


@dataclass(frozen=True, slots=True)
class World:
    """The models of one scenario."""

    parent: Model
    children: Sequence[Child]

    async def run_children(self, work: Callable[[Child], Awaitable[object]]) -> None:
        """Do `work` for all children at once, and cancel those whose time comes."""
        scopes: defaultdict[int | None, list[anyio.CancelScope]] = defaultdict(list)

        async def run(child: Child) -> None:
            with anyio.CancelScope() as scope:
                scopes[child.cancel_after].append(scope)
                await work(child)

        async with anyio.create_task_group() as group:
            for child in self.children:
                group.start_soon(run, child)
            for turn in range(1 + max(child.cancel_after or 0 for child in self.children)):
                await anyio.lowlevel.checkpoint()  # a busy loop, so that no delay of a reply blocks
                for scope in scopes[turn]:
                    scope.cancel()

    @property
    def models(self) -> Iterator[Model]:
        """All of them."""
        yield self.parent
        yield from (child.model for child in self.children)

    @property
    def billed(self) -> Cost:
        """What the provider bills for the whole run."""
        return sum((model.billed for model in self.models if model.bill), Cost())

    @property
    def completed(self) -> Cost:
        """The part of the bill that whole replies make up."""
        return sum((model.completed for model in self.models if model.bill), Cost())


def _parent(request: Request) -> Reply:
    """Start the children, then answer."""
    if request.tools and request.messages[-1].role == "user":
        return calls((TOOL, {}))
    return ANSWER
