"""`agentkit bench intercode`: recorded SQL agents stopped, let go on or changed over, under a budget.

InterCode's 605 development questions, three recorded agents each, tried in the order of their success on the
training folds; five folds by question, everything fitted on the other four. On the same questions:

- `never`: the first agent goes on to its tenth turn or the end of the budget;
- `fixed`: the best turn to stop at or to pivot at, the same for all questions, chosen on the training folds;
- `policy`: `TurnPolicy`, which decides after each turn by what can be seen of the turns so far.

A turn is priced as a share of a right answer; `value` is success less that price of all turns taken, and `fixed`
and `policy` are fitted to it. `unchecked` nobody says that an answer is right; `checked` the environment does.
Under a token budget (`tokens`) a turn is the mean turn of the training folds. Pairs are over questions.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import fmean
from typing import NamedTuple

from agentkit.evals.benches.base import BenchResult, Options
from agentkit.evals.public_data import required_folder
from agentkit.evals.replay.intercode import LIMIT, Episode, Played, Policy, episodes, play
from agentkit.evals.statistics import bootstrap_mean
from agentkit.planner.turns import Choice, Decision, Turn, TurnPolicy

FOLDS = 5
_QUICK_QUESTIONS = 40


class Setting(NamedTuple):
    """A budget (turns, or tokens), who tells a right answer, and the price of a turn."""

    budget: int
    unit: str = "turns"
    checked: bool = False
    price: float = 0.02

    @property
    def key(self) -> str:
        told = "checked" if self.checked else "unchecked"
        return f"{told}_{self.budget}_{self.unit}_price_{round(100 * self.price)}_pct"


SETTINGS = (
    *(Setting(budget) for budget in (5, 10, 20)),
    *(Setting(budget, "tokens") for budget in (250, 500, 1000)),
    Setting(20, price=0.0),
    Setting(10, price=0.05),
    *(Setting(budget, checked=True) for budget in (10, 20)),
)
_QUICK = (Setting(10),)


@dataclass(frozen=True, slots=True)
class Result:
    """One question under one rule: the replay and its value."""

    played: Played
    value: float


def run(options: Options) -> BenchResult:
    """Replay every question under each setting and rule."""
    found = episodes(required_folder("intercode_sql"))
    random.Random(0).shuffle(found)
    found = found[:_QUICK_QUESTIONS] if options.quick else found
    metrics: dict[str, float] = {"questions": len(found), "folds": FOLDS}
    intervals: dict[str, tuple[float, float]] = {}
    for setting in _QUICK if options.quick else SETTINGS:
        options.progress(f"intercode: {len(found)} questions, {setting.key}")
        results = _replayed(found, setting)
        for rule, by_question in results.items():
            metrics |= {f"{setting.key}_{rule}_{what}": mean for what, mean in _means(by_question).items()}
        for rule in ("never", "fixed"):
            for what, gains in _gains(results["policy"], results[rule]).items():
                key = f"{setting.key}_policy_over_{rule}_{what}"
                metrics[key], intervals[key] = fmean(gains), bootstrap_mean(gains)
    return BenchResult("intercode", metrics, intervals)


def _replayed(found: Sequence[Episode], setting: Setting) -> dict[str, list[Result]]:
    """Return by rule the result of each question, fold after fold."""
    results: dict[str, list[Result]] = {"never": [], "fixed": [], "policy": []}
    for part in range(FOLDS):
        train = [episode for place, episode in enumerate(found) if place % FOLDS != part]
        fold = _Fold(train, setting)
        for rule, policy in fold.rules():
            results[rule] += fold.results(found[part::FOLDS], policy, blind=rule != "policy")
    return results


class _Fold:
    """What is learnt on the training folds under a setting, and replays by it."""

    def __init__(self, train: Sequence[Episode], setting: Setting) -> None:
        self.train, self.setting = train, setting
        self.strategies = sorted(train[0].paths, key=lambda name: -_success(train, name))
        sizes = [size for episode in train for name in self.strategies for size in episode.tokens[name]]
        self.unit = fmean(sizes) if setting.unit == "tokens" else None
        self.budget = setting.budget / (self.unit or 1.0)

    def rules(self) -> Iterator[tuple[str, Policy]]:
        """Yield the rules, fitted."""
        yield "never", _fixed(LIMIT, "stop")
        candidates = [_fixed(turn, then) for turn in range(1, LIMIT + 1) for then in ("stop", "pivot")]
        yield "fixed", max(candidates, key=self._value)
        recordings = [episode.ordered(self.strategies, checked=self.setting.checked) for episode in self.train]
        yield "policy", TurnPolicy.fit(recordings, turns=ceil(self.budget), price=self.setting.price).decide

    def results(self, found: Sequence[Episode], policy: Policy, *, blind: bool) -> list[Result]:
        """Replay `found` by `policy`; `blind` as in `play`."""
        results = []
        for episode in found:
            played = play(
                episode,
                self.strategies,
                policy,
                self.budget,
                checked=self.setting.checked,
                unit=self.unit,
                blind=blind,
            )
            turns = played.tokens / self.unit if self.unit else played.turns
            results.append(Result(played, played.right - self.setting.price * turns))
        return results

    def _value(self, rule: Policy) -> float:
        return fmean(one.value for one in self.results(self.train, rule, blind=True))


def _success(found: Sequence[Episode], strategy: str) -> float:
    return fmean(episode.paths[strategy].right[-1] for episode in found)


def _fixed(turn: int, then: Choice) -> Policy:
    """Return the rule that goes on to `turn` on every path, or until the agent submits, then stops or pivots."""

    def decide(earlier: Sequence[str | None], turns: Sequence[Turn], left: float) -> Decision:
        goes_on = len(turns) < turn and turns[-1].kind != "submitted"
        return Decision("continue" if goes_on else then, len(earlier))

    return decide


def _means(results: Sequence[Result]) -> dict[str, float]:
    return {
        "success": fmean(one.played.right for one in results),
        "turns": fmean(one.played.turns for one in results),
        "tokens": fmean(one.played.tokens for one in results),
        "pivots": fmean(one.played.pivots for one in results),
        "value": fmean(one.value for one in results),
    }


def _gains(mine: Sequence[Result], other: Sequence[Result]) -> dict[str, list[float]]:
    pairs = list(zip(mine, other, strict=True))
    return {
        "value": [a.value - b.value for a, b in pairs],
        "success": [float(a.played.right) - b.played.right for a, b in pairs],
        "turns": [float(a.played.turns - b.played.turns) for a, b in pairs],
    }
