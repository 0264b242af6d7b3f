"""Seconds until a query is answered, when calls are given up after a time-out and the next model is asked.

Worlds are seeded: four models, ln t = a + b·ln(1 + characters) + 0.5·ε, of which a third or so of the calls would
pass the time-out; and the latencies that LLMDrift recorded, in random order, with a time-out that a fifth of them
pass. The same router runs with three views of a call that was given up:

- `censored`: it takes longer than the time-out (ours);
- `naive`: it took the time-out;
- `dropped`: it never happened;

beside `fixed`, the one model that turns out to be the fastest, which no one knows beforehand, and `even`, a draw.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from agentkit.costs import Cost
from agentkit.evals.benches.base import Options
from agentkit.evals.public_data import data_folder
from agentkit.evals.statistics import bootstrap_mean
from agentkit.messages import assistant
from agentkit.routers import Call, Outcome, Query
from agentkit.routers.fastest import FastestRouter
from agentkit.types import Completion, ModelCard, ScopeView

TIMEOUT = 20.0
WORLDS, QUICK_WORLDS = 200, 4
QUERIES, QUICK_QUERIES = 300, 60
MODELS = 4
_VIEW = ScopeView("bench", {}, Cost(), Cost(), Cost(), {})
_REPLY = Completion(assistant("yes"), "stop")

Step = tuple[str, Sequence[float]]
"""A query's text, and how long each model would take."""
View = Callable[[Outcome], Outcome]
Parts = tuple[dict[str, float], dict[str, tuple[float, float]]]


def _naive(outcome: Outcome) -> Outcome:
    return replace(outcome, error=None) if outcome.error else outcome


def _dropped(outcome: Outcome) -> Outcome:
    return replace(outcome, seconds=None) if outcome.error else outcome


VIEWS: Mapping[str, View] = {"censored": lambda outcome: outcome, "naive": _naive, "dropped": _dropped}


def latencies(options: Options) -> Parts:
    """Return figures and intervals, over worlds."""
    count = options.seeds or (QUICK_WORLDS if options.quick else WORLDS)
    queries = QUICK_QUERIES if options.quick else QUERIES
    options.progress(f"rules: {count} worlds of {queries} queries")
    found = _measured("made", [(list(_world(seed, queries)), TIMEOUT) for seed in range(count)])
    if (recorded := _recorded()) is not None:
        steps, timeout = recorded
        orders = [random.Random(seed).sample(steps, len(steps))[:queries] for seed in range(count)]
        options.progress(f"rules: {count} orders of {len(steps)} recorded queries, time-out {timeout:.1f} s")
        more = _measured("real", [(order, timeout) for order in orders])
        found = found[0] | more[0], found[1] | more[1]
    return found


def _measured(name: str, worlds: Sequence[tuple[list[Step], float]]) -> Parts:
    by_rule: dict[str, list[float]] = {rule: [] for rule in (*VIEWS, "fixed", "even")}
    for seed, (steps, timeout) in enumerate(worlds):
        for rule, view in VIEWS.items():
            by_rule[rule].append(fmean(_played(FastestRouter(seed=seed), steps, timeout, view)))
        fixed = [fmean(_asked(seconds, _from(m), timeout)[0] for _, seconds in steps) for m in range(MODELS)]
        by_rule["fixed"].append(min(fixed))
        by_rule["even"].append(fmean(fixed))
    metrics = {f"{name}_{rule}_s": fmean(seconds) for rule, seconds in by_rule.items()}
    metrics[f"{name}_given_up"] = fmean(
        late > timeout for steps, timeout in worlds for _, seconds in steps for late in seconds
    )
    ours = by_rule.pop("censored")
    intervals = {}
    for rule, theirs in by_rule.items():
        saved = [other - mine for mine, other in zip(ours, theirs, strict=True)]
        metrics[f"{name}_saved_over_{rule}_s"] = fmean(saved)
        intervals[f"{name}_saved_over_{rule}_s"] = bootstrap_mean(saved)
    return metrics, intervals


def _played(router: FastestRouter, steps: Sequence[Step], timeout: float, view: View) -> Iterator[float]:
    """Yield the seconds of each query; `view` is what the router is told of an outcome."""
    cards = [ModelCard(f"m{number}", "bench", "bench") for number in range(MODELS)]
    bounds = {card.name: Cost(requests=1) for card in cards}
    for text, seconds in steps:
        query, passed = Query(text, bounds), 0.0
        seen: list[Outcome] = []
        while isinstance(decision := router.next(query, cards, seen, _VIEW), Call):
            took = seconds[int(decision.model[1:])]
            passed += min(took, timeout)
            if took <= timeout:
                outcome = Outcome(decision.model, _REPLY, Cost(), seconds=took)
            else:
                outcome = Outcome(decision.model, None, Cost(), ("late",), "timeout", timeout)
            seen.append(view(outcome))
        yield passed


def _asked(seconds: Sequence[float], order: Sequence[int], timeout: float) -> tuple[float, bool]:
    """Return what it takes to ask in `order` until one is in time, and whether one is."""
    passed = 0.0
    for model in order:
        passed += min(seconds[model], timeout)
        if seconds[model] <= timeout:
            return passed, True
    return passed, False


def _from(model: int) -> list[int]:
    return [model, *(other for other in range(MODELS) if other != model)]


def _world(seed: int, queries: int) -> Iterator[Step]:
    draw = random.Random(seed)
    models = [(draw.uniform(-1.0, 3.0), draw.uniform(0.0, 0.6)) for _ in range(MODELS)]
    for _ in range(queries):
        text = "x" * round(min(draw.lognormvariate(5, 1.2), 20_000))
        size = math.log1p(len(text))
        yield text, [math.exp(a + b * (size - 2) + draw.gauss(0, 0.5)) for a, b in models]


def _recorded() -> tuple[list[Step], float] | None:
    """Return what LLMDrift's four models took, and the time-out that a fifth of the calls pass."""
    folder = data_folder("routing_llmdrift")
    if folder is None:
        return None
    from agentkit.routers.estimators import read_table

    table = read_table(folder)
    whole = [(text, row.tolist()) for text, row in zip(table.texts, table.latency, strict=True)]
    steps: list[Step] = [(text, row) for text, row in whole if all(map(math.isfinite, row))]
    every = sorted(late for _, row in steps for late in row)
    return steps, every[len(every) * 4 // 5]
