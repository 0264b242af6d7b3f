"""`agentkit bench quote`: how often a run's cost lies in the range that was quoted before it.

Every run is quoted by the public entry point from the runs before it, then carried out. The first ones only fill
the history and do not count. Two of the tasks are the order desk with the embedded models, and a script whose cost
has a heavy tail, cut by the budget once in some fifty runs; the third is that script while its cost trebles.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from contextlib import chdir
from dataclasses import dataclass
from decimal import Decimal
from statistics import fmean, median, stdev
from tempfile import TemporaryDirectory

import anyio

from agentkit import Agent, Answer, Budget, ModelCard, Price, tool
from agentkit.backends import ScriptedBackend, calls
from agentkit.budgets.cost_model import Decoder, effective_flops, unified_cost
from agentkit.costs import NANO
from agentkit.evals.benches.base import BenchResult, Options
from agentkit.evals.statistics import wilson
from agentkit.evals.suites.order_desk.agent import desk_agent, draw_questions
from agentkit.evals.suites.order_desk.database import Desk
from agentkit.local_models import LocalBackend
from agentkit.local_models.config import LlamaConfig
from agentkit.local_models.zoo import CARDS, folder
from agentkit.quote import Quote
from agentkit.trace import Settled
from agentkit.types import Completion, Request
from agentkit.usage import Usage

HISTORY = 100
RUNS, SCRIPTED_RUNS = 500, 1_000
DESK_SEED, QUESTION_SEED, SCRIPT_SEED = 600_001, 600_002, 600_003
DESK_BUDGET = Budget(usd="0.001", seconds=60)
SCRIPT_BUDGET = Budget(usd="0.003")
NORMAL_P90 = 1.2815515594600038
"""The 90 % quantile of the standard normal distribution."""
LOOK_UP_PRICE = NANO // 1_000
"""Nano-dollars for a call of a tool: what BATS (arXiv 2511.17006) charges for a search."""
H200 = 206.0
"""FLOP per byte: 990 TFLOP/s in bfloat16 over 4.8 TB/s, by its data sheet."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A quote and the answer of the run it was made for."""

    quote: Quote
    answer: Answer[str]

    @property
    def spent(self) -> int:
        """Nano-dollars."""
        return self.answer.spent["usd"]

    @property
    def is_maximum_passed(self) -> bool:
        """Whether any resource was spent above what the quote called its maximum."""
        return any(self.answer.spent[name] > most for name, most in self.quote.maximum.items())


def run(options: Options) -> BenchResult:
    """Measure the three tasks, and beside the quotes the mean ± 1.28 standard deviations of the same history."""
    with TemporaryDirectory() as nowhere, chdir(nowhere):  # the settings of a project would be obeyed
        return anyio.run(_run, options)


async def _run(options: Options) -> BenchResult:
    desk = await _order_desk(options)
    tasks = {"order_desk": desk, "heavy_tail": await _script(options, 1), "drift": await _script(options, 3)}
    metrics: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    normal: dict[str, float] = {}
    for name, trials in tasks.items():
        counted = trials[HISTORY:]
        ranges = [(trial.quote.p10["usd"], trial.quote.p90["usd"]) for trial in counted]
        measured, covered = _measured(ranges, counted)
        metrics |= {f"{name}_{key}": value for key, value in measured.items()} | {f"{name}_runs": len(counted)}
        intervals[f"{name}_coverage_ratio"] = wilson(covered, len(counted))
        baseline, _ = _measured(_normal_ranges([trial.spent for trial in trials]), counted)
        normal |= {f"{name}_{key}": value for key, value in baseline.items()}
    metrics["maximum_passed"] = sum(trial.is_maximum_passed for trials in tasks.values() for trial in trials)
    metrics["heavy_tail_cut_short_ratio"] = fmean(t.answer.status == "exhausted" for t in tasks["heavy_tail"])
    return BenchResult("quote", metrics | _costs(desk), intervals, {"mean_and_deviation": normal})


async def _order_desk(options: Options) -> list[Trial]:
    """Ask the desk with both embedded models, the cheaper one first."""
    desk = Desk.create(DESK_SEED, "test", size=120)
    agent = desk_agent(desk, [LocalBackend(card, folder(name)) for name, card in CARDS.items()])
    count = HISTORY + (20 if options.quick else options.repeats or RUNS)
    questions = draw_questions(desk, "test", count, QUESTION_SEED)
    random.Random(QUESTION_SEED).shuffle(questions)  # drawn kind by kind, which is no order that runs come in
    trials = await _trials(agent, (question.text for question in questions), DESK_BUDGET, options, "order desk")
    desk.close()
    return trials


