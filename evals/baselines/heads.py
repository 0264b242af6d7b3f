"""The published query-only routers: one head, a plug-in utility (CARROT, arXiv 2502.03261), one call.

`knn`, `cluster` (Avengers-Pro's clusters) and `mf` (EmbedLLM's factors) differ in the head alone; all get our
features, our calibration and our cost model, so that what is compared is the method and not its embedding.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentkit.evals.baselines.ladder import Contender, Ladder
from agentkit.evals.baselines.shared import shared_features
from agentkit.routers import Decision, Outcome, Query, Router, Stop, UtilityRouter
from agentkit.routers.estimators import OutcomeTable, fit_estimator
from agentkit.types import ModelCard, ScopeView


class OneCall:
    """Lets `router` choose one model and takes whatever it says."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Stop with the first reply."""
        return Stop(0, "one call") if seen else self._router.next(query, candidates, seen, view)


def head(name: str) -> Contender:
    """Return the contender whose quality comes from the head `name` alone."""

    def fit(table: OutcomeTable) -> Ladder:
        estimator, choice, *_ = fit_estimator(
            table, heads=[name], features=lambda texts: shared_features(tuple(texts))
        )
        routers = tuple(OneCall(UtilityRouter(estimator, rate)) for rate, _, _ in choice.curve)
        return Ladder(routers, tuple(spend for _, spend, _ in choice.curve), estimator)

    return fit
