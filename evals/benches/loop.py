"""`agentkit bench loop`: CPU time of a run of two model turns and one tool call, beside other frameworks.

The model is a script in the same process, so that only the framework works. Each system has a process of its
own; they take turns in short batches, so that a change of the machine's speed meets them all. A ratio is the
median of ours over theirs, batch by batch.
"""

from __future__ import annotations

from contextlib import ExitStack
from statistics import median

from agentkit.evals.benches.base import BenchResult, Options, environment
from agentkit.evals.benches.peers.environment import PEERS, PeerAbsent, Worker, worker
from agentkit.evals.statistics import bootstrap_median

BATCHES, QUICK_BATCHES = 40, 3
RUNS_PER_BATCH = 20
_WARM_UP = 20
_OURS = ("agentkit", "bare")
_PEERS = ("agno", "langchain", "openai_agents", "pydantic_ai", "smolagents")
_ANSWER = "It is sunny in Paris."


def run(options: Options) -> BenchResult:
    """Measure agentkit, the bare loop and every peer that can be installed; quick runs leave the peers out."""
    absent: dict[str, str] = {}
    workers: dict[str, Worker] = {}
    with ExitStack() as stack:
        for name in (*_OURS, *(() if options.quick else _PEERS)):
            try:
                workers[name] = _warm(stack.enter_context(worker("loop", name, options)), name)
            except PeerAbsent as error:
                if name in _OURS:
                    raise
                absent[name] = str(error)
        times = _alternate(workers, options)
    ours = times["agentkit"]
    metrics = {f"{name}_cpu_ms": median(values) for name, values in times.items()}
    intervals = {f"{name}_cpu_ms": bootstrap_median(values) for name, values in times.items()}
    for name in times.keys() - {"agentkit"}:
        ratios = [mine / theirs for mine, theirs in zip(ours, times[name], strict=True)]
        metrics[f"{name}_ratio"], intervals[f"{name}_ratio"] = median(ratios), bootstrap_median(ratios)
    baselines = {name: {"cpu_ms": metrics[f"{name}_cpu_ms"]} for name in times.keys() - {"agentkit"}}
    versions = {name: PEERS[name] for name in times.keys() & PEERS.keys()}
    return BenchResult("loop", metrics, intervals, baselines, environment(peers=versions, absent=absent))


def _warm(process: Worker, name: str) -> Worker:
    """Run the script until it is at speed; raises PeerAbsent when it does not do the work."""
    if (result := process.measure(_WARM_UP).result) != _ANSWER:
        raise PeerAbsent(f"{name} answered {result!r} instead of {_ANSWER!r}")
    return process


def _alternate(workers: dict[str, Worker], options: Options) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in workers}
    for batch in range(options.repeats or (QUICK_BATCHES if options.quick else BATCHES)):
        options.progress(f"loop: batch {batch + 1}")
        for name, process in workers.items():
            times[name].append(process.measure(RUNS_PER_BATCH).cpu_ms)
    return times
