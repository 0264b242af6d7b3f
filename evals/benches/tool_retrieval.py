"""`agentkit bench tool-retrieval`: how many of the tools a question needs are among the first 1, 5 and 10 found.

Five question sets of four public collections (ToolE of MetaTool with one and with two tools, Seal-Tools, API-Bank,
StableToolBench), each index over all tools of its set. The constants of the fused index were chosen while looking
at samples of these development questions; the questions kept for acceptance were not seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median

import anyio

from agentkit.backends.minilm import MiniLM
from agentkit.budgets import Ledger
from agentkit.costs import Cost
from agentkit.evals.baselines.three_view_votes import ThreeViewVotes
from agentkit.evals.benches.base import BenchResult, Options, environment
from agentkit.evals.benches.tool_sets import SETS, Asked, ToolSet, read
from agentkit.evals.statistics import bootstrap_mean
from agentkit.tools import Tool
from agentkit.tools.index import DependencyIndex, FusedIndex, LexicalIndex, SemanticIndex, ToolIndex

QUESTIONS, QUICK_QUESTIONS = 1_000, 12
SEED = 610_001
DEPTHS = (1, 5, 10)
PUBLISHED = {
    "toolshed": {
        "toole_single_recall_at_5_over_bm25": 0.46,
        "toole_multi_recall_at_5_over_bm25": 0.56,
        "sealtools_recall_at_5_over_bm25": 0.47,
    }
}
"""Toolshed (arXiv 2410.14594): what it gained over its baseline, with documents and queries a model enriched."""

Recalls = Mapping[int, list[float]]
"""By depth, the recall of every question in order."""


def run(options: Options) -> BenchResult:
    """Search every set with every index."""
    embedder = MiniLM()
    kinds: dict[str, Callable[[Sequence[Tool]], ToolIndex]] = {
        "bm25": LexicalIndex,
        "linked": lambda tools: DependencyIndex(tools, LexicalIndex(tools)),
        "embedding": lambda tools: SemanticIndex(tools, embedder),
        "votes": lambda tools: ThreeViewVotes(tools, embedder),
        "fused": lambda tools: FusedIndex(tools, embedder, decompose=False),
        "full": lambda tools: FusedIndex(tools, embedder),
    }
    names = ("apibank",) if options.quick else tuple(SETS)
    found: dict[str, dict[str, Recalls]] = {kind: {} for kind in kinds}
    milliseconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    sizes: dict[str, dict[str, int]] = {}
    for name in names:
        tools = read(name).sample(QUICK_QUESTIONS if options.quick else options.repeats or QUESTIONS, SEED)
        sizes[name] = {"tools": len(tools.tools), "questions": len(tools.asked)}
        for kind, make in kinds.items():
            recalls, times = anyio.run(_measured, make(tools.tools), tools)
            found[kind][name] = recalls
            milliseconds[kind] += times
            options.progress(f"{name}, {kind}: recall at 5 {fmean(recalls[5]):.3f}")
    return BenchResult(
        "tool-retrieval",
        {**_metrics(found, names), **{f"{kind}_search_ms": median(times) for kind, times in milliseconds.items()}},
        _intervals(found, names),
        PUBLISHED,
        environment(sets=sizes),
    )


async def _measured(index: ToolIndex, tools: ToolSet) -> tuple[Recalls, list[float]]:
    place = {tool.name: at for at, tool in enumerate(tools.tools)}
    recalls: dict[int, list[float]] = {depth: [] for depth in DEPTHS}
    times: list[float] = []
    with Ledger.open() as ledger:
        scope = ledger.scope(tools.name, limits=Cost())
        await index.search(tools.asked[0].text, 1, scope)  # the tools are embedded by the first search
        for question in tools.asked:
            start = time.perf_counter()
            hits = await index.search(question.text, max(DEPTHS), scope)
            times.append((time.perf_counter() - start) * 1_000)
            ranked = [place[hit.item.name] for hit in hits]
            for depth in DEPTHS:
                recalls[depth].append(_recall(question, ranked[:depth]))
    return recalls, times


def _recall(question: Asked, places: Sequence[int]) -> float:
    return len(question.gold & set(places)) / len(question.gold)


def _metrics(found: Mapping[str, Mapping[str, Recalls]], names: Sequence[str]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for kind, sets in found.items():
        for depth in DEPTHS:
            each = {name: fmean(sets[name][depth]) for name in names}
            metrics[f"{kind}_macro_recall_at_{depth}"] = fmean(each.values())
            metrics.update({f"{kind}_{name}_recall_at_{depth}": value for name, value in each.items()})
    return metrics


def _intervals(found: Mapping[str, Mapping[str, Recalls]], names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """The macro recall at 5 of the whole pipeline less that of each other, question by question.

    Every set counts the same, so its questions are weighted by their number.
    """
    total = sum(len(found["full"][name][5]) for name in names)
    intervals: dict[str, tuple[float, float]] = {}
    compared = (
        ("linked", ("bm25",)),
        ("fused", ("bm25", "embedding")),
        ("full", ("bm25", "embedding", "votes", "fused")),
    )
    for better, others in compared:
        for other in others:
            differences = [
                (a - b) * total / (len(names) * len(found[better][name][5]))
                for name in names
                for a, b in zip(found[better][name][5], found[other][name][5], strict=True)
            ]
            intervals[f"{better}_less_{other}_macro_recall_at_5"] = bootstrap_mean(differences)
    return intervals
