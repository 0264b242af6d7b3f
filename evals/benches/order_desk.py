"""How well the embedded models work the order desk, and what a right answer costs.

Every question goes through the public entry point with ledger, trace and scopes on. Names, ids and sentences of
the questions never occurred in training; the desk is generated for the bench.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from agentkit import Budget
from agentkit.backends import Backend
from agentkit.evals.benches.base import BenchResult, Options
from agentkit.evals.statistics import Interval, wilson
from agentkit.evals.suites.order_desk.agent import Score, desk_agent, draw_questions, score
from agentkit.evals.suites.order_desk.database import Desk
from agentkit.local_models import LocalBackend
from agentkit.local_models.zoo import CARDS, folder, random_copy
from agentkit.tools.index import ToolSearch

QUESTIONS = 500
CROWDED_QUESTIONS = 200
CROWDS = (0, 8, 32)
SEARCHED_CROWDS = (32, 100)
DESK_SEED, QUESTION_SEED = 500_001, 500_002


@dataclass(slots=True)
class _Tally:
    """Collects the keys of the result."""

    metrics: dict[str, float]
    intervals: dict[str, Interval]

    def add(self, key: str, scores: Sequence[Score]) -> None:
        right = sum(item.correct for item in scores)
        self.metrics[key] = right / len(scores)
        self.intervals[key] = wilson(right, len(scores))


def run(options: Options) -> BenchResult:
    """Measure pico, nano, the router between them, and a model with random weights."""
    return anyio.run(_run, options)


async def _run(options: Options) -> BenchResult:
    tally = _Tally({}, {})
    with TemporaryDirectory() as scratch:
        models = {name: [LocalBackend(card, folder(name))] for name, card in CARDS.items()}
        routed = [backend for pair in models.values() for backend in pair]
        for name, backends in (*models.items(), ("router", routed)):
            await _measure(name, backends, options, tally)
        await _search(models["nano"], options, tally)
        untrained = LocalBackend(replace(CARDS["nano"], name="random"), random_copy("nano", Path(scratch), seed=1))
        scores = await _ask([untrained], 0, _count(options, 100), options.progress, "random weights")
        tally.add("random_weights_accuracy", scores)
    return BenchResult("order-desk", tally.metrics, tally.intervals)


async def _measure(name: str, backends: Sequence[Backend], options: Options, tally: _Tally) -> None:
    for crowd in CROWDS:
        count = _count(options, QUESTIONS if crowd == 0 else CROWDED_QUESTIONS)
        scores = await _ask(backends, crowd, count, options.progress, f"{name}, {crowd} distractors")
        tally.add(f"{name}_accuracy_distractors_{crowd}", scores)
        if crowd == 0:
            tally.add(f"{name}_one_step_accuracy", [item for item in scores if not item.question.is_two_step])
            tally.add(f"{name}_two_step_accuracy", [item for item in scores if item.question.is_two_step])
            right = sum(item.correct for item in scores)
            spent = float(sum(item.cost for item in scores))
            tally.metrics[f"{name}_cost_per_correct_usd"] = spent / right if right else float("inf")
            tally.metrics[f"{name}_cost_per_question_usd"] = spent / len(scores)


async def _search(backends: Sequence[Backend], options: Options, tally: _Tally) -> None:
    """Offer nano every tool, then the 16 found for the question; 100 schemas do not fit its context."""
    for crowd in SEARCHED_CROWDS:
        count = _count(options, CROWDED_QUESTIONS)
        linked = ToolSearch(always=["calculate"], dependencies=True)
        searches = (("all", None), ("words", ToolSearch()), ("linked", linked), ("both", ToolSearch(by="both")))
        for how, search in searches:
            scores = await _ask(backends, crowd, count, options.progress, f"{crowd} distractors, {how}", search)
            tally.add(f"search_{how}_accuracy_distractors_{crowd}", scores)
            read = sum(item.answer.spent["input_tokens"] for item in scores) / len(scores)
            tally.metrics[f"search_{how}_prompt_tokens_distractors_{crowd}"] = read


async def _ask(
    backends: Sequence[Backend],
    crowd: int,
    count: int,
    progress: Callable[[str], None],
    what: str,
    tool_search: ToolSearch | None = None,
) -> list[Score]:
    desk = Desk.create(DESK_SEED, "test", size=120)
    agent = desk_agent(desk, backends, crowd=crowd, seed=crowd, tool_search=tool_search)
    scores: list[Score] = []
    for place, question in enumerate(draw_questions(desk, "test", count, QUESTION_SEED), start=1):
        scores.append(await score(agent, question, Budget.unlimited()))
        if place % 50 == 0:
            progress(f"{what}: {sum(item.correct for item in scores)} of {place} right")
    desk.close()
    return scores


def _count(options: Options, full: int) -> int:
    return min(full, 10) if options.quick else options.repeats or full
