"""Tools that bring others along: what one takes as an argument, another may have to find out first.

    score'(t) = score(t) + BROUGHT · max { score(c) / √(producers of p) : c among the best, p a parameter that c
    must be given, t produces p }

`cancel_order(token)` is seldom of use without `log_in`, which no question names. That is Graph RAG-Tool Fusion's
idea (a graph of tools beside their vectors) with a graph that nobody has to draw: a tool produces what its result
holds (`Tool.gives`), else what its description speaks of. A parameter called `id` or `name` stands for what its
tool is about. What many produce counts for little.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from agentkit.budgets import Scope
from agentkit.tools.index.base import Scored, ToolIndex, best
from agentkit.tools.index.words import words
from agentkit.tools.tool import Tool

BROUGHT = 0.25
"""Weight of the score of a tool that is in need of what another one produces."""
_GENERAL = frozenset(
    words("id name number key code value status result message type list data query date time text input output")
)
"""Words of names that say nothing of what is meant; that which remains of a name does."""

Link = tuple[int, tuple[int, ...]]
"""The place of a tool that must be given something, and the places of those that produce it."""


class DependencyIndex:
    """A `ToolIndex` that ranks the tools of another one again, for what they need of each other."""

    def __init__(self, tools: Sequence[Tool], index: ToolIndex) -> None:
        self.tools, self._index = tuple(tools), index
        self._places = {tool.name: place for place, tool in enumerate(self.tools)}
        self._links = links(self.tools)

    async def search(self, need: str, k: int, scope: Scope) -> Sequence[Scored[Tool]]:
        """Return the `k` tools that fit `need` best, alone or for another one among the first `k`."""
        hits = await self._index.search(need, len(self.tools), scope)
        scores = {self._places[hit.item.name]: hit.score for hit in hits}
        wanting = {self._places[hit.item.name] for hit in hits[:k] if hit.score > 0}
        brought: dict[int, float] = defaultdict(float)
        for place, producers in self._links:
            for producer in producers if place in wanting else ():
                brought[producer] = max(brought[producer], scores[place] / math.sqrt(len(producers)))
        ranked = [scores.get(place, 0.0) + BROUGHT * brought[place] for place in range(len(self.tools))]
        return best(self.tools, ranked, k)


def links(tools: Sequence[Tool]) -> list[Link]:
    """Return for every parameter that a tool must be given the other tools that produce it, if any does."""
    taken = [_taken(tool) for tool in tools]
    giving: dict[str, set[int]] = defaultdict(set)  # by word, so that not every pair is looked at
    given = [_given(tool) for tool in tools]
    for place, results in enumerate(given):
        for word in set().union(*results):
            giving[word].add(place)
    found: list[Link] = []
    for place, parameters in enumerate(taken):
        for parameter in sorted(parameters, key=sorted):
            able = set.intersection(*(giving[word] for word in parameter)) - {place}
            producers = tuple(
                other
                for other in sorted(able)
                if parameter not in taken[other] and any(parameter <= result for result in given[other])
            )
            if producers:
                found.append((place, producers))
    return found


def _taken(tool: Tool) -> set[frozenset[str]]:
    required = tool.spec.parameters.get("required", ())
    return {said for name in required if (said := _said(str(name), tool))}


def _given(tool: Tool) -> list[frozenset[str]]:
    """What a result holds is known by name, or by the description, in which every word may be one."""
    if tool.gives:
        return [_said(name, tool) for name in tool.gives]
    return [_telling(words(tool.spec.description))]


def _said(name: str, tool: Tool) -> frozenset[str]:
    """Return the words of a field that say what it is, else what its tool is about: its name's last word."""
    return _telling(words(name)) or _telling(words(tool.name)[-1:])


def _telling(said: Iterable[str]) -> frozenset[str]:
    return frozenset(word for word in said if len(word) > 2 and word not in _GENERAL)
