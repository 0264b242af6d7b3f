"""`agentkit bench overspend`: what a fan-out really spends under one limit, by the provider's own bill.

Overspend is (bill − limit) / limit, at least 0; the completed ratio is what whole replies cost over the limit.
Both are taken from the bills of the fakes, not from the ledger, which is compared with them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import product
from statistics import fmean, median
from tempfile import TemporaryDirectory

import anyio

from agentkit.agent import Agent
from agentkit.answer import Answer
from agentkit.costs import NANO, Budget, Cost
from agentkit.evals.benches.base import BenchResult, Options, environment
from agentkit.evals.benches.fanout import ANSWER, BILLS, CAP, LIMITS, Scenario, World
from agentkit.evals.benches.holds import POLICIES, run_under
from agentkit.evals.benches.peers.environment import PEERS, PeerAbsent, worker
from agentkit.evals.statistics import wilson
from agentkit.tools import Context, tool

CHILDREN = (1, 8, 32, 128)
SEEDS, QUICK_SEEDS = 1_000, 20
PATIENCE = 60.0
"""Seconds; a trial takes milliseconds, so this is a run that hangs."""
_WORLDS = tuple(product(LIMITS, BILLS))
_PEERS, _PEER_RUNS = ("pydantic_ai", "inspect"), 5


@dataclass(frozen=True, slots=True)
class Trial:
    """One run: overspend and completed ratio as shares of the limit, and how ledger and bill compare.

    `compared` models had a usage record for every call, `equal` of them were charged exactly that; `below` is the
    most that a model's charge lies below its bill, as a share of the limit.
    """

    children: int
    overspend: float
    completed: float
    answered: bool
    compared: int = 0
    equal: int = 0
    below: float = 0.0


def run(options: Options) -> BenchResult:
    """Run every seed with every number of children, and the peers once."""
    seeds = options.seeds or (QUICK_SEEDS if options.quick else SEEDS)
    ours: list[Trial] = []
    others: dict[str, list[Trial]] = {name: [] for name in POLICIES}
    with TemporaryDirectory() as nowhere, chdir(nowhere):  # the settings of a project would be obeyed
        for seed in range(seeds):
            if seed % 50 == 0:
                options.progress(f"overspend: seed {seed} of {seeds}")
            anyio.run(_run_seed, seed, ours, others)
    baselines = {name: _ratios(trials) for name, trials in others.items()}
    sound = [ratios for ratios in baselines.values() if ratios["overspend_max"] == 0]
    answering = [ratios for ratios in sound if ratios["answered_ratio"] == 1]
    compared, equal = sum(trial.compared for trial in ours), sum(trial.equal for trial in ours)
    metrics = {
        **_ratios(ours),
        "best_baseline_completed_ratio": _best(sound),
        "best_answering_baseline_completed_ratio": _best(answering),
        "ledger_below_bill_max": max(trial.below for trial in ours),
        "ledger_equal_where_usage": equal / compared,
        "trials": len(ours),
        "seeds": seeds,
    }
    overspent = sum(trial.overspend > 0 for trial in ours)
    intervals = {
        "overspend_probability": wilson(overspent, len(ours)),
        "ledger_equal_where_usage": wilson(equal, compared),
    }
    peers, absent = _peers(options)
    for name, ratios in peers.items():
        metrics |= {f"{name}_{key}": ratio for key, ratio in ratios.items()}
    versions = {name: PEERS[name] for name in peers}
    return BenchResult(
        "overspend", metrics, intervals, baselines | peers, environment(peers=versions, absent=absent)
    )


async def _run_seed(seed: int, ours: list[Trial], others: dict[str, list[Trial]]) -> None:
    """Run every number of children; the seeds take turns with the limits and the fakes."""
    resource, bill = _WORLDS[seed % len(_WORLDS)]
    scenarios = [Scenario(children, resource, bill, seed) for children in CHILDREN]

    async def run_ours(scenario: Scenario) -> None:
        ours.append(await _trial(scenario))

    async with anyio.create_task_group() as group:  # side by side, since a run that waits for room sleeps
        for scenario in scenarios:
            group.start_soon(run_ours, scenario)
    for name, policy in POLICIES.items():
        for scenario in scenarios:
            others[name].append(_measured(scenario, *await run_under(policy, scenario)))


async def _trial(scenario: Scenario) -> Trial:
    """Run the scenario as a user would write it: an agent with a tool that runs agents in its own scope."""
    world = scenario.open()
    agent = Agent(world.parent, tools=[fan_out], max_output_tokens=CAP)
    with anyio.fail_after(PATIENCE):
        answer = await agent.run("Fan out, then answer.", budget=_budget(scenario), context=world)
    trial = _measured(scenario, world, answer.text == ANSWER)
    return _audited(trial, scenario, world, answer)


@tool(timeout=None)
async def fan_out(context: Context[World]) -> str:
    """Hand out the parts and collect the reports."""
    await context.value.run_children(
        lambda child: Agent(child.model, max_output_tokens=CAP).run(child.task, scope=context.scope)
    )
    return "done"


def _peers(options: Options) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Return each peer's overspend under 1,000 tokens with replies of 400 tokens, and why others are absent."""
    found: dict[str, dict[str, float]] = {}
    absent: dict[str, str] = {}
    for name in () if options.quick else _PEERS:
        options.progress(f"overspend: {name}")
        try:
            with worker("fanout", name, options) as process:
                found[name] = {
                    f"overspend_ratio_n{children}": median(
                        max(0, process.measure(1, children).result["billed"] - LIMITS["tokens"]) / LIMITS["tokens"]
                        for _ in range(_PEER_RUNS)
                    )
                    for children in CHILDREN
                }
        except PeerAbsent as error:
            absent[name] = str(error)
    return found, absent


