"""InterCode's recorded SQL agents (NeurIPS 2023, arXiv 2306.14898), turn by turn, and their replay under a policy.

Three agents are recorded with their observations. A multi-turn agent's recording ends when the environment says
its answer is right, at the tenth turn otherwise; the ReAct agent submits. Replayed `checked`, the environment goes
on saying so, and says no more than that. Replayed unchecked nobody does: a decision is taken after the last
recorded turn too, without knowing that it is the last, and an agent that is let go on is taken to affirm its
answer to its tenth turn. That is kind to never stopping, which thereby keeps every answer it once had right.
"""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as File
from typing import Any

from agentkit.evals.public_data import rows
from agentkit.planner.turns import Decision, Kind, Path, Turn, standing

LIMIT = 10
"""Turns a recorded agent had."""
_REFUSED = ("Error", "No SQL")
_LOOKS = ("SHOW", "DESC", "EXPLAIN")
_NOTHING = ("[]", "[(None,)]")

Policy = Callable[[Sequence[str | None], Sequence[Turn], float], Decision]


@dataclass(frozen=True, slots=True)
class Episode:
    """A question: by strategy its recorded path, and the tokens (estimated) of each turn."""

    question: str
    paths: dict[str, Path]
    tokens: dict[str, tuple[int, ...]]

    def ordered(self, strategies: Sequence[str], *, checked: bool) -> tuple[Path, ...]:
        """Return the paths in the order they are tried, as they are when the environment checks, or does not."""
        return tuple(_checked(self.paths[name]) if checked else self.paths[name] for name in strategies)


@dataclass(frozen=True, slots=True)
class Played:
    """How a replay ended: whether rightly, the turns and tokens it took, and the pivots among its decisions."""

    right: bool
    turns: int
    tokens: int
    pivots: int


def episodes(folder: File) -> list[Episode]:
    """Read the questions for which all strategies are recorded with observations."""
    tokens: dict[tuple[str, str], list[int]] = defaultdict(list)
    with gzip.open(folder / "turns.csv.gz", "rt", encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            tokens[row["task_id"], row["strategy"]].append(
                int(row["action_tokens"]) + int(row["observation_tokens"])
            )
    paths: dict[str, dict[str, Path]] = defaultdict(dict)
    for row in rows(folder / "trajectories.jsonl.gz"):
        paths[str(row["task_id"])][row["strategy"]] = read_path(row)
    strategies = {name for found in paths.values() for name in found}
    return [
        Episode(question, found, {name: tuple(tokens[question, name]) for name in found})
        for question, found in paths.items()
        if set(found) == strategies
    ]


def read_path(row: dict[str, Any]) -> Path:
    """Return a recorded trajectory as a path; an answer is right when it reads like the one the reward is for."""
    turns = tuple(
        Turn(action, kind(action, str(seen), valid), str(seen))
        for action, seen, valid in zip(row["actions"], row["observations"], row["valid"], strict=True)
    )
    solved = max(row["rewards"]) == 1
    right = tuple(solved and standing(turns[: count + 1]) == turns[-1].result for count in range(len(turns)))
    submitted = turns[-1].kind == "submitted"
    return Path(turns, right, affirms=0 if submitted else LIMIT - len(turns))


def kind(action: str, seen: str, valid: bool) -> Kind:
    """Say how a turn went, by what the agent sees of it."""
    said = action.strip().removeprefix("execute[").upper()
    if said == "SUBMIT":
        return "submitted"
    if not valid or seen.startswith(_REFUSED):
        return "failed"
    if said.startswith(_LOOKS):
        return "looked"
    return "empty" if seen in _NOTHING else "answered"


def play(
    episode: Episode,
    strategies: Sequence[str],
    policy: Policy,
    budget: float,
    *,
    checked: bool,
    unit: float | None = None,
    blind: bool = False,
) -> Played:
    """Replay a question under a budget of turns; with `unit`, under `budget · unit` tokens.

    A turn that does not fit is not taken: the answer stands that the last decision named. Only a `blind` policy,
    which counts turns and looks at none, is asked on turns that are not recorded: that one who affirms an answer
    was right is known from the recording's end alone.
    """
    meter = _Meter(budget, unit)
    answers: list[str | None] = []
    right: list[bool] = []
    decision = Decision("continue", 0)
    for place, path in enumerate(episode.ordered(strategies, checked=checked)):
        sizes = episode.tokens[strategies[place]]
        for count in range(1, len(path.turns) + path.affirms + 1):
            recorded = min(count, len(path.turns))
            if not meter.take(sizes[recorded - 1]):
                return meter.ended(_right(right, decision.path), place)
            if path.told and count == len(path.turns):
                return meter.ended(True, place)
            answers[place:], right[place:] = [standing(path.turns[:recorded])], [path.right[recorded - 1]]
            if recorded == count or blind:
                shown = (*path.turns[:recorded], *path.turns[-1:] * (count - recorded))
                decision = policy(answers[:place], shown, meter.left)
            if decision.choice != "continue":
                break
        if decision.choice != "pivot":
            break
    return meter.ended(_right(right, decision.path), place)


@dataclass(slots=True)
class _Meter:
    """What a replay has taken, in turns or in turns of `unit` tokens."""

    left: float
    unit: float | None
    turns: int = 0
    tokens: int = 0

    def take(self, size: int) -> bool:
        """Take a turn of `size` tokens; False, and nothing taken, where it does not fit."""
        cost = size / self.unit if self.unit else 1.0
        if cost > self.left:
            return False
        self.left, self.turns, self.tokens = self.left - cost, self.turns + 1, self.tokens + size
        return True

    def ended(self, right: bool, pivots: int) -> Played:
        return Played(right, self.turns, self.tokens, pivots)


def _right(right: Sequence[bool], path: int) -> bool:
    return path < len(right) and right[path]


def _checked(path: Path) -> Path:
    """Return the path as it is when the environment says that an answer is right."""
    return replace(path, told=path.right[-1], affirms=0)
