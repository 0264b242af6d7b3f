"""Plans of the dag bench: shapes by seed, with tool latencies by seed.

`parallelqa`, `movies` and `hotpotqa` have the graphs that LLMCompiler's tasks take (arXiv 2312.04511, section 5):
a search for each thing that a question names and a calculation on each, joined by one; eight searches; two. How
many things there are comes from the questions where the data set is there.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from random import Random

from agentkit.evals.public_data import data_folder
from agentkit.planner import Plan, Ref, Step, ToolUse
from agentkit.planner.tool_use import REFERENCE

TOOL = "work"
_MEDIAN, _DEVIATION = -0.7, 0.8
"""Of the logarithm of a latency in seconds: half a second, and four times that in one call of 25."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A graph: by step what it needs, all of it before it, and how long it takes in seconds."""

    kind: str
    needs: Sequence[Sequence[int]]
    seconds: Sequence[float]

    @property
    def work(self) -> float:
        """Seconds of all steps one after another."""
        return sum(self.seconds)

    @property
    def critical_path(self) -> float:
        """Seconds of the longest path, which no number of places makes shorter."""
        ends: list[float] = []
        for needs, seconds in zip(self.needs, self.seconds, strict=True):
            ends.append(seconds + max((ends[need] for need in needs), default=0.0))
        return max(ends)

    @property
    def text(self) -> str:
        """The plan as a model writes it, a step a line."""
        lines = (
            {
                "id": f"s{place}",
                "tool": TOOL,
                "with": {"seconds": taken, "after": [{REFERENCE: f"s{n}"} for n in needs]},
            }
            for place, (needs, taken) in enumerate(zip(self.needs, self.seconds, strict=True))
        )
        return "\n".join(map(json.dumps, lines))

    def plan(self, concurrency: int | None, estimate: Callable[[float], float] = lambda seconds: seconds) -> Plan:
        """Return the plan; `estimate` is what is known of a latency beforehand."""
        steps = [
            Step(
                f"s{place}",
                call=ToolUse(TOOL, {"seconds": seconds, "after": [Ref(f"s{need}") for need in needs]}),
                seconds=estimate(seconds),
            )
            for place, (needs, seconds) in enumerate(zip(self.needs, self.seconds, strict=True))
        ]
        return Plan(tuple(steps), self.kind, concurrency)


def best_found(shape: Shape, places: int, tries: int = 200) -> float:
    """Return the least makespan in seconds that `tries` list schedules reach, ordered near the critical path.

    It is no proof of what is least, but what it reaches was possible.
    """
    draw = Random(f"{shape.kind} {places}")
    behind = [0.0] * len(shape.needs)
    for place in reversed(range(len(shape.needs))):
        behind[place] += shape.seconds[place]
        for need in shape.needs[place]:
            behind[need] = max(behind[need], behind[place])
    orders = ([length * draw.lognormvariate(0, 0.3) for length in behind] for _ in range(tries))
    return min(_scheduled(shape, places, order) for order in orders)


def _scheduled(shape: Shape, places: int, priority: Sequence[float]) -> float:
    missing = [len(needs) for needs in shape.needs]
    dependents: list[list[int]] = [[] for _ in shape.needs]
    for step, needs in enumerate(shape.needs):
        for need in needs:
            dependents[need].append(step)
    ready = [(-priority[step], step) for step, count in enumerate(missing) if not count]
    heapify(ready)
    running: list[tuple[float, int]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < places:
            step = heappop(ready)[1]
            heappush(running, (now + shape.seconds[step], step))
        now, step = heappop(running)
        for waiting in dependents[step]:
            missing[waiting] -= 1
            if not missing[waiting]:
                heappush(ready, (-priority[waiting], waiting))
    return now


def draw_shape(kind: str, seed: int) -> Shape:
    """Return the shape of `kind` for `seed`."""
    draw = Random(f"{kind} {seed}")
    needs = KINDS[kind](draw)
    return Shape(kind, needs, [round(draw.lognormvariate(_MEDIAN, _DEVIATION), 3) for _ in needs])


def chain(length: int) -> list[list[int]]:
    """Return steps one after another."""
    return [[place - 1] if place else [] for place in range(length)]


def fan(width: int) -> list[list[int]]:
    """Return steps side by side, and one that needs them all."""
    return [*([] for _ in range(width)), list(range(width))]


def _diamonds(draw: Random) -> list[list[int]]:
    """One step, some side by side, one that joins them, and so on."""
    needs: list[list[int]] = [[]]
    for _ in range(draw.randint(1, 4)):
        first, width = len(needs) - 1, draw.randint(2, 6)
        needs += [[first] for _ in range(width)]
        needs.append(list(range(first + 1, first + 1 + width)))
    return needs


def _random(draw: Random) -> list[list[int]]:
    """Up to 32 steps, each after up to three of those before it, and one that needs all ends."""
    needs = [draw.sample(range(place), min(place, draw.randint(0, 3))) for place in range(draw.randint(4, 31))]
    inner = {need for each in needs for need in each}
    return [*needs, [place for place in range(len(needs)) if place not in inner]]


def _parallelqa(draw: Random) -> list[list[int]]:
    """A search and a calculation for each thing, and a comparison."""
    things = draw.choice(_branches())
    needs = [each for thing in range(things) for each in ([], [2 * thing])]
    return [*needs, [2 * thing + 1 for thing in range(things)]]


def _branches() -> Sequence[int]:
    folder = data_folder("agents_llmcompiler")
    if folder is None:
        return (2, 2, 3, 4, 5)
    with gzip.open(folder / "parallelqa_dataset.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [int(json.loads(line)["branch"]) for line in lines]


KINDS: Mapping[str, Callable[[Random], list[list[int]]]] = {
    "chain": lambda draw: chain(draw.randint(2, 20)),
    "diamonds": _diamonds,
    "fan": lambda draw: fan(draw.randint(2, 31)),
    "hotpotqa": lambda draw: fan(2),
    "movies": lambda draw: fan(8),
    "parallelqa": _parallelqa,
    "random": _random,
}