def _budget(scenario: Scenario) -> Budget:
    if scenario.resource == "usd":
        return Budget(usd=Decimal(scenario.limit) / NANO)
    return Budget(tokens=scenario.limit)


def _measured(scenario: Scenario, world: World, answered: bool) -> Trial:
    billed, completed = world.billed[scenario.resource], world.completed[scenario.resource]
    overspend = max(0, billed - scenario.limit) / scenario.limit
    return Trial(scenario.children, overspend, completed / scenario.limit, answered)


def _audited(trial: Trial, scenario: Scenario, world: World, answer: Answer[str]) -> Trial:
    """Compare each model's receipts with its bill."""
    charged: defaultdict[str, Cost] = defaultdict(Cost)
    for receipt in answer.receipts:
        charged[receipt.what.partition(":")[2]] += receipt.charged
    compared = equal = 0
    below = 0.0
    for model in world.models:
        bill, charge = model.billed, charged[model.card.name]
        below = max(below, (bill[scenario.resource] - charge[scenario.resource]) / scenario.limit)
        if model.bill and model.records == len(model.bill):
            compared += 1
            equal += bill == charge
    return replace(trial, compared=compared, equal=equal, below=below)


def _best(baselines: Sequence[Mapping[str, float]]) -> float:
    return max((ratios["completed_ratio"] for ratios in baselines), default=0.0)


def _ratios(trials: Sequence[Trial]) -> dict[str, float]:
    """Return the flat keys of a system: over all trials, and by number of children."""
    ratios = {
        "overspend_max": max(trial.overspend for trial in trials),
        "completed_ratio": fmean(trial.completed for trial in trials),
        "answered_ratio": fmean(trial.answered for trial in trials),
    }
    for children in CHILDREN:
        some = [trial for trial in trials if trial.children == children]
        ratios[f"overspend_ratio_n{children}"] = max(trial.overspend for trial in some)
        ratios[f"completed_ratio_n{children}"] = fmean(trial.completed for trial in some)
    return ratios