async def _script(options: Options, growth: float) -> list[Trial]:
    """Work on tasks of 5 to 2,000 words with a heavy-tailed number of look-ups, which grows by `growth`."""
    rng = random.Random(SCRIPT_SEED)
    count = HISTORY + (100 if options.quick else options.repeats or SCRIPTED_RUNS)
    tasks: list[str] = []
    for place in range(count):
        words = min(2_000, round(5 * rng.paretovariate(0.8)))
        turns = round(rng.paretovariate(1.1) * growth ** (place / count))
        tasks.append(f"{min(turns, 150)} look-ups: {'word ' * words}")
    card = ModelCard("script", "fake", "script", Price(Decimal("0.1"), Decimal("0.4")))
    agent = Agent(ScriptedBackend(_reply, card=card), tools=[look_up], max_steps=200)
    return await _trials(agent, tasks, SCRIPT_BUDGET, options, f"script, cost times {growth:g}")


@tool
async def look_up(number: int) -> str:
    """Look up an entry by its number."""
    return f"entry {number} has nothing on this"


def _reply(request: Request) -> str | Completion:
    """Look up as often as the task says, then answer; the wrap-up, which offers no tools, answers at once."""
    done = sum(message.role == "tool" for message in request.messages)
    if request.tools and done < int(request.messages[0].text.split()[0]):
        return calls(("look_up", {"number": done}), text="word " * 20)
    return "word " * 40


async def _trials(
    agent: Agent[str], tasks: Iterable[str], budget: Budget, options: Options, what: str
) -> list[Trial]:
    trials: list[Trial] = []
    for task in tasks:
        quoted = agent.quote(task, budget=budget)
        trials.append(Trial(quoted, await agent.run(task, budget=budget)))
        if len(trials) % 100 == 0:
            options.progress(f"{what}: {len(trials)} runs")
    await agent.aclose()
    return trials


def _measured(ranges: Sequence[tuple[float, float]], trials: Sequence[Trial]) -> tuple[dict[str, float], int]:
    """Return the shares of runs in, below and above their range, how wide it is, and the number in it."""
    below = sum(trial.spent < low for (low, _), trial in zip(ranges, trials, strict=True))
    above = sum(trial.spent > high for (_, high), trial in zip(ranges, trials, strict=True))
    covered = len(trials) - below - above
    ratios = {
        "coverage_ratio": covered / len(trials),
        "below_ratio": below / len(trials),
        "above_ratio": above / len(trials),
        "width_usd": median(high - low for low, high in ranges) / NANO,
    }
    return ratios, covered


def _normal_ranges(spent: Sequence[int]) -> list[tuple[float, float]]:
    """Return mean ± 1.28 deviations of what came before, for every run that counts."""
    ranges: list[tuple[float, float]] = []
    for place in range(HISTORY, len(spent)):
        mean, deviation = fmean(spent[:place]), stdev(spent[:place])
        ranges.append((max(0.0, mean - NORMAL_P90 * deviation), mean + NORMAL_P90 * deviation))
    return ranges


def _costs(trials: Sequence[Trial]) -> dict[str, float]:
    """Return what a question of the order desk costs: as charged, with tools at a market price, and in eFLOPs."""
    receipts = [receipt for trial in trials for receipt in trial.answer.receipts]
    tools = {receipt.what for receipt in receipts if receipt.what.startswith("tool:")}
    prices = {what.removeprefix("tool:"): LOOK_UP_PRICE for what in tools}
    decoders = {f"model:{name}": _decoder(LlamaConfig.from_folder(folder(name))) for name in CARDS}
    calls = [
        (decoders[event.what], event.usage)
        for trial in trials
        for event in (stamped.event for stamped in trial.answer.trace)
        if isinstance(event, Settled) and event.usage is not None and event.what in decoders
    ]
    flops = sum(effective_flops(decoder, usage, intensity=H200) for decoder, usage in calls)
    whole = sum(effective_flops(decoder, _uncached(usage), intensity=H200) for decoder, usage in calls)
    return {
        "order_desk_cost_usd": fmean(trial.spent for trial in trials) / NANO,
        "order_desk_unified_cost_usd": unified_cost(receipts, prices) / len(trials) / NANO,
        "order_desk_cost_eflops": flops / len(trials),
        "order_desk_cost_without_cache_eflops": whole / len(trials),
    }


def _uncached(usage: Usage) -> Usage:
    """Return the usage of the same call without the credit for its cached prefix."""
    return Usage(usage.total_input, output_tokens=usage.total_output)


def _decoder(config: LlamaConfig) -> Decoder:
    attention = (
        2 * config.hidden_size * config.head_dim * (config.num_attention_heads + config.num_key_value_heads)
    )
    block = attention + 3 * config.hidden_size * config.intermediate_size
    return Decoder(
        parameters=config.vocab_size * config.hidden_size + config.num_hidden_layers * block,
        layers=config.num_hidden_layers,
        query_heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_size=config.head_dim,
    )
