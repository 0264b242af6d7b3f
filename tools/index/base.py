"""What a tool index is asked and what it answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from agentkit.budgets import Scope
from agentkit.tools.tool import Tool

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Scored(Generic[T]):
    """Something found and how well it fits; scores of one search compare, those of two do not."""

    item: T
    score: float


class ToolIndex(Protocol):
    """Tools that can be searched by what they are needed for."""

    async def search(self, need: str, k: int, scope: Scope) -> Sequence[Scored[Tool]]:
        """Return the `k` tools that fit `need` best, best first; what the search costs `scope` pays."""
        ...


def best(tools: Sequence[Tool], scores: Iterable[float], k: int) -> list[Scored[Tool]]:
    """Return the `k` of `tools` with the highest scores; ties in the order of the tools."""
    ranked = sorted(zip(scores, range(len(tools)), strict=True), key=lambda pair: (-pair[0], pair[1]))
    return [Scored(tools[place], float(score)) for score, place in ranked[: max(k, 0)]]
