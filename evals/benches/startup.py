"""`agentkit bench startup`: what it costs to have a remote agent, in time, in modules and on disk.

The floor is importing httpx, pydantic, anyio and yaml, which the core is made of. Agent and floor are timed in
fresh interpreters that take turns, from the first import on; a ratio is the median of the pairs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import agentkit
from agentkit.evals.benches.base import BenchResult, Options, environment
from agentkit.evals.benches.core_install import core_install_mb
from agentkit.evals.statistics import Interval, bootstrap_median

PAIRS, QUICK_PAIRS = 25, 3

_TIMED = """
import sys, time
wall, cpu = time.perf_counter(), time.process_time()
{work}
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
loaded = [name in sys.modules for name in ("torch", "numpy", "typer")]
import json
print(json.dumps([wall * 1e3, cpu * 1e3, *map(int, loaded)]))
"""
_WORK = {
    "floor": "import httpx, pydantic, anyio, yaml",
    "import": "import agentkit",
    "construct": "from agentkit import Agent\nAgent('openai:gpt-5-mini', instructions='Answer briefly.')",
    "construct_with_tool": """
from agentkit import Agent, tool
@tool
async def search(query: str) -> str:
    "Search the web."
    return query
Agent('openai:gpt-5-mini', tools=[search], instructions='Answer briefly.')
""",
}


def run(options: Options) -> BenchResult:
    """Time the pairs, and weigh the core installation where there is a package registry."""
    pairs = options.repeats or (QUICK_PAIRS if options.quick else PAIRS)
    rows: dict[str, list[list[float]]] = {name: [] for name in _WORK}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(1 + pairs):
            options.progress(f"startup: pair {turn} of {pairs}")
            for name, work in _WORK.items():
                row = _fresh(work, folder)
                if turn:  # the first round writes bytecode
                    rows[name].append(row)
    metrics, intervals = _ratios(rows)
    for column, package in enumerate(("torch", "numpy", "typer"), start=2):
        metrics[f"{package}_loaded"] = max(row[column] for row in rows["construct"] + rows["construct_with_tool"])
    sizes, skipped = ({}, "a quick run") if options.quick else core_install_mb()
    return BenchResult(
        "startup", metrics | sizes, intervals, environment=environment(core_install_skipped=skipped)
    )


def _ratios(rows: Mapping[str, list[list[float]]]) -> tuple[dict[str, float], dict[str, Interval]]:
    """Return times and ratios to the floor, by wall clock and by CPU time."""
    metrics: dict[str, float] = {}
    intervals: dict[str, Interval] = {}
    for column, clock in enumerate(("", "cpu_")):
        floor = [row[column] for row in rows["floor"]]
        metrics[f"floor_{clock}ms"] = median(floor)
        for name in rows.keys() - {"floor"}:
            times = [row[column] for row in rows[name]]
            ratios = [mine / least for mine, least in zip(times, floor, strict=True)]
            metrics |= {f"{name}_{clock}ms": median(times), f"{name}_{clock}ratio": median(ratios)}
            intervals[f"{name}_{clock}ratio"] = bootstrap_median(ratios)
    return metrics, intervals


def _fresh(work: str, folder: str) -> list[float]:
    """Run `work` in a new interpreter; returns wall and CPU milliseconds and what was loaded.

    Bytecode is kept in `folder`, which is also where it runs, so that no project's settings are read.
    """
    variables = {
        **os.environ,
        "OPENAI_API_KEY": "dummy",
        "PYTHONPATH": str(Path(agentkit.__file__).parent.parent),
        "PYTHONPYCACHEPREFIX": folder,
    }
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", _TIMED.format(work=work)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=variables, cwd=folder)
    row: list[float] = json.loads(done.stdout)
    return row
