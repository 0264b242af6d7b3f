"""`agentkit bench backends`: CPU time of a model call through agentkit, beside bare httpx, openai and LiteLLM.

A server of fixed bytes on loopback, in a process of its own, gives one reply whole or in a hundred chunks. Ours
goes through an agent, with budget, ledger and trace. Each client has a process, and they take turns in short
batches, so that a change of the machine's speed meets them all; a ratio is the median over the batches.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import agentkit
from agentkit.evals.benches.base import BenchResult, Options, environment
from agentkit.evals.benches.peers import replies
from agentkit.evals.benches.peers.environment import PEERS, PeerAbsent, Worker, interpreter, worker
from agentkit.evals.statistics import Interval, bootstrap_median

BATCHES, QUICK_BATCHES = 30, 2
STARTS, QUICK_STARTS = 9, 1
_PER_BATCH = {"call": 20, "stream": 10}
_OURS, _PEERS = ("bare", "agentkit"), ("openai", "litellm")
_START = {
    "bare": "import httpx; httpx.AsyncClient()",
    "agentkit": "from agentkit import Agent; Agent('openai:gpt-5-mini')",
    "openai": "import openai; openai.AsyncOpenAI()",
    "litellm": "import litellm",
}
_TIMED = "import time; start = time.perf_counter(); {work}; print((time.perf_counter() - start) * 1e3)"

Times = dict[str, dict[str, list[float]]]
"""Milliseconds by what was measured and by client."""


def run(options: Options) -> BenchResult:
    """Measure the clients and their start-up; quick runs leave the peers out."""
    names = _OURS if options.quick else _OURS + _PEERS
    absent: dict[str, str] = {}
    with ExitStack() as stack:
        port = stack.enter_context(serving())
        workers: dict[str, Worker] = {}
        for name in names:
            try:
                workers[name] = _warm(stack.enter_context(worker("backends", name, options)), name, port)
            except PeerAbsent as error:
                if name in _OURS:
                    raise
                absent[name] = str(error)
        times = _alternate(workers, port, options)
    times["startup"] = _starts(tuple(workers), options)
    metrics, intervals = _summary(times)
    versions = {name: PEERS[name] for name in workers.keys() & PEERS.keys()}
    baselines = {
        name: {f"{what}_ms": median(each[name]) for what, each in times.items()}
        for name in workers
        if name != "agentkit"
    }
    return BenchResult("backends", metrics, intervals, baselines, environment(peers=versions, absent=absent))


@contextmanager
def serving() -> Iterator[int]:
    """Run the server of fixed bytes; yields its port."""
    command = [sys.executable, "-P", str(Path(replies.__file__))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


def _warm(process: Worker, name: str, port: int) -> Worker:
    """Run both ways until they are at speed; raises PeerAbsent when the reply is not what was sent."""
    for stream in (0, 1):
        if (result := process.measure(_PER_BATCH["stream"], port, stream).result) != replies.TEXT:
            raise PeerAbsent(f"{name} read {str(result)[:80]!r} instead of the reply")
    return process


def _alternate(workers: Mapping[str, Worker], port: int, options: Options) -> Times:
    times: Times = {what: {name: [] for name in workers} for what in _PER_BATCH}
    for batch in range(options.repeats or (QUICK_BATCHES if options.quick else BATCHES)):
        options.progress(f"backends: batch {batch + 1}")
        for stream, (what, count) in enumerate(_PER_BATCH.items()):
            for name, process in workers.items():
                times[what][name].append(process.measure(count, port, stream).cpu_ms)
    return times


def _starts(names: tuple[str, ...], options: Options) -> dict[str, list[float]]:
    """Return the wall time from the first import to a client that is ready, in fresh interpreters."""
    times: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(1 + (QUICK_STARTS if options.quick else STARTS)):
            options.progress(f"backends: start {turn}")
            for name in names:
                python = str(interpreter(name, options)) if name in PEERS else sys.executable
                seconds = _fresh(python, _START[name], folder, ours=name not in PEERS)
                if turn:  # the first round writes bytecode
                    times[name].append(seconds)
    return times


def _fresh(python: str, work: str, folder: str, *, ours: bool) -> float:
    variables = {**os.environ, "OPENAI_API_KEY": "dummy", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    variables["PYTHONPYCACHEPREFIX"] = folder
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    variables.pop("PYTHONPATH", None)
    if ours:
        variables["PYTHONPATH"] = str(Path(agentkit.__file__).parent.parent)
    command = [python, "-c", _TIMED.format(work=work)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=variables, cwd=folder)
    return float(done.stdout.splitlines()[-1])


def _summary(times: Times) -> tuple[dict[str, float], dict[str, Interval]]:
    """Return the medians, ours over the floor, and the peers over ours."""
    metrics: dict[str, float] = {}
    intervals: dict[str, Interval] = {}
    for what, each in times.items():
        unit = "ms" if what == "startup" else "cpu_ms"
        metrics |= {f"{name}_{what}_{unit}": median(values) for name, values in each.items()}
        ours = each["agentkit"]
        ratios = {f"{what}_{unit.removesuffix('ms')}ratio": (ours, each["bare"])}
        ratios |= {f"{name}_{what}_ratio": (each[name], ours) for name in _PEERS if name in each}
        for key, (above, below) in ratios.items():
            pairs = [mine / other for mine, other in zip(above, below, strict=True)]
            metrics[key], intervals[key] = median(pairs), bootstrap_median(pairs)
    return metrics, intervals
