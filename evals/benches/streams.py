"""`agentkit bench streams`: a thousand streamed calls at once, wave after wave, each wave under one ledger.

The provider is the shipped fake in a process of its own. Its replies take a fixed time from first token to last;
what a call takes above that is added latency, the server's and ours. The same wave with bare httpx tells how much
is the server's and the machine's. A ledger in memory keeps its receipts, so every wave has a new one: what memory
grows by from wave to wave is a leak.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import NamedTuple

import anyio

from agentkit import Agent, Budget
from agentkit.backends import RemoteBackend, Timeouts
from agentkit.backends.openai_chat import OpenAIChat
from agentkit.budgets import Ledger, Scope
from agentkit.errors import AgentkitError
from agentkit.evals.benches.base import BenchResult, Options, environment
from agentkit.evals.benches.peers import backends_bare
from agentkit.trace import TextDelta
from agentkit.types import ModelCard
from agentkit.usage import Price

TASK = "When is high tide?"
PRICE = Price(Decimal(1), Decimal(4))  # what the fake bills


class Load(NamedTuple):
    """How many calls at once, how many waves of them, and a reply: its tokens and their times in seconds."""

    calls: int = 1_000
    waves: int = 5
    tokens: int = 20
    wait: float = 2.0
    pace: float = 0.2

    @property
    def text(self) -> str:
        """What every reply says."""
        return " ".join(f"word{number}" for number in range(self.tokens))

    @property
    def seconds(self) -> float:
        """How long a reply takes by itself."""
        return self.wait + self.pace * self.tokens


QUICK = Load(calls=20, waves=2, tokens=5, wait=0.1, pace=0.02)


class Wave(NamedTuple):
    """What came of one wave: how many replies were not read whole, the seconds of the others, the memory after."""

    lost: int
    seconds: list[float]
    memory_mb: float


def run(options: Options) -> BenchResult:
    """Send the waves, then one of bare httpx, and compare the ledger with the provider's bill."""
    load = QUICK if options.quick else Load()
    _allow_files(3 * load.calls)
    with serving(load) as (url, bill_file):
        waves, spent = anyio.run(_waves, url, load, options)
        billed = sum(json.loads(line)["nano_usd"] for line in bill_file.read_text("utf-8").splitlines())
        options.progress("streams: a wave of bare httpx")
        floor = anyio.run(_wave, load, partial(_bare, int(url.rpartition(":")[2].partition("/")[0])))
    seconds = [each for wave in waves for each in wave.seconds]
    metrics: dict[str, float] = {
        "calls": load.calls * load.waves,
        "lost": sum(wave.lost for wave in waves),
        "unbilled_nano_usd": spent - billed,
        "memory_first_mb": waves[0].memory_mb,
        "memory_last_mb": waves[-1].memory_mb,
        "memory_ratio": waves[-1].memory_mb / waves[0].memory_mb,
    }
    metrics |= _added("", seconds, load) | _added("bare_", floor.seconds, load)
    return BenchResult("streams", metrics, environment=environment(reply_s=load.seconds, at_once=load.calls))


@contextmanager
def serving(load: Load) -> Iterator[tuple[str, Path]]:
    """Run the fake provider; yields its base URL and the file of its bill."""
    with tempfile.TemporaryDirectory() as folder:
        script, bill = Path(folder, "script.yaml"), Path(folder, "bill.jsonl")
        script.write_text(json.dumps({"m": {"text": load.text, "wait": load.wait, "pace": load.pace}}))
        command = [sys.executable, "-m", "agentkit.backends.provider", str(script), "--bill", str(bill)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield json.loads(process.stdout.readline())["openai"], bill
            finally:
                process.terminate()


async def _waves(url: str, load: Load, options: Options) -> tuple[list[Wave], int]:
    """Send all waves from one agent; returns them and what the ledger was charged, in nano-dollars."""
    card = ModelCard("m", "openai", "m", price=PRICE, max_output_tokens=500)
    limits = Timeouts(connect=60, first_token=120)
    agent = Agent(
        RemoteBackend(card, OpenAIChat(), base_url=url, api_key="key", timeouts=limits), budget=Budget(usd=1)
    )
    waves, spent = [], 0
    for number in range(load.waves):
        options.progress(f"streams: wave {number + 1} of {load.waves}, {load.calls} calls at once")
        with Ledger.open() as ledger:
            scope = ledger.scope("wave", limits=Budget(usd=load.calls).limits())
            waves.append(await _wave(load, partial(_ours, agent, scope)))
            spent += scope.view().spent["usd"]
    await agent.aclose()
    return waves, spent


async def _wave(load: Load, call: Callable[[], Awaitable[str]]) -> Wave:
    seconds: list[float] = []

    async def one() -> None:
        start = time.monotonic()
        if await call() == load.text:
            seconds.append(time.monotonic() - start)

    async with anyio.create_task_group() as group:
        for _ in range(load.calls):
            group.start_soon(one)
    gc.collect()
    return Wave(load.calls - len(seconds), seconds, _resident_mb())


async def _ours(agent: Agent, scope: Scope) -> str:
    """Return what was streamed, nothing when the call failed."""
    text = []
    try:
        async with agent.stream(TASK, scope=scope) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    text.append(event.text)
    except AgentkitError:
        return ""
    return "".join(text)


async def _bare(port: int) -> str:
    return await backends_bare.run(port, stream=True)


def _added(who: str, seconds: list[float], load: Load) -> dict[str, float]:
    """Return percentiles of what calls took above what their replies take, in milliseconds."""
    cuts = quantiles([(each - load.seconds) * 1e3 for each in seconds], n=100) if len(seconds) > 1 else [0.0] * 99
    return {f"{who}added_p50_ms": cuts[49], f"{who}added_p99_ms": cuts[98]}


def _resident_mb() -> float:
    """Return the memory of this process; Linux tells it."""
    with Path("/proc/self/smaps_rollup").open() as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Rss:")) / 1024


def _allow_files(count: int) -> None:
    """Let this process and those it starts hold a connection for each call."""
    import resource  # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(count, hard)), hard))
