"""`agentkit bench policies`: admission policies over recorded calls, N callers and one limit on tokens.

The calls are those of the Azure LLM inference traces, windows of which are drawn by seed; `policies_world.py`
says what happens to them and `policies_rules.py` what each policy does. Overspend is (bill − limit) / limit, at
least 0, by the provider's bill; the completed ratio is what completed calls would cost in one piece, over the
limit. Intervals are of the mean difference to the best policy that never overspent, variants of the default left
out, over the same scenarios.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import get_args

import anyio

from agentkit.errors import ConfigError
from agentkit.evals.benches.base import BenchResult, Options, environment
from agentkit.evals.benches.policies_rules import POLICIES
from agentkit.evals.benches.policies_traces import TRACES, Recorded, folder, recorded_calls
from agentkit.evals.benches.policies_world import Bill, Outcome, Scenario, play
from agentkit.evals.statistics import bootstrap_mean

CALLERS, QUICK_CALLERS = (1, 2, 4, 8, 16, 32, 64, 128), (1, 32)
SEEDS, QUICK_SEEDS = 25, 1
BILLS: tuple[Bill, ...] = get_args(Bill)
OURS = "agentkit"


@dataclass(frozen=True, slots=True)
class Trial:
    """One scenario under one policy."""

    trace: str
    scenario: Scenario
    outcome: Outcome

    @property
    def overspend(self) -> float:
        """What was billed above the limit, over the limit."""
        return max(0, self.outcome.billed - self.scenario.limit) / self.scenario.limit


def run(options: Options) -> BenchResult:
    """Play every scenario under every policy; raises ConfigError where the traces are not."""
    place = folder()
    if place is None:
        raise ConfigError("there are no traces to replay; set AGENTKIT_DATA to the folder that holds traces/")
    trials = anyio.run(_play_all, place, options)
    ratios = {name: _ratios(found) for name, found in trials.items()}
    ours, baselines = ratios[OURS], {name: keys for name, keys in ratios.items() if name != OURS}
    foreign = {name: keys for name, keys in baselines.items() if not name.startswith(OURS)}
    sound = [name for name, keys in foreign.items() if keys["overspend_max"] == 0]
    metrics, intervals = dict(ours), {}
    for key, measure in (("completed_ratio", _completed), ("completed_calls", _calls)):
        best = max(sound, key=lambda name: baselines[name][key])
        differences = [measure(a) - measure(b) for a, b in zip(trials[OURS], trials[best], strict=True)]
        metrics[f"best_baseline_{key}"] = baselines[best][key]
        metrics[f"{key}_over_best"] = fmean(differences)
        intervals[f"{key}_over_best"] = bootstrap_mean(differences)
    metrics["trials"] = len(trials[OURS])
    return BenchResult("policies", metrics, intervals, baselines, environment())


async def _play_all(place: Path, options: Options) -> Mapping[str, Sequence[Trial]]:
    seeds = options.seeds or (QUICK_SEEDS if options.quick else SEEDS)
    traces = {trace: recorded_calls(place, trace) for trace in TRACES}
    trials: dict[str, list[Trial]] = {name: [] for name in POLICIES}
    for seed in range(seeds):
        options.progress(f"policies: seed {seed + 1} of {seeds}")
        for trace, scenario in _scenarios(traces, seed, QUICK_CALLERS if options.quick else CALLERS):
            for name, policy in POLICIES.items():
                trials[name].append(Trial(trace, scenario, await play(scenario, policy)))
    return trials


def _scenarios(
    traces: Mapping[str, Sequence[Recorded]], seed: int, callers: Sequence[int]
) -> Iterator[tuple[str, Scenario]]:
    for (name, calls), bill, count in product(traces.items(), BILLS, callers):
        yield name, Scenario.draw(calls, count, bill, seed)


def _ratios(trials: Sequence[Trial]) -> dict[str, float]:
    """Return the flat keys of a policy: over all trials, then by bill, by trace and by number of callers."""
    ratios = {**_summary(trials), "overspend_max": max(trial.overspend for trial in trials)}
    ratios["bill_above_ledger_max_tokens"] = max(
        max(0, trial.outcome.billed - trial.outcome.charged) for trial in trials
    )
    ways: Sequence[tuple[str, Callable[[Trial], str | int]]] = (
        ("", lambda trial: trial.scenario.bill),
        ("", lambda trial: trial.trace),
        ("n", lambda trial: trial.scenario.callers),
    )
    for prefix, part in ways:
        for value in dict.fromkeys(map(part, trials)):
            some = [trial for trial in trials if part(trial) == value]
            ratios |= {f"{key}_{prefix}{value}": mean for key, mean in _summary(some).items()}
    return ratios


def _summary(trials: Sequence[Trial]) -> dict[str, float]:
    outcomes = [trial.outcome for trial in trials]
    return {
        "completed_ratio": fmean(map(_completed, trials)),
        "completed_calls": fmean(map(_calls, trials)),
        "truncated_calls": fmean(outcome.truncated for outcome in outcomes),
        "truncated_ratio": fmean(trial.outcome.truncated_tokens / trial.scenario.limit for trial in trials),
        "further_pieces": fmean(outcome.further for outcome in outcomes),
        "in_flight_max": fmean(outcome.in_flight for outcome in outcomes),
        "makespan_s": fmean(outcome.makespan for outcome in outcomes),
    }


def _completed(trial: Trial) -> float:
    return trial.outcome.completed_tokens / trial.scenario.limit


def _calls(trial: Trial) -> float:
    return trial.outcome.completed
