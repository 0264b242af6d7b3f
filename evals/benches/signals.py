"""`agentkit bench signals`: what a reply of a small model shows of its being right, for free and by votes.

Pico and nano say every turn of the order desk, on the calls and results that are right so far. The verifier is
fitted on one desk and judged on another, with margins and without. Votes are asked for as `SelfVerifyingRouter`
does: about all wrong turns of a model and four right ones for each, since an AUROC does not depend on how many
there are of either. Then pico answers questions with votes on each answer, through `Agent`, for what they cost.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

import anyio

from agentkit import Budget
from agentkit.backends import Backend
from agentkit.costs import Cost
from agentkit.errors import MissingExtra
from agentkit.evals.benches.base import BenchResult, Options, environment
from agentkit.evals.statistics import Interval, auroc, bootstrap_auroc, bootstrap_mean
from agentkit.evals.suites.order_desk.agent import desk_agent, draw_questions, score
from agentkit.evals.suites.order_desk.database import Desk
from agentkit.evals.suites.order_desk.questions import Question
from agentkit.evals.suites.order_desk.turns import record_turns, turn_requests
from agentkit.local_models import LocalBackend
from agentkit.local_models.zoo import CARDS, folder
from agentkit.messages import user
from agentkit.routers import Router, RuleRouter
from agentkit.routers.base import Outcome, Votes
from agentkit.routers.estimators.table import OutcomeTable
from agentkit.routers.self_verification import (
    VOTE_TOKENS,
    VOTES,
    SelfVerifyingRouter,
    verification_prompt,
)
from agentkit.routers.signals import SIGNALS, signals
from agentkit.routers.vote_reading import read_vote
from agentkit.types import Request

QUESTIONS, LIVE = 400, 80
_QUICK = 40, 2
_TRAIN_SEED, _TEST_SEED = 910_003, 940_007
_MODELS = "pico", "nano"
_SHOWN = "confidence", "least_confidence", "margin", "least_margin"
_VOTES = ("pico", "pico"), ("nano", "nano"), ("nano", "pico")  # who votes, and on whose turns
_RIGHT_PER_WRONG = 4

Metrics = dict[str, float]
Intervals = dict[str, Interval]


def run(options: Options) -> BenchResult:
    """Record, fit, and ask for votes."""
    try:
        return anyio.run(_run, options)
    except ModuleNotFoundError as error:
        raise MissingExtra("routing", error.name or "numpy") from error


async def _run(options: Options) -> BenchResult:
    count, live = _QUICK if options.quick else (options.repeats or QUESTIONS, LIVE)
    local = {name: LocalBackend(CARDS[name], folder(name)) for name in _MODELS}
    options.progress(f"signals: recording {count} questions twice")
    train_desk, desk = (Desk.create(seed, "test", size=120) for seed in (_TRAIN_SEED, _TEST_SEED))
    asked = draw_questions(train_desk, "test", count, _TRAIN_SEED + 1)
    train = await record_turns(train_desk, list(local.values()), asked)
    questions = draw_questions(desk, "test", count, _TEST_SEED + 1)
    test = await record_turns(desk, list(local.values()), questions)
    metrics: Metrics = {"turns": len(test.items)}
    intervals: Intervals = {}
    _free(test, metrics, intervals)
    _verifier(train, test, metrics, intervals)
    requests = [request for question in questions for request in turn_requests(desk, question)]
    for name, model in _VOTES:
        options.progress(f"signals: votes of {name} on {model}")
        found = await _votes(local[name], model, requests, test)
        metrics |= found[0]
        intervals |= found[1]
    options.progress(f"signals: {live} questions live")
    metrics |= await _live(desk, local["pico"], questions[:live])
    train_desk.close()
    desk.close()
    return BenchResult("signals", metrics, intervals, {}, environment())


def _free(table: OutcomeTable, metrics: Metrics, intervals: Intervals) -> None:
    """Add the AUROC of each signal alone for each model's right turns."""
    for model in _MODELS:
        right = _right(table, model)
        metrics[f"{model}_wrong_turns"] = right.count(False)
        shown = [dict(zip(SIGNALS, signals(one, text), strict=True)) for one, text in _outcomes(table, model)]
        for signal in _SHOWN:
            marked = [(one[signal], is_right) for one, is_right in zip(shown, right, strict=True)]
            metrics[f"{model}_{signal}_auroc"] = auroc(marked)
            intervals[f"{model}_{signal}_auroc"] = bootstrap_auroc(marked)


