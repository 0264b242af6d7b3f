"""New models are tried only with quality that was saved before (conservative bandits, arXiv 1602.04282).

With q̂_t what the router in use is expected to score on query t, α what may be lost, and y_t what the answer to a
query on which a newcomer was tried is found to be worth, a balance is kept:

    b_t = Σ_{s ≤ t, tried} y_s + Σ_{s ≤ t, not tried} q̂_s − (1 − α) Σ_{s ≤ t} q̂_s

A newcomer is tried only while b stays at 0 or above even if its answer turns out to be worth nothing. So, whatever
the newcomers do and whenever one looks, b ≥ 0: what was answered is worth at least (1 − α) of what the router in
use was expected to give. A newcomer that does well pays for its own further trials.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from agentkit.costs import NANO
from agentkit.errors import ConfigError
from agentkit.routers.base import Call, Decision, Estimate, Estimator, Outcome, Query, Router, Stop
from agentkit.types import ModelCard, ScopeView

Judge = Callable[[Query, Outcome], float]
"""Says what a reply turned out to be worth, 0 to 1."""

_NOISE = 0.25  # variance of a score that is 0 or 1, at its most


@dataclass(slots=True)
class Record:
    """How a newcomer did against what its card promised: number of trials and the sum of what it was above."""

    trials: int = 0
    above: float = 0.0

    def draw(self, promised: Estimate, source: random.Random) -> float:
        """Return a draw of its quality: what its card promised, plus a draw of what it is above that."""
        precision = 1 / max(promised.deviation, 1e-3) ** 2 + self.trials / _NOISE
        drawn = source.gauss(self.above / _NOISE / precision, 1 / math.sqrt(precision))
        return min(max(promised.quality + drawn, 0.0), 1.0)


class ConservativeRouter:
    """Tries `newcomers` beside `router`, at a loss of at most `most_loss` of the quality expected of it alone.

    A newcomer is called when a draw of its quality (Thompson sampling), less its price at `quality_per_usd`, is
    above what is expected of the router's own choice, and the balance allows. `estimator` says what to expect, of
    newcomers by their cards; `judge` what answers turned out to be worth, and is asked only about trials. A trial
    that fails or does not validate is followed up by `router`.
    """

    def __init__(
        self,
        router: Router,
        estimator: Estimator,
        newcomers: Collection[str],
        judge: Judge,
        *,
        most_loss: float = 0.05,
        quality_per_usd: float = 0.0,
        seed: int = 0,
    ) -> None:
        if not 0 <= most_loss <= 1:
            raise ConfigError(f"most_loss must be between 0 and 1, not {most_loss!r}")
        self.router, self.estimator, self.newcomers, self.judge = router, estimator, frozenset(newcomers), judge
        self.most_loss, self.quality_per_usd, self.balance = most_loss, quality_per_usd, 0.0
        self.records = {name: Record() for name in self.newcomers}
        self._random = random.Random(seed)

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Return a trial that is worth it and paid for, else what the router in use says."""
        tried = {outcome.model for outcome in seen}
        usual = [card for card in candidates if card.name not in self.newcomers or card.name in tried]
        decision = self.router.next(query, usual, seen, view)
        if not seen:
            return self._first(query, candidates, decision, view)
        if len(seen) == 1 and seen[0].model in self.newcomers and seen[0].completion and not seen[0].valid:
            self._learn(query, candidates, seen[0].model, 0.0)
        if isinstance(decision, Stop):
            if decision.answer is None or not seen[decision.answer].valid:
                return self._last_resort(query, candidates, seen, view) or decision
            if seen[0].model in self.newcomers:
                self._settle(query, candidates, seen[decision.answer])
        return decision

    def _first(
        self, query: Query, candidates: Sequence[ModelCard], decision: Decision, view: ScopeView
    ) -> Decision:
        if isinstance(decision, Stop):
            return self._last_resort(query, candidates, (), view) or decision
        estimates = self._estimates(query, candidates)
        usual = estimates[decision.model]
        expected, kept = usual.quality, (1 - self.most_loss) * usual.quality
        worth = {
            name: self.records[name].draw(estimates[name], self._random) - self._price(estimates[name])
            for name in self._callable(query, candidates, (), view)
            if name not in query.weak
        }
        best = max(worth, key=worth.__getitem__, default=None)
        if best is None or worth[best] <= expected - self._price(usual) or self.balance < kept:
            self.balance += expected - kept
            return decision
        self.balance -= kept  # until its answer is judged, as if it were worth nothing
        return Call(best, f"a trial; the balance of quality is {self.balance:.2f}")

    def _settle(self, query: Query, candidates: Sequence[ModelCard], answer: Outcome) -> None:
        """Credit the answer of a query on which a newcomer was tried, and learn from it if it is its own."""
        worth = min(max(self.judge(query, answer), 0.0), 1.0)
        self.balance += worth
        if answer.model in self.newcomers:
            self._learn(query, candidates, answer.model, worth)

    def _learn(self, query: Query, candidates: Sequence[ModelCard], newcomer: str, worth: float) -> None:
        record = self.records[newcomer]
        record.trials += 1
        record.above += worth - self._estimates(query, candidates)[newcomer].quality

    def _last_resort(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Call | None:
        """Return a newcomer where the router in use has nobody left to call, for then there is nothing to lose."""
        left = self._callable(query, candidates, seen, view)
        if any(outcome.completion for outcome in seen):
            left = [name for name in left if name not in query.weak]
        return Call(left[0], "no usual model can be called") if left else None

    def _callable(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> list[str]:
        tried = {outcome.model for outcome in seen}
        return [
            card.name
            for card in candidates
            if card.name in self.newcomers - tried
            and (card.capabilities.tools or not query.needs_tools)
            and query.fits(card.name, view)
        ]

    def _estimates(self, query: Query, candidates: Sequence[ModelCard]) -> dict[str, Estimate]:
        estimates = self.estimator.estimate(query, candidates, ())
        return {card.name: one for card, one in zip(candidates, estimates, strict=True)}

    def _price(self, estimate: Estimate) -> float:
        return self.quality_per_usd * estimate.cost["usd"] / NANO
