"""`agentkit bench resilience`: what each policy of resilience is worth, against the same run without it.

Each scenario is a stream of runs of a real agent on providers with weather (`weather.py`) in virtual time: the
same arrivals, questions and weather with the policy and without. A run succeeds if it answers with a model's
reply. The 99th percentile `p99_s` is of all runs, so one that fails early looks fast; in `answer_p99_s` a run
without an answer counts as the whole time it was given. Cost is what the ledger charged for all runs, and is held
against the providers' bill: `unbilled_ratio` is the share of it that the ledger missed, which must be 0. The
cached prefix is one conversation of ten turns over HTTP with the provider fake, in real time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from statistics import fmean
from typing import Any

import anyio

from agentkit.agent import Agent
from agentkit.backends.base import Backend
from agentkit.backends.breaker import Breaker
from agentkit.backends.concurrency import Concurrency
from agentkit.backends.guarded import Guarded
from agentkit.backends.limits import RateLimits
from agentkit.backends.pool import Pool
from agentkit.budgets import Ledger
from agentkit.costs import Budget, Cost
from agentkit.errors import BackendError
from agentkit.evals.benches.base import BenchResult, Options
from agentkit.evals.benches.cached_prefix import cached_prefix
from agentkit.evals.benches.virtual_time import run_virtually
from agentkit.evals.benches.weather import REPLY, Endpoint, Weather
from agentkit.evals.statistics import bootstrap_mean, wilson
from agentkit.executor.resilience import Hedge, Resilience
from agentkit.routers import RuleRouter
from agentkit.types import ModelCard
from agentkit.usage import Price

SEEDS, QUICK_SEEDS = 10, 2
RUNS, QUICK_RUNS = 200, 40


@dataclass(frozen=True, slots=True)
class Setting:
    """One side of a scenario: the agent, and the endpoints whose bill counts."""

    agent: Agent[str]
    endpoints: Sequence[Endpoint]


Setup = Callable[[bool, random.Random], Setting]
"""Makes a side: with the policy or without, its luck seeded."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Runs of up to `seconds` each, that arrive `rate` a second at a given part of the stream, 0 to 1."""

    setup: Setup
    rate: Callable[[float], float]
    task: Callable[[random.Random], str] = lambda luck: "Where is order 7?"
    seconds: float = 60.0


@dataclass(slots=True)
class Tally:
    """What came of the runs of one seed."""

    answered: int = 0
    spent: Cost = field(default_factory=Cost)
    billed: Cost = field(default_factory=Cost)
    seconds: list[float] = field(default_factory=list)
    to_answer: list[float] = field(default_factory=list)

    @property
    def missed(self) -> int:
        """Nano-dollars of the providers' bill that the ledger did not charge."""
        return max(0, self.billed["usd"] - self.spent["usd"])

    @property
    def p99(self) -> float:
        """The 99th percentile of the seconds a run took, failed or not."""
        return _p99(self.seconds)

    @property
    def answer_p99(self) -> float:
        """The 99th percentile of the seconds to an answer, all the time of a run where none came."""
        return _p99(self.to_answer)


def _p99(seconds: Sequence[float]) -> float:
    return sorted(seconds)[min(len(seconds) - 1, int(0.99 * len(seconds)))]


def run(options: Options) -> BenchResult:
    """Run every scenario with its policy and without."""
    metrics: dict[str, float] = {}
    without: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    tallies: list[Tally] = []
    for name, scenario in SCENARIOS.items():
        options.progress(f"resilience: {name}")
        for policy, into in ((True, metrics), (False, without)):
            made = _tallies(scenario, policy, options)
            into.update(_figures(name, made))
            intervals.update(_intervals(name, made) if policy else {})
            tallies += made
    options.progress("resilience: cached_prefix")
    for policy, into in ((True, metrics), (False, without)):
        into.update(cached_prefix(policy))
    metrics["unbilled_ratio"] = sum(tally.missed for tally in tallies) / sum(t.billed["usd"] for t in tallies)
    return BenchResult("resilience", metrics, intervals, {"without": without})


def _tallies(scenario: Scenario, policy: bool, options: Options) -> list[Tally]:
    seeds = options.repeats or (QUICK_SEEDS if options.quick else SEEDS)
    runs = QUICK_RUNS if options.quick else RUNS
    return [run_virtually(_stream, scenario, policy, seed, runs) for seed in range(seeds)]


def _figures(name: str, tallies: Sequence[Tally]) -> dict[str, float]:
    return {
        f"{name}_success_ratio": sum(t.answered for t in tallies) / sum(len(t.seconds) for t in tallies),
        f"{name}_cost_usd": fmean(float(t.spent.usd) for t in tallies),
        f"{name}_p99_s": fmean(t.p99 for t in tallies),
        f"{name}_answer_p99_s": fmean(t.answer_p99 for t in tallies),
    }


def _intervals(name: str, tallies: Sequence[Tally]) -> dict[str, tuple[float, float]]:
    return {
        f"{name}_success_ratio": wilson(sum(t.answered for t in tallies), sum(len(t.seconds) for t in tallies)),
        f"{name}_cost_usd": bootstrap_mean([float(t.spent.usd) for t in tallies]),
        f"{name}_p99_s": bootstrap_mean([t.p99 for t in tallies]),
    }


