"""`agentkit bench dag`: plans that run, beside the bare awaits, LLMCompiler, and what is possible.

The first part runs on the real clock: a chain of 50 calls and a fan of 1,000, through `Agent.run` with ledger,
scopes and trace, in turn with the same awaits in a bare task group. A call takes `LATENCY` seconds; with `noop` in
the key it takes nothing, so that the ratio is the whole price of a call that is checked, paid and recorded.

The second runs on a virtual clock: seeded shapes with seeded latencies on m places. No schedule takes less than
max(critical path, work / m), and no list schedule more than critical path·(1 - 1/m) + work / m (Graham, 1969).
`optimum_proven_share` of them have a shortest schedule that is known (`dag_optimum.py`), with places left idle
where that helps; the figures over the optimum are of those. `makespan_missed_share` counts those above 1.05 times
the bound for which another order was found that is not. `streamed_plan_speedup_ratio` is for plans that a model
writes, a word each `WORD` seconds, on places without end.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median

import anyio
import anyio.lowlevel

from agentkit import Agent, tool
from agentkit.answer import Answer
from agentkit.backends.fake import ScriptedBackend
from agentkit.evals.benches.base import BenchResult, Options, environment
from agentkit.evals.benches.dag_optimum import optimum
from agentkit.evals.benches.dag_peer import chain_ms
from agentkit.evals.benches.dag_shapes import KINDS, Shape, best_found, chain, draw_shape, fan
from agentkit.evals.benches.peers.environment import PeerAbsent
from agentkit.evals.benches.virtual_time import run_virtually
from agentkit.evals.statistics import bootstrap_median
from agentkit.planner import FixedPlanner, LLMPlanner, Plan

LATENCY, QUICK_LATENCY = 0.1, 0.001
"""Seconds; the former is what a quick search over the network takes."""
WORD = 0.03
"""Seconds that a model takes to write a word of a plan, some two tokens."""
CHAIN, FAN = 50, 1_000
REPEATS, QUICK_REPEATS = 5, 1
_MORE = 5
"""Times as many repeats of what takes no seconds."""
SEEDS, QUICK_SEEDS = 40, 2
PLACES = (2, 4, 8)
NEAR = 1.05

Floor = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Pair:
    """Seconds of a plan and of the bare awaits, by the clock on the wall and of the CPU."""

    ours: float
    bare: float
    ours_cpu: float
    bare_cpu: float

    @property
    def ratio(self) -> float:
        """Ours over theirs, by the clock on the wall."""
        return self.ours / self.bare

    @property
    def cpu_ratio(self) -> float:
        """Ours over theirs, of the CPU."""
        return self.ours_cpu / self.bare_cpu


@dataclass(frozen=True, slots=True)
class Makespan:
    """How long a shape took on `places` places, in seconds of the virtual clock."""

    shape: Shape
    places: int
    seconds: float

    @property
    def ratio(self) -> float:
        """Over the least that any schedule takes."""
        return self.seconds / max(self.shape.critical_path, self.shape.work / self.places)

    @property
    def missed(self) -> bool:
        """Whether it is not near the least although another order of the steps is."""
        least = self.seconds / self.ratio
        return self.ratio > NEAR and best_found(self.shape, self.places) <= NEAR * least

    @property
    def optimum(self) -> float | None:
        """The least makespan that there is, None where it is not proven."""
        known = min(self.seconds, best_found(self.shape, self.places))
        return optimum(self.shape, self.places, known)

    @property
    def of_bound(self) -> float:
        """Over the most that a list schedule takes."""
        return self.seconds / (self.shape.critical_path * (1 - 1 / self.places) + self.shape.work / self.places)


@tool(timeout=None)
async def work(seconds: float, after: list[float]) -> float:
    """Work for some seconds, after other work."""
    await _await(seconds)
    return seconds


def run(options: Options) -> BenchResult:
    """Measure both parts, and LLMCompiler on the chain where it can be run."""
    repeats = options.repeats or (QUICK_REPEATS if options.quick else REPEATS)
    seeds = options.seeds or (QUICK_SEEDS if options.quick else SEEDS)
    metrics: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    for name, shape, floor in (("chain50", chain(CHAIN), _bare_chain), ("fanout1000", fan(FAN), _bare_fan)):
        for suffix, latency in (("", QUICK_LATENCY if options.quick else LATENCY), ("_noop", 0.0)):
            options.progress(f"dag: {name}{suffix}")
            plan = Shape(name, shape, [latency] * len(shape)).plan(None)
            few = options.quick or (latency and floor is _bare_chain)
            times = anyio.run(_alternate, plan, floor, latency, repeats if few else _MORE * repeats)
            # where nothing is waited for, CPU time, which other work on the machine leaves alone
            ratios = [each.ratio if latency else each.cpu_ratio for each in times]
            key = f"{name}{suffix}"
            metrics[f"{key}_ms"] = median(each.ours for each in times) * 1e3
            metrics[f"{key}_bare_ms"] = median(each.bare for each in times) * 1e3
            metrics[f"{key}_ratio"], intervals[f"{key}_ratio"] = median(ratios), bootstrap_median(ratios)
            metrics[f"{key}_fastest_ms"] = min(each.ours for each in times) * 1e3
    baselines, absent = _peer(metrics, repeats, options)
    options.progress("dag: schedules")
    found = run_virtually(_makespans, seeds, lambda seconds: seconds)
    metrics |= _schedules("", found)
    metrics["makespan_missed_share"] = fmean(each.missed for each in found)
    metrics |= _optima(found)
    metrics |= _schedules("unknown_times_", run_virtually(_makespans, seeds, lambda seconds: 1.0))
    metrics["streamed_plan_speedup_ratio"] = fmean(run_virtually(_streamed, seeds))
    baselines["plan_order"] = _schedules("", run_virtually(_makespans, seeds, lambda seconds: 0.0))
    return BenchResult("dag", metrics, intervals, baselines, environment(absent=absent, latency_s=LATENCY))


def _peer(metrics: dict[str, float], repeats: int, options: Options) -> tuple[dict[str, dict[str, float]], object]:
    """Add the ratio to LLMCompiler, which polls; returns its figures and why it has none."""
    if options.quick:
        return {}, {}
    try:
        theirs = min(chain_ms(CHAIN, repeats, options))
    except PeerAbsent as error:
        return {}, {"llmcompiler": str(error)}
    metrics["llmcompiler_chain50_ratio"] = theirs / metrics["chain50_noop_fastest_ms"]
    return {"llmcompiler": {"chain50_noop_fastest_ms": theirs}}, {}


async def _alternate(plan: Plan, floor: Floor, latency: float, repeats: int) -> list[Pair]:
    """Time plan and floor, in turn, after one of each to warm up."""
    times = []
    for _ in range(1 + repeats):
        marks = [_clocks()]
        await _carry_out(plan)
        marks.append(_clocks())
        await floor(latency)
        marks.append(_clocks())
        (ours, ours_cpu), (bare, bare_cpu) = (
            (after[0] - before[0], after[1] - before[1]) for before, after in pairwise(marks)
        )
        times.append(Pair(ours, bare, ours_cpu, bare_cpu))
    return times[1:]


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


async def _carry_out(plan: Plan) -> Answer[str]:
    agent = Agent(ScriptedBackend("unused"), tools=[work], planner=FixedPlanner(plan))
    answer = await agent.run("Carry out the plan.", budget="usd=1,seconds=10000")
    assert answer.status == "complete" and answer.spent["tool_calls"] == len(plan.steps), answer.unmet
    return answer


async def _bare_chain(latency: float) -> None:
    """Do the same awaits, each started by the one before it."""

    async def step(number: int) -> None:
        await _await(latency)
        if number + 1 < CHAIN:
            group.start_soon(step, number + 1)

    async with anyio.create_task_group() as group:
        group.start_soon(step, 0)


async def _bare_fan(latency: float) -> None:
    """Do the same awaits, all at once and then the last."""
    async with anyio.create_task_group() as group:
        for _ in range(FAN):
            group.start_soon(_await, latency)
    await _await(latency)


async def _await(seconds: float) -> None:
    await (anyio.sleep(seconds) if seconds else anyio.lowlevel.checkpoint())


async def _makespans(seeds: int, estimate: Callable[[float], float]) -> list[Makespan]:
    """Run every shape on every number of places; `estimate` is what the planner knows of a latency."""
    found = []
    for kind in KINDS:
        for seed in range(seeds):
            shape = draw_shape(kind, seed)
            for places in PLACES:
                start = anyio.current_time()
                await _carry_out(shape.plan(places, estimate))
                found.append(Makespan(shape, places, anyio.current_time() - start))
    return found


async def _streamed(seeds: int) -> list[float]:
    """Return by shape how much longer it takes to let a model finish its plan before the first step starts."""
    found = []
    for kind in KINDS:
        for seed in range(seeds):
            shape = draw_shape(kind, seed)
            backend = ScriptedBackend([shape.text, "Done."], delay=WORD)
            agent = Agent(backend, tools=[work], planner=LLMPlanner(max_steps=len(shape.needs)))
            start = anyio.current_time()
            answer = await agent.run("Carry out the plan.", budget="usd=1,seconds=10000")
            assert answer.text == "Done." and answer.spent["tool_calls"] == len(shape.needs), answer.unmet
            written = WORD * sum(usage.output_tokens for usage in backend.bill)
            found.append((written + shape.critical_path) / (anyio.current_time() - start))
    return found


def _optima(found: Sequence[Makespan]) -> dict[str, float]:
    """Return how far the schedules are above the least that there is, where that is proven."""
    ratios = [each.seconds / least for each in found if (least := each.optimum) is not None]
    return {
        "optimum_proven_share": len(ratios) / len(found),
        "makespan_over_optimum_ratio": fmean(ratios),
        "makespan_over_optimum_max_ratio": max(ratios),
        "makespan_optimal_share": fmean(ratio < 1 + 1e-6 for ratio in ratios),
        "makespan_within_1_05_of_optimum_share": fmean(ratio <= NEAR for ratio in ratios),
    }


def _schedules(prefix: str, found: Sequence[Makespan]) -> dict[str, float]:
    """Return the figures of all schedules and of each kind."""
    ratios = sorted(each.ratio for each in found)
    figures = {
        "makespan_ratio": fmean(ratios),
        "makespan_p95_ratio": ratios[int(0.95 * (len(ratios) - 1))],
        "makespan_max_ratio": ratios[-1],
        "makespan_within_1_05_share": fmean(ratio <= NEAR for ratio in ratios),
        "list_bound_max_ratio": max(each.of_bound for each in found),
        "speedup_ratio": fmean(each.shape.work / each.seconds for each in found),
    }
    for kind in KINDS:
        own = [each for each in found if each.shape.kind == kind]
        figures[f"{kind}_makespan_ratio"] = fmean(each.ratio for each in own)
        figures[f"{kind}_within_1_05_share"] = fmean(each.ratio <= NEAR for each in own)
        figures[f"{kind}_speedup_ratio"] = fmean(each.shape.work / each.seconds for each in own)
    return {f"{prefix}{name}": value for name, value in figures.items()}
