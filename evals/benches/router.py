"""`agentkit bench router`: what a routing decision costs, and how long fitting takes.

The table is made up: 10,000 queries of words that tell two hundred topics, 30 models that differ by topic. A
decision is `next` of the fitted default router on a query it has not seen, features included, without an
embedding. The floor is NumPy's product of a (models, features) matrix and a vector, taken in turns with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from agentkit.costs import Cost
from agentkit.errors import MissingExtra
from agentkit.evals.benches.base import BenchResult, Options
from agentkit.evals.statistics import bootstrap_median
from agentkit.routers import Query
from agentkit.types import ScopeView
from agentkit.usage import Price

if TYPE_CHECKING:
    from agentkit.routers.estimators import OutcomeTable

MODELS, QUERIES, QUICK_QUERIES = 30, 10_000, 400
TOPICS, WORDS = 200, 60
DECISIONS, QUICK_DECISIONS = 400, 20
_VIEW = ScopeView("bench", {}, Cost(), Cost(), Cost(), {})


def run(options: Options) -> BenchResult:
    """Fit once, then time decisions and the floor in turns."""
    try:
        import numpy as np

        from agentkit.routers.fit import fit
    except ModuleNotFoundError as error:
        raise MissingExtra("routing", error.name or "numpy") from error
    count = QUICK_QUERIES if options.quick else QUERIES
    turns = options.repeats or (QUICK_DECISIONS if options.quick else DECISIONS)
    draw = np.random.default_rng(0)
    texts = [_text(draw) for _ in range(count + turns)]
    options.progress(f"router: fitting {count:,} queries and {MODELS} models")
    table = _table(draw, texts[:count])
    started = time.perf_counter()
    artefact = fit(table)
    fitted = time.perf_counter() - started
    options.progress(f"router: fitted in {fitted:.1f} s; {turns} decisions")
    router, cards = artefact.router(quality_per_usd=10.0), table.cards()
    bounds = {card.name: Cost(usd=1) for card in cards}
    features = artefact.estimator.features.of(texts[:1])[0]
    matrix = draw.random((MODELS, len(features)))
    times, floors = [], []
    for text in texts[count:]:
        query = Query(text, bounds)
        times.append(_microseconds(partial(router.next, query, cards, (), _VIEW)))
        floors.append(_microseconds(partial(np.matmul, matrix, features)))
    ratios = [mine / floor for mine, floor in zip(times, floors, strict=True)]
    return BenchResult(
        "router",
        {
            "decision_us": median(times),
            "decision_matvec_ratio": median(ratios),
            "matvec_us": median(floors),
            "fit_s": fitted,
            "fit_queries": count,
            "models": MODELS,
        },
        {"decision_us": bootstrap_median(times), "decision_matvec_ratio": bootstrap_median(ratios)},
    )


def _microseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1e6


def _table(draw: Any, texts: list[str]) -> OutcomeTable:
    """Return outcomes of models that differ by topic; dearer ones are no better."""
    import numpy as np

    from agentkit.routers.estimators import Item, OutcomeTable

    shape = len(texts), MODELS
    topics = np.array([int(text.split()[0][1:]) for text in texts])
    price = np.geomspace(0.1, 20, MODELS)
    written = draw.lognormal(5, 0.5, shape)
    return OutcomeTable(
        name="bench",
        items=tuple(Item(f"{n}", "bench", "bench", text) for n, text in enumerate(texts)),
        models=tuple(f"model-{n}" for n in range(MODELS)),
        score=(draw.random(shape) < draw.beta(2, 2, (TOPICS, MODELS))[topics]).astype(float),
        cost=written * price / 1e6,
        input_tokens=np.full(shape, float(WORDS)),
        output_tokens=written,
        latency=np.full(shape, np.nan),
        prices={f"model-{n}": Price(Decimal(f"{p:.4f}"), Decimal(f"{p:.4f}")) for n, p in enumerate(price)},
    )


def _text(draw: Any) -> str:
    """Return a query whose words tell its topic."""
    topic = int(draw.integers(TOPICS))
    own = (f"t{topic}w{word}" for word in draw.integers(8, size=WORDS // 3))
    common = (f"common{word}" for word in draw.integers(500, size=WORDS - WORDS // 3))
    return " ".join([f"t{topic}", *own, *common])
