"""Stop, continue or pivot after each turn of a tool loop, by what its turns look like and what is left.

BATS (arXiv 2511.17006) lets a model judge whether a path is worth more of the budget; `bats.py` does that. Here
the decision costs nothing: it is optimal stopping over a few visible signs s of the work so far (which path, how
far, how its last turn went, failures in a row, whether its answer agrees with an earlier path's), learnt from
recorded runs. With n turns left and c the price of a turn as a share of a right answer's worth, the value of a
recording is

    V(n) = r_j                stop with path j's answer, which is right (1) or not (0)
           V'(n − 1) − c      continue: the same path a turn later; pivot: the first turn of the next path

under the decision whose mean over all recordings at s is highest. Returns are followed along each recording, as in
F. Longstaff and E. Schwartz (Rev. Financ. Stud. 14, 2001), not looked up by state: a question that was hard on one
path is hard on the next, and values pooled by state would promise too much of a pivot.

Which answers were right is known to `fit` only; a decision sees past turns.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Literal, NamedTuple

from agentkit.errors import ConfigError

Kind = Literal["failed", "looked", "empty", "answered", "submitted"]
Choice = Literal["stop", "continue", "pivot"]
Agreement = Literal["none", "differs", "agrees"]
_Past = tuple[tuple[str | None, bool], ...]

PRIOR_WEIGHT = 5.0
"""Recordings that the mean of all states with the same path, turn and kind of last turn counts for."""
_MOST_FAILURES = 3
_RESULTS = ("answered", "empty", "submitted")


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn as an agent sees it: what it did, how that went, and the result as text."""

    action: str
    kind: Kind
    result: str = ""


class State(NamedTuple):
    """What a decision looks at: path, turns in it, how the last went, failures in a row, and agreement.

    Turns are counted exactly: were they pooled, the fit would believe in turns that cost nothing.
    """

    path: int
    turns: int
    kind: Kind
    failures: int
    agreement: Agreement


class Decision(NamedTuple):
    """What to do now, and the path whose answer stands if the work ends here."""

    choice: Choice
    path: int


@dataclass(frozen=True, slots=True)
class Path:
    """A recorded way to an answer: its turns, and whether the answer that stood after each was right.

    `affirms` is how many turns more it would have repeated its answer when nobody stopped it. With `told`, it
    ended because it was told that the answer is right, so nobody decides after its last turn. Raises ConfigError
    unless each turn is marked, and there is one.
    """

    turns: tuple[Turn, ...]
    right: tuple[bool, ...]
    affirms: int = 0
    told: bool = False

    def __post_init__(self) -> None:
        if not self.turns or len(self.turns) != len(self.right):
            raise ConfigError(
                f"a recorded path has a turn or more, each right or not; got {len(self.turns)} turns "
                f"and {len(self.right)} marks"
            )


class Ending(NamedTuple):
    """Work that is over without a decision: whether rightly, and the turns that took."""

    right: bool
    turns: int


def standing(turns: Sequence[Turn]) -> str | None:
    """Return the answer that stands after `turns`: the last result, rows or none; None before the first."""
    return next((turn.result for turn in reversed(turns) if turn.kind in _RESULTS), None)


def state(earlier: Sequence[str | None], turns: Sequence[Turn]) -> State:
    """Return the signs of a path's `turns` after the `earlier` paths' answers; `turns` is not empty."""
    answer = standing(turns)
    known = [other for other in earlier if other is not None]
    agreement: Agreement = "none"
    if answer is not None and known:
        agreement = "agrees" if answer in known else "differs"
    return State(len(earlier), len(turns), turns[-1].kind, _failures(turns), agreement)


@dataclass(frozen=True, slots=True)
class TurnPolicy:
    """Decides after each turn; made by `fit`. `turns` is the most that can be left in the budget.

    A state that no recording had goes on while it can, since nothing is known against it.
    """

    turns: int
    _decisions: dict[tuple[State, int], Decision] = field(repr=False)

    @classmethod
    def fit(cls, recordings: Sequence[Sequence[Path]], *, turns: int, price: float) -> TurnPolicy:
        """Learn from recorded paths, per question in the order they are tried, under `turns` and a price a turn.

        Raises ConfigError without recordings, and for a price below 0.
        """
        if not recordings or price < 0:
            raise ConfigError("a turn policy is fitted on one recording or more, at a price of 0 or more")
        nodes: list[_Node] = []
        for paths in recordings:
            _Walk(paths, nodes).enter(0, ())
        decisions: dict[tuple[State, int], Decision] = {}
        worth: list[float] = []
        for left in range(turns + 1):
            returns = [node.returns(worth, left, price) for node in nodes]
            chosen = _best(nodes, returns)
            worth = [node.follow(chosen[node.state], gains) for node, gains in zip(nodes, returns, strict=True)]
            decisions.update(((at, left), decision) for at, decision in chosen.items())
        return cls(turns, decisions)

    def decide(self, earlier: Sequence[str | None], turns: Sequence[Turn], left: float) -> Decision:
        """Decide after a path's `turns`, with the answers of `earlier` paths and `left` turns in the budget.

        A part of a turn counts as one: in a budget of tokens a turn smaller than the mean one may still fit.
        """
        whole = max(0, min(ceil(left), self.turns))
        at = state(earlier, turns)
        unknown = Decision("continue" if whole and turns[-1].kind != "submitted" else "stop", len(earlier))
        return self._decisions.get((at, whole), unknown)


