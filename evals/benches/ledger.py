"""`agentkit bench ledger`: what a hold costs, beside its bare arithmetic and beside the disk.

A pair is one reserve, which also dispatches, and one settle, in a scope at depth 4 with a limit on each of four
resources, the event log on. In memory the floor is the same arithmetic written inline. In SQLite the floor is
the same disk in the same run: how often it takes an fsync, and a commit of one row in each durability. All
take turns, so that a change of the machine's speed meets them all; rates are medians of the rounds.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections import defaultdict
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from statistics import median

import anyio

from agentkit.budgets import Ledger, Scope
from agentkit.budgets.owner import file_system
from agentkit.costs import Cost
from agentkit.evals.benches.base import BenchResult, Options, environment
from agentkit.evals.statistics import bootstrap_median

BATCHES, QUICK_BATCHES = 60, 3
PAIRS_PER_BATCH = 500
ROUNDS, QUICK_ROUNDS = 5, 1
SECONDS, QUICK_SECONDS = 1.0, 0.05
CALLERS = (1, 32, 128)
_DURABILITIES = {"process_crash": "NORMAL", "power_loss": "FULL"}
_LIMITS = dict.fromkeys(("usd", "tokens", "requests", "tool_calls"), 2**60)
_DEPTH = 4
_HELD = Cost(usd=900, tokens=900, requests=1, tool_calls=1)
_USED = Cost(usd=500, tokens=700, requests=1, tool_calls=1)


def run(options: Options) -> BenchResult:
    """Measure pairs in memory and in SQLite with their floors."""
    ours, inline = _memory(options.repeats or (QUICK_BATCHES if options.quick else BATCHES))
    ratios = [mine / floor for mine, floor in zip(ours, inline, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        rates = _disk(Path(folder), options)
        place = environment(file_system=file_system(Path(folder)))
    metrics = {
        "memory_pair_cpu_us": median(ours),
        "memory_inline_cpu_us": median(inline),
        "memory_pair_ratio": median(ratios),
    }
    intervals = {"memory_pair_ratio": bootstrap_median(ratios)}
    for key, values in rates.items():
        metrics[key], intervals[key] = median(values), bootstrap_median(values)
    return BenchResult("ledger", metrics, intervals, environment=place)


# ---------------------------------------------------------------- memory
def _memory(batches: int) -> tuple[list[float], list[float]]:
    """Return micro-seconds of CPU for one pair, batch by batch: ours and inline."""
    ours, inline = [], []
    for batch in range(1 + batches):
        mine, floor = anyio.run(_pairs, PAIRS_PER_BATCH), _inline(PAIRS_PER_BATCH)
        if batch:  # the first warms up
            ours.append(mine)
            inline.append(floor)
    return ours, inline


async def _pairs(count: int) -> float:
    with Ledger.open() as ledger:
        scope = _deep(ledger)
        start = time.process_time()
        for _ in range(count):
            await _pair(scope)
        return (time.process_time() - start) / count * 1e6


def _inline(count: int) -> float:
    """Do what a pair does to the balances and the log, and nothing else: no ids, no refusals, no receipts."""
    path = [[[limit, 0, 0] for limit in _LIMITS.values()] for _ in range(_DEPTH)]  # limit, held, spent
    held, used = ([cost[resource] for resource in _LIMITS] for cost in (_HELD, _USED))
    events = []
    start = time.process_time()
    for _ in range(count):
        for account in path:
            for (limit, holds, spent), amount in zip(account, held):  # noqa: B905 - strict would slow the floor
                assert holds + spent + amount <= limit
        for account in path:
            for line, amount in zip(account, held):  # noqa: B905
                line[1] += amount
        events.append((time.time(), "reserve", _HELD))
        for account in path:
            for line, amount, actual in zip(account, held, used):  # noqa: B905
                line[1] -= amount
                line[2] += actual
        events.append((time.time(), "settle", _USED))
    return (time.process_time() - start) / count * 1e6


# ---------------------------------------------------------------- disk
def _disk(folder: Path, options: Options) -> dict[str, list[float]]:
    """Return rates per second by key, round by round."""
    seconds = QUICK_SECONDS if options.quick else SECONDS
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    rates: dict[str, list[float]] = defaultdict(list)
    for number in range(rounds):
        options.progress(f"ledger: round {number + 1} of {rounds} on disk")
        rates["fsync_per_s"].append(_rate(_fsyncs(folder / "file"), seconds))
        for durability, synchronous in _DURABILITIES.items():
            commits = _commits(folder / f"floor-{durability}-{number}.db", synchronous)
            rates[f"commit_{durability}_per_s"].append(_rate(commits, seconds))
            for callers in CALLERS:
                url = f"sqlite:///{folder}/{durability}-{callers}-{number}.db?durability={durability}"
                rate = anyio.run(_pairs_per_second, url, callers, seconds)
                rates[f"sqlite_{durability}_{callers}_callers_pairs_per_s"].append(rate)
    return rates


async def _pairs_per_second(url: str, callers: int, seconds: float) -> float:
    with Ledger.open(url) as ledger:
        scope, done = _deep(ledger), 0

        async def call(end: float) -> None:
            nonlocal done
            while time.perf_counter() < end:
                await _pair(scope)
                done += 1

        for warm_up in (True, False):  # the first pairs start the ledger's threads
            done, start = 0, time.perf_counter()
            async with anyio.create_task_group() as group:
                for _ in range(callers):
                    group.start_soon(call, start + (seconds / 5 if warm_up else seconds))
        return done / (time.perf_counter() - start)


def _rate(operations: Generator[None], seconds: float) -> float:
    with closing(operations):
        next(operations)
        done, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            next(operations)
            done += 1
        return done / (time.perf_counter() - start)


def _fsyncs(path: Path) -> Generator[None]:
    """Append a page and wait for the disk, again and again."""
    with path.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))
            os.fsync(file.fileno())
            yield


def _commits(path: Path, synchronous: str) -> Generator[None]:
    """Commit one row to a bare database, again and again."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(f"PRAGMA synchronous = {synchronous}")
        database.execute("CREATE TABLE rows (value INTEGER)")
        while True:
            database.execute("INSERT INTO rows VALUES (1)")
            yield


def _deep(ledger: Ledger) -> Scope:
    scope = ledger.scope("application", limits=_LIMITS)
    for _ in range(_DEPTH - 1):
        scope = scope.share(_LIMITS)
    return scope


async def _pair(scope: Scope) -> None:
    hold = await scope.reserve(_HELD, what="model:any", dispatch=True)
    await hold.settle(_USED)
