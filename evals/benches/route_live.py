"""`agentkit bench route-live`: a router fitted on the order desk, live, beside always calling the best model.

The pool is pico, nano and a fake remote that errs as claude-3-5-sonnet-20241022 did on ZeroEval's GSM8K items
(AGENTKIT_DATA), at its recorded price. A router with a verifier of turns is fitted on other questions over another
desk. Then each line answers the same new questions through `Agent`, ledger and trace on. The router has one hard
budget for all of them, half of what always calling the best model costs by training, and goes by its shadow price.
Differences are paired by question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import anyio

from agentkit import Budget, Ledger
from agentkit.backends import Backend
from agentkit.costs import NANO
from agentkit.errors import MissingExtra
from agentkit.evals.benches.base import BenchResult, Options, environment
from agentkit.evals.public_data import required_folder
from agentkit.evals.statistics import Interval, bootstrap_mean, wilson
from agentkit.evals.suites.order_desk.agent import Score, desk_agent, draw_questions, score
from agentkit.evals.suites.order_desk.database import Desk
from agentkit.evals.suites.order_desk.questions import Question
from agentkit.evals.suites.order_desk.remote import desk_remote
from agentkit.local_models import LocalBackend
from agentkit.local_models.zoo import CARDS, folder
from agentkit.routers import Router, RuleRouter
from agentkit.routers.fusion import FusionRouter
from agentkit.routers.votes import VoteRouter
from agentkit.types import ModelCard

TRAINING, QUESTIONS, PANEL_QUESTIONS = 400, 400, 80
_QUICK = 10, 3, 1
_TRAIN_SEED, _TEST_SEED = 700_001, 830_001
_RECORDED = "claude-3-5-sonnet-20241022"
_PANEL = ("pico", "nano", "remote")
BUDGET = 0.5
"""Of what the best single model spends by training: what the router may spend at most."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """The routers that are compared, the best single model, and the cascade's budget: dollars a question.

    `panels` are asked fewer questions.
    """

    routers: Mapping[str, Router]
    panels: Mapping[str, Router]
    best: str
    limit: float
    notes: Mapping[str, float]


def run(options: Options) -> BenchResult:
    """Fit, then ask."""
    try:
        return anyio.run(_run, options)
    except ModuleNotFoundError as error:
        raise MissingExtra("routing", error.name or "numpy") from error


async def _run(options: Options) -> BenchResult:
    training, count, panel_count = _sizes(options)
    card, wrong = _recorded()
    local = [LocalBackend(CARDS[name], folder(name)) for name in ("pico", "nano")]
    options.progress(f"route-live: fitting on {training} questions")
    fitted = await _fit(local, card, wrong, training, count)
    desk = Desk.create(_TEST_SEED, "test", size=120)
    questions = draw_questions(desk, "test", count, _TEST_SEED + 1)
    models: list[Backend] = [*local, desk_remote(card, questions, wrong)]
    done: dict[str, list[Score]] = {}
    for name, router in fitted.routers.items():
        options.progress(f"route-live: {name}, {count} questions")
        limit = fitted.limit if name == "cascade" else None
        done[name] = await _ask(desk, models, router, questions, limit)
    for name, router in fitted.panels.items():
        options.progress(f"route-live: {name}, {panel_count} questions")
        done[name] = await _ask(desk, models, router, questions[:panel_count], None)
    desk.close()
    return _result(done, fitted, wrong)


def _sizes(options: Options) -> tuple[int, int, int]:
    if options.quick:
        return _QUICK
    count = options.repeats or QUESTIONS
    return TRAINING, count, min(PANEL_QUESTIONS, count)


def _recorded() -> tuple[ModelCard, list[bool]]:
    """Return the card of the fake remote and, by recorded item, whether it errs."""
    from agentkit.routers.estimators import read_table

    table = read_table(required_folder("routing_zeroeval")).only([_RECORDED])
    rows = [row for row, item in enumerate(table.items) if item.task == "gsm" and table.known[row, 0]]
    card = ModelCard("remote", "fake", _RECORDED, table.prices[_RECORDED])
    return card, [bool(table.score[row, 0] < 0.5) for row in rows]


async def _fit(
    local: Sequence[Backend], card: ModelCard, wrong: Sequence[bool], training: int, count: int
) -> Fitted:
    """Record turns on training questions, and fit on them a router for `count` questions with one budget."""
    from agentkit.evals.suites.order_desk.turns import record_turns
    from agentkit.routers.fit import fit

    desk = Desk.create(_TRAIN_SEED, "test", size=120)
    questions = draw_questions(desk, "test", training, _TRAIN_SEED + 1)
    table = await record_turns(desk, [*local, desk_remote(card, questions, wrong)], questions)
    desk.close()
    artefact = fit(table)
    best, (spend, quality) = artefact.choice.best_model, artefact.choice.best_single
    turns = len(table.items) / training
    routers: dict[str, Router] = {
        "always_best": RuleRouter([best]),
        "pico": RuleRouter(["pico"]),
        "cascade": artefact.stream(round(count * turns)),
    }
    panels: dict[str, Router] = {"vote": VoteRouter(_PANEL), "fusion": FusionRouter(_PANEL, "remote")}
    panels["weighted_vote"] = artefact.vote(_PANEL)
    if artefact.cascade:
        panels["best_of"] = artefact.best_of(_PANEL)
    notes = {
        "training_questions": training,
        "training_best_turn_accuracy": quality,
        "cascade_fitted": float(artefact.cascade is not None),
        "best_question_usd_by_training": spend * turns,
    }
    return Fitted(routers, panels, best, BUDGET * spend * turns, notes)


async def _ask(
    desk: Desk, models: Sequence[Backend], router: Router, questions: Sequence[Question], limit: float | None
) -> list[Score]:
    """Answer all `questions` in one scope of `limit` dollars a question on average."""
    agent = desk_agent(desk, models, router=router)
    limits = None if limit is None else {"usd": round(limit * len(questions) * NANO)}
    with Ledger.open() as ledger:
        scope = ledger.scope("questions", limits=limits)
        return [await score(agent, question, Budget.unlimited(), scope) for question in questions]


def _result(done: Mapping[str, Sequence[Score]], fitted: Fitted, wrong: Sequence[bool]) -> BenchResult:
    metrics: dict[str, float] = {"questions": len(done["cascade"]), "remote_recorded_error": fmean(wrong)}
    intervals: dict[str, Interval] = {}
    for name, scores in done.items():
        metrics |= {f"{name}_accuracy": fmean(one.correct for one in scores)}
        metrics[f"{name}_cost_per_question_usd"] = fmean(float(one.cost) for one in scores)
        intervals[f"{name}_accuracy"] = wilson(sum(one.correct for one in scores), len(scores))
    for name, scores in done.items():
        pairs = list(zip(scores, done["always_best"], strict=False))
        if name != "always_best":
            gains = [float(one.correct) - float(best.correct) for one, best in pairs]
            metrics[f"{name}_accuracy_over_always_best"] = fmean(gains)
            intervals[f"{name}_accuracy_over_always_best"] = bootstrap_mean(gains)
            saved = [float(best.cost - one.cost) for one, best in pairs]
            metrics[f"{name}_saved_per_question_usd"] = fmean(saved)
            intervals[f"{name}_saved_per_question_usd"] = bootstrap_mean(saved)
    spent = sum(float(one.cost) for one in done["cascade"])
    metrics["cascade_budget_used_ratio"] = spent / (fitted.limit * len(done["cascade"]))
    made = [receipt.what for one in done["cascade"] for receipt in one.answer.receipts if receipt.charged]
    metrics |= {f"cascade_{name}_calls": made.count(f"model:{name}") for name in _PANEL}
    return BenchResult("route-live", {**metrics, **fitted.notes}, intervals, {}, environment(best=fitted.best))