async def _stream(scenario: Scenario, policy: bool, seed: int, runs: int) -> Tally:
    """Let the runs of one seed arrive and end."""
    setting, tally = scenario.setup(policy, random.Random(seed)), Tally()
    arrivals, questions = random.Random(seed), random.Random(seed)
    with Ledger.open() as ledger:
        scope = ledger.scope("runs")

        async def one(task: str) -> None:
            start, answered = anyio.current_time(), False
            budget = Budget(usd=1, seconds=scenario.seconds)
            with suppress(BackendError):
                answer = await setting.agent.run(task, budget=budget, scope=scope)
                answered = answer.status == "complete" and answer.text == REPLY
            tally.answered += answered
            tally.seconds.append(anyio.current_time() - start)
            tally.to_answer.append(tally.seconds[-1] if answered else scenario.seconds)

        async with anyio.create_task_group() as group:
            for place in range(runs):
                group.start_soon(one, scenario.task(questions))
                await anyio.sleep(arrivals.expovariate(scenario.rate(place / runs)))
        tally.spent = scope.view().spent
    tally.billed = sum((endpoint.billed for endpoint in setting.endpoints), Cost())
    return tally


# ---------------------------------------------------------------- the scenarios
FAIR = Weather()


def _endpoint(
    name: str,
    luck: random.Random,
    usd: int = 1,
    weather: Weather = FAIR,
    maker: str = "acme",
    window: int = 9_999,
) -> Endpoint:
    """Return an endpoint at `usd` per million tokens of input, four times that for output."""
    price = Price(Decimal(usd), Decimal(4 * usd))
    return Endpoint(
        ModelCard(name, maker, name, price, context_window=window), weather, random.Random(luck.random())
    )


def _agent(
    models: Sequence[Backend], luck: random.Random, hedge: Hedge | None = None, **options: Any
) -> Agent[str]:
    resilience = Resilience(hedge=hedge, luck=random.Random(luck.random()).random)
    return Agent(list(models), resilience=resilience, max_output_tokens=100, **options)


def _breaker(policy: bool, luck: random.Random) -> Setting:
    """A small model hangs for a minute; a larger one is there."""
    small = _endpoint("small", luck, weather=Weather(outages=[(20, 80)]))
    large = _endpoint("large", luck, 5)
    breaker = Breaker() if policy else Breaker(least_calls=10**9)
    return Setting(_agent([Guarded(small, breaker=breaker), large], luck), [small, large])


def _fallback(policy: bool, luck: random.Random) -> Setting:
    """One prompt of ten is too long for most models, one is refused by every model of one maker."""
    picky = Weather(refused=frozenset({"explosives"}))
    models = [
        _endpoint("small", luck, 1, picky, window=200),
        _endpoint("medium", luck, 2, picky, window=200),
        _endpoint("long", luck, 4, picky),
        _endpoint("other", luck, 5, maker="other", window=200),
    ]
    return Setting(_agent(models, luck, router=None if policy else RuleRouter()), models)


def _mixed_tasks(luck: random.Random) -> str:
    return luck.choices(
        ["Where is order 7?", "Read this: " + "text " * 500, "Where are my explosives ?"], [8, 1, 1]
    )[0]


def _rate_limit(policy: bool, luck: random.Random) -> Setting:
    """A provider takes 30 calls a minute, and 120 are asked for."""
    model = _endpoint("model", luck, weather=Weather(per_minute=30))
    limits = RateLimits(requests_per_minute=30) if policy else None
    return Setting(_agent([Guarded(model, limits=limits)], luck), [model])


class _Open(Concurrency):
    """Never fewer calls at once."""

    def end(self, generation: int, *, refused: bool | None) -> int | None:
        return Concurrency.end(self, generation, refused=None)


def _concurrency(policy: bool, luck: random.Random) -> Setting:
    """A provider serves 8 calls at once, and everybody comes together."""
    model = _endpoint("model", luck, weather=Weather(places=8))
    return Setting(_agent([Guarded(model, concurrency=Concurrency() if policy else _Open())], luck), [model])


def _stragglers(luck: random.Random) -> float:
    return luck.lognormvariate(0.0, 0.3) * (20 if luck.random() < 0.03 else 1)


def _hedging(policy: bool, luck: random.Random) -> Setting:
    """Three calls of a hundred take twenty times as long."""
    model = _endpoint("model", luck, weather=Weather(latency=_stragglers))
    return Setting(_agent([model], luck, Hedge() if policy else None), [model])


def _capacity(policy: bool, luck: random.Random) -> Setting:
    """Four calls at once fit the cheap endpoint, for a while three times as many are needed."""
    cheap = _endpoint("cheap", luck, 1, Weather(places=4))
    dear = _endpoint("dear", luck, 5)
    return Setting(
        _agent([Pool("model", [cheap, dear], mode="adaptive" if policy else "cost")], luck), [cheap, dear]
    )


SCENARIOS: Mapping[str, Scenario] = {
    "breaker": Scenario(_breaker, lambda part: 1.0),
    "fallback": Scenario(_fallback, lambda part: 1.0, _mixed_tasks),
    "rate_limit": Scenario(_rate_limit, lambda part: 2.0, seconds=900.0),
    "concurrency": Scenario(_concurrency, lambda part: 1e6, seconds=120.0),
    "hedging": Scenario(_hedging, lambda part: 2.0),
    "capacity": Scenario(_capacity, lambda part: 12.0 if 1 / 4 < part < 3 / 4 else 2.0),
}