@dataclass(frozen=True, slots=True)
class _Node:
    """A turn of a recorded path after certain earlier answers: which are right, and where moves lead."""

    state: State
    right: tuple[bool, ...]
    onward: int | Ending | None
    pivot: int | Ending | None

    def returns(self, worth: Sequence[float], left: int, price: float) -> dict[Decision, float]:
        """Return what each decision came to, by what the nodes it leads to are worth with a turn less."""
        gains = {Decision("stop", path): float(right) for path, right in enumerate(self.right)}
        moves: tuple[tuple[Choice, int | Ending | None], ...] = (("continue", self.onward), ("pivot", self.pivot))
        for choice, target in moves if left else ():
            if isinstance(target, Ending):
                gains[Decision(choice, self.state.path)] = target.right - price * min(target.turns, left)
            elif target is not None:
                gains[Decision(choice, self.state.path)] = worth[target] - price
        return gains

    def follow(self, decision: Decision, gains: Mapping[Decision, float]) -> float:
        """Return what `decision` came to; where this recording has no such move, what stopping did."""
        return gains.get(decision, gains[Decision("stop", self.state.path)])


@dataclass(frozen=True, slots=True)
class _Walk:
    """Lays out one question's nodes: every path after every different set of earlier answers."""

    paths: Sequence[Path]
    nodes: list[_Node]
    entered: dict[tuple[int, _Past], int | Ending | None] = field(default_factory=dict)

    def enter(self, number: int, past: _Past) -> int | Ending | None:
        """Return where path `number` begins after `past`; None where there is no such path."""
        if number == len(self.paths):
            return None
        if (number, past) not in self.entered:
            self.entered[number, past] = self._lay(self.paths[number], number, past)
        return self.entered[number, past]

    def _lay(self, path: Path, number: int, past: _Past) -> int | Ending | None:
        onward: int | Ending | None = Ending(path.right[-1], path.affirms) if path.affirms else None
        last = len(path.turns)
        if path.told:
            onward, last = Ending(True, 1), last - 1
        for count in range(last, 0, -1):
            turns = path.turns[:count]
            behind = (*past, (standing(turns), path.right[count - 1]))
            pivot = self.enter(number + 1, behind)
            at = state([answer for answer, _ in past], turns)
            self.nodes.append(_Node(at, tuple(right for _, right in behind), onward, pivot))
            onward = len(self.nodes) - 1
        return onward


def _best(nodes: Sequence[_Node], returns: Sequence[dict[Decision, float]]) -> dict[State, Decision]:
    """Return for each state the decision of the highest mean return, shrunk to that of states much alike."""
    fine: dict[State, _Means] = defaultdict(_Means)
    coarse: dict[tuple[int, int, Kind], _Means] = defaultdict(_Means)
    for node, gains in zip(nodes, returns, strict=True):
        for means in (fine[node.state], coarse[node.state[:3]]):
            means.add(gains)
    return {at: means.best(coarse[at[:3]]) for at, means in fine.items()}


@dataclass(slots=True)
class _Means:
    """Mean returns by decision."""

    total: dict[Decision, float] = field(default_factory=lambda: defaultdict(float))
    count: Counter[Decision] = field(default_factory=Counter)

    def add(self, gains: Mapping[Decision, float]) -> None:
        for decision, gain in gains.items():
            self.total[decision] += gain
            self.count[decision] += 1

    def best(self, prior: _Means) -> Decision:
        def mean(decision: Decision) -> float:
            usual = prior.total[decision] / prior.count[decision]
            return (self.total[decision] + PRIOR_WEIGHT * usual) / (self.count[decision] + PRIOR_WEIGHT)

        return max(self.total, key=mean)


def _failures(turns: Sequence[Turn]) -> int:
    """Count the turns at the end that failed, came back empty or did what had been done before, up to a few."""
    done = Counter(turn.action for turn in turns)
    count = 0
    for turn in reversed(turns):
        repeated = done[turn.action] > 1 and turn.kind != "submitted"
        if turn.kind not in ("failed", "empty") and not repeated:
            break
        done[turn.action] -= 1
        count += 1
    return min(count, _MOST_FAILURES)
