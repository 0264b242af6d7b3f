"""The fastest model, learned on the way: Thompson sampling on latencies that time-outs cut off (arXiv 2109.06234).

By model, ln t = x·θ + ε with ε ~ N(0, σ²) and θ ~ N(m, V), x the length of the text. A call that took t moves the
posterior by a Kalman step. One that was given up at c only says that x·θ + ε > ln c; the posterior is then the
Gaussian of the same mean and covariance as the exact one:

    s² = x'Vx + σ²,   a = (ln c − x·m) / s,   ν = φ(a) / (1 − Φ(a))
    m ← m + Vx · ν/s,   V ← V − Vx x'V · ν(ν − a)/s²

and for a call that ended the same two lines with ν = (ln t − x·m)/s and 1 for ν(ν − a). The paper draws a latency
above c instead, up to twenty times, and counts it as if it had been seen.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Sequence
from statistics import NormalDist

from agentkit.routers.base import Call, Decision, Outcome, Query, Stop
from agentkit.routers.preferences import Preferences
from agentkit.types import ModelCard, ScopeView

_SPREAD = 0.5  # σ: of two calls in three the longer one takes at most 2.7 times the other
_USUAL = math.log(5.0)  # seconds, before anything is known
_DOUBT = ((4.0, 0.0), (0.0, 1.0))  # a factor of 7 either way, and of 3 over the lengths that occur
_FAR = 6.0  # deviations, beyond which the tail is replaced by its limit
_REMEMBERED = 256  # outcomes that were learnt from, more than are under way at a time
_NORMAL = NormalDist()


class Posterior:
    """What is known of a model's latencies: `mean` and `covariance` of the coefficients of ln seconds."""

    __slots__ = ("covariance", "mean")

    def __init__(self) -> None:
        self.mean = [_USUAL, 0.0]
        self.covariance = [list(row) for row in _DOUBT]

    def at(self, x: Sequence[float]) -> tuple[float, float]:
        """Return mean and variance of x·θ."""
        return _dot(self.mean, x), _dot(self._spread(x), x)

    def observe(self, x: Sequence[float], seconds: float, *, given_up: bool = False) -> None:
        """Take a call that took `seconds`, or that was not over by then."""
        spread = self._spread(x)
        deviation = math.sqrt(_dot(spread, x) + _SPREAD**2)
        surprise, share = (math.log(max(seconds, 1e-3)) - _dot(self.mean, x)) / deviation, 1.0
        if given_up:
            surprise, share = _beyond(surprise)
        self.mean = [m + v * surprise / deviation for m, v in zip(self.mean, spread, strict=True)]
        self.covariance = [
            [c - v * w * share / deviation**2 for c, w in zip(row, spread, strict=True)]
            for row, v in zip(self.covariance, spread, strict=True)
        ]

    def _spread(self, x: Sequence[float]) -> list[float]:
        return [_dot(row, x) for row in self.covariance]


_FRESH = Posterior()


class FastestRouter:
    """Calls the model that is likely the fastest, for models that are all good enough.

    What is likely is drawn from what is known (Thompson sampling), so that each is called as often as it may be
    the fastest, and each once to begin with. Learns from every outcome whose seconds are known, and from a
    time-out that the call takes longer; other failures say nothing of a latency.
    """

    def __init__(self, *, preferences: Preferences | None = None, seed: int = 0) -> None:
        self.preferences = preferences or Preferences()
        self.known: dict[str, Posterior] = {}
        self._learnt: deque[Outcome] = deque(maxlen=_REMEMBERED)
        self._random = random.Random(seed)

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Learn from the new outcomes; stop with the last when it is valid, else call the fastest that is left."""
        x = (1.0, math.log1p(len(query.text)) / 10)
        for outcome in seen:
            self._learn(outcome, x)
        if seen and seen[-1].valid:
            return Stop(len(seen) - 1, "the reply is valid")
        known = {card.name: self.known.get(card.name, _FRESH).at(x) for card in candidates}
        left = [
            (card.name in query.weak, self._drawn(card.name, *known[card.name]), card.name)
            for card in candidates
            if self.preferences.allow(query, card, math.exp(known[card.name][0]), seen, view)
        ]
        replies = [place for place, outcome in enumerate(seen) if outcome.completion is not None]
        if left and not (replies and min(left)[0]):
            name = min(left)[2]
            seconds = math.exp(known[name][0])
            return Call(
                name, f"likely in {seconds:.2g} s" if name in self.known else "its latency is not known yet"
            )
        if replies:
            return Stop(replies[-1], "no other model is left")
        return Stop(None, "every model failed" if seen else "no model could be called")

    def _learn(self, outcome: Outcome, x: Sequence[float]) -> None:
        """Learn from an outcome once; a declared fallback may have followed it, so that it is not the last one."""
        if any(outcome is one for one in self._learnt):
            return
        self._learnt.append(outcome)
        if outcome.seconds is not None and outcome.error in (None, "timeout"):
            posterior = self.known.setdefault(outcome.model, Posterior())
            posterior.observe(x, outcome.seconds, given_up=outcome.error == "timeout")

    def _drawn(self, model: str, mean: float, variance: float) -> float:
        """Return ln seconds as they may be; a model that was never called comes first."""
        return self._random.gauss(mean, math.sqrt(max(variance, 0.0))) if model in self.known else -math.inf


def _beyond(a: float) -> tuple[float, float]:
    """Return the mean of a standard normal above `a`, and by how much its variance is below 1."""
    if a > _FAR:  # φ and 1 − Φ both vanish
        mean = a + 1 / a
    else:
        mean = _NORMAL.pdf(a) / _NORMAL.cdf(-a)
    return mean, min(max(mean * (mean - a), 0.0), 1.0)


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))