def _verifier(train: OutcomeTable, test: OutcomeTable, metrics: Metrics, intervals: Intervals) -> None:
    """Add how the fitted verifier judges turns of another desk, with margins and without."""
    from agentkit.routers.estimators.fitting import Material
    from agentkit.routers.estimators.recorded import Stage
    from agentkit.routers.estimators.verified import fit_verified

    losses: dict[str, list[float]] = {}
    for kind, clean in (("verifier", lambda table: table), ("verifier_without_margins", _without_margins)):
        fitted, stage = fit_verified(Material.of(clean(train))), Stage.of(clean(test))
        for model in _MODELS:
            beliefs = [
                fitted.estimator.judge(query, stage.cards, [outcomes[model]])[0]
                for query, outcomes in zip(stage.queries, stage.outcomes, strict=True)
            ]
            marked = list(zip(beliefs, _right(test, model), strict=True))
            losses[f"{model}_{kind}"] = [-math.log(belief if right else 1 - belief) for belief, right in marked]
            metrics[f"{model}_{kind}_auroc"] = auroc(marked)
            metrics[f"{model}_{kind}_log_loss"] = fmean(losses[f"{model}_{kind}"])
    for model in _MODELS:
        pairs = zip(losses[f"{model}_verifier"], losses[f"{model}_verifier_without_margins"], strict=True)
        gains = [without - with_ for with_, without in pairs]
        metrics[f"{model}_margins_save_log_loss"] = fmean(gains)
        intervals[f"{model}_margins_save_log_loss"] = bootstrap_mean(gains)


async def _votes(
    voter: Backend, model: str, requests: Sequence[Request], table: OutcomeTable
) -> tuple[Metrics, Intervals]:
    """Return what the votes of `voter` on turns of `model` say, and what all of a turn cost beside the turn."""
    right, column = _right(table, model), table.models.index(model)
    wrong = [row for row, is_right in enumerate(right) if not is_right]
    others = [row for row, is_right in enumerate(right) if is_right]
    rows = [*wrong, *random.Random(0).sample(others, min(len(others), _RIGHT_PER_WRONG * len(wrong)))]
    marked, read, cost, replies = [], 0, Cost(), 0.0
    for row in rows:
        prompt = verification_prompt(table.texts[row], table.replies[row][model])
        said, charged = await _ask(voter, requests[row], prompt)
        marked.append((said.log_odds, right[row]))
        read, cost, replies = read + said.count, cost + charged, replies + float(table.cost[row, column])
    key = f"{voter.card.name}_votes_on_{model}"
    if not rows:
        return {f"{key}_turns": 0}, {}
    metrics: Metrics = {
        f"{key}_turns": len(rows),
        f"{key}_readable_ratio": read / (VOTES * len(rows)),
        f"{key}_auroc": auroc(marked),
        f"{key}_cost_per_turn_ratio": float(cost.usd) / replies,
    }
    return metrics, {f"{key}_auroc": bootstrap_auroc(marked)}


async def _ask(voter: Backend, request: Request, prompt: str) -> tuple[Votes, Cost]:
    said, cost = [], Cost()
    for seed in range(VOTES):
        vote = replace(
            request,
            messages=(*request.messages, user(prompt)),
            max_output_tokens=VOTE_TOKENS,
            tools=(),
            temperature=1.0,
            seed=seed,
            logprobs=False,
        )
        reply = await voter.complete(vote)
        said.append(read_vote(reply.message.text))
        cost += reply.usage.cost(voter.card.price) if reply.usage else Cost()
    read = [one for one in said if one is not None]
    return Votes(voter.card.name, sum(read), len(read)), cost


async def _live(desk: Desk, pico: Backend, questions: Sequence[Question]) -> Metrics:
    """Return what pico's answers cost with votes on each and without, and how many are right."""
    plain = RuleRouter(["pico"])
    routers: dict[str, Router] = {"plain": plain, "voted": SelfVerifyingRouter(plain, "pico", always=True)}
    metrics: Metrics = {"live_questions": len(questions)}
    for name, router in routers.items():
        agent = desk_agent(desk, [pico], router=router)
        scores = [await score(agent, question, Budget.unlimited()) for question in questions]
        calls = [receipt for one in scores for receipt in one.answer.receipts if receipt.what == "model:pico"]
        metrics[f"live_{name}_accuracy"] = fmean(one.correct for one in scores)
        metrics[f"live_{name}_cost_per_question_usd"] = fmean(float(one.cost) for one in scores)
        metrics[f"live_{name}_calls_per_question"] = len(calls) / len(questions)
    return metrics


def _right(table: OutcomeTable, model: str) -> list[bool]:
    return [bool(one) for one in table.score[:, table.models.index(model)] > 0.5]


def _without_margins(table: OutcomeTable) -> OutcomeTable:
    return replace(
        table,
        replies=tuple(
            {
                model: replace(reply, logprobs=tuple(replace(token, margin=None) for token in reply.logprobs))
                for model, reply in row.items()
            }
            for row in table.replies
        ),
    )


def _outcomes(table: OutcomeTable, model: str) -> list[tuple[Outcome, str]]:
    return [
        (Outcome(model, row[model], Cost()), text) for row, text in zip(table.replies, table.texts, strict=True)
    ]
