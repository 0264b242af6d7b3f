"""The shortest schedule of a graph on m places, by branch and bound: what a makespan is measured against.

Steps are taken in the order in which they start, each as early as its needs and the first free place allow; some
such order is optimal for identical places, one with a place left idle included. A branch ends where

    max { start(s) + path(s) over unstarted s,  (Σ time until each place is free + unstarted work) / m }

is no less than the best schedule so far.
"""

from __future__ import annotations

from agentkit.evals.benches.dag_shapes import Shape

NODES = 5_000
"""Branches that are looked at; beyond them nothing is proven."""
_SAME = 1e-9


def optimum(shape: Shape, places: int, known: float, nodes: int = NODES) -> float | None:
    """Return the least makespan in seconds, given one of `known` seconds; None if `nodes` do not prove it."""
    search = _Search(shape, places, known, nodes)
    search.extend(frozenset(), {}, (0.0,) * places, 0.0)
    return search.best if search.nodes > 0 else None


def _two_of(shape: Shape, places: int) -> float:
    """Return how long the two shortest of the `places` + 1 longest steps take: two of those share a place."""
    longest = sorted(shape.seconds)[-places - 1 :]
    return longest[0] + longest[1] if len(longest) > places else 0.0


class _Search:
    def __init__(self, shape: Shape, places: int, known: float, nodes: int) -> None:
        self.best, self.nodes = known, nodes
        self._shape, self._places = shape, places
        self._least = max(shape.critical_path, shape.work / places, _two_of(shape, places))
        self._path = [0.0] * len(shape.needs)  # from the start of a step to the end of all
        for step in reversed(range(len(shape.needs))):
            self._path[step] += shape.seconds[step]
            for need in shape.needs[step]:
                self._path[need] = max(self._path[need], self._path[step])
        self._order = sorted(range(len(shape.needs)), key=lambda step: -self._path[step])

    def extend(self, begun: frozenset[int], ends: dict[int, float], free: tuple[float, ...], now: float) -> None:
        """Try every next step after those `begun`; `free` is when each place is, the last start was `now`."""
        self.nodes -= 1
        if len(begun) == len(self._order):
            self.best = min(self.best, max(free))
            return
        starts = self._starts(begun, ends, free, now)
        if (
            self.nodes <= 0
            or self.best <= self._least + _SAME
            or self._bound(begun, starts, free) >= self.best - _SAME
        ):
            return
        tried = set()
        for step in self._order:
            if step not in starts or any(need not in begun for need in self._shape.needs[step]):
                continue
            start, like = starts[step], (self._shape.seconds[step], self._after(step), starts[step])
            if like in tried:  # steps that nothing tells apart
                continue
            tried.add(like)
            end = start + self._shape.seconds[step]
            rest = tuple(sorted((*free[1:], end)))
            self.extend(begun | {step}, {**ends, step: end}, rest, start)

    def _starts(
        self, begun: frozenset[int], ends: dict[int, float], free: tuple[float, ...], now: float
    ) -> dict[int, float]:
        """Return when each unstarted step can start at the earliest; needs come before what needs them."""
        done, starts = dict(ends), dict[int, float]()
        for step, needs in enumerate(self._shape.needs):
            if step not in begun:
                starts[step] = max((done[need] for need in needs), default=0.0)
                starts[step] = max(starts[step], free[0], now)
                done[step] = starts[step] + self._shape.seconds[step]
        return starts

    def _bound(self, begun: frozenset[int], starts: dict[int, float], free: tuple[float, ...]) -> float:
        work = sum(self._shape.seconds[step] for step in starts)
        path = max(start + self._path[step] for step, start in starts.items())
        return max(path, (sum(max(time, min(starts.values())) for time in free) + work) / self._places)

    def _after(self, step: int) -> frozenset[int]:
        return frozenset(other for other, needs in enumerate(self._shape.needs) if step in needs)
