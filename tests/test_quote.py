"""Quotes: nothing is spent, the range is as wide as history is short, and the maximum holds."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

import pytest

from agentkit.agent import Agent
from agentkit.answer import Answer
from agentkit.backends.fake import ScriptedBackend, calls
from agentkit.costs import Budget
from agentkit.errors import ContextOverflow, UnboundedCost
from agentkit.quote import QUOTED, Quote
from agentkit.routers import Decision, Stop
from agentkit.tools import Tool, tool
from agentkit.types import Completion, ModelCard, Request
from agentkit.usage import Bound
from tests.scenario import card

pytestmark = pytest.mark.anyio
BUDGET = Budget(usd="0.01", requests=50)
TASK = "Count these words."


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own, without settings from outside."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("AGENTKIT_LEDGER", "AGENTKIT_TRACE_DIR", "AGENTKIT_DEFAULT_BUDGET"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def counting(lengths: Iterator[int], **options: object) -> Agent[str]:
    """An agent whose answers have these lengths, in words."""
    return Agent(ScriptedBackend(lambda request: "word " * next(lengths)), name="counter", **options)  # type: ignore[arg-type]  # any option


async def run_all(agent: Agent[str], count: int, task: str = TASK) -> list[Answer[str]]:
    return [await agent.run(task, budget=BUDGET) for _ in range(count)]


def check_order(quote: Quote) -> None:
    for name in QUOTED:
        ends = [amounts.get(name, float("inf")) for amounts in (quote.p10, quote.p50, quote.p90, quote.maximum)]
        assert ends == sorted(ends)


# ---------------------------------------------------------------- without history
async def test_without_history_the_quote_is_what_is_certain() -> None:
    backend = ScriptedBackend("Four.")
    agent = Agent(backend)
    quote = agent.quote(TASK, budget=BUDGET)
    assert quote.runs == 0 and quote.feasible
    assert quote.minimum == agent.minimum(TASK)
    assert quote.p10["usd"] == quote.minimum["usd"] > 0
    assert quote.p50["usd"] == quote.p90["usd"] == quote.maximum["usd"] == 10_000_000
    assert backend.requests == []


async def test_below_the_minimum_nothing_is_quoted_and_nothing_is_spent() -> None:
    agent, small = Agent(ScriptedBackend("Four.")), Budget(usd="0.000001")
    quote = agent.quote(TASK, budget=small)
    assert not quote.feasible
    assert set(quote.p90.values()) == {0} and quote.maximum["usd"] == 1_000
    assert (await agent.run(TASK, budget=small)).spent["usd"] == 0
    assert agent.quote(TASK, budget=BUDGET).runs == 0  # it told nothing about cost


def test_a_model_without_a_price_is_not_quoted_in_dollars() -> None:
    agent = Agent(ScriptedBackend("Four.", card=ModelCard("unpriced", backend="fake", model="unpriced")))
    with pytest.raises(UnboundedCost, match="its price is unknown"):
        agent.quote(TASK, budget=BUDGET)
    assert agent.quote(TASK, budget=Budget(tokens=5_000)).feasible


# ---------------------------------------------------------------- the maximum
async def test_without_limits_the_maximum_is_what_all_turns_cost() -> None:
    """Two models of $1 and $2 per million, a window of 1,000, 100 tokens out, ×4: $0.0014 and $0.0028 a turn."""
    models = [
        ScriptedBackend("x", card=card(name, price, context_window=1_000))
        for name, price in (("a", "1"), ("b", "2"))
    ]
    agent = Agent(models, max_output_tokens=100, max_steps=3)
    quote = agent.quote(TASK, budget=Budget.unlimited())
    most = 3 * 3 + 4  # three attempts for each turn, the wrap-up and three for what it left over
    assert quote.maximum["requests"] == most * 2
    assert quote.maximum["tool_calls"] == 0
    # the cap of a wrap-up is higher than 100, and counts
    assert quote.maximum["usd"] == most * (1_000 * (1 + 2) + 160 * (4 + 8)) * 1_000
    assert agent.quote(TASK, budget=Budget(usd="0.001")).maximum["usd"] == 1_000_000
    limited = agent.quote(TASK, budget=Budget(tokens=10**9))
    in_pieces = 3 * 8 * 3 + 4  # what a limit cuts goes on, in eight pieces at most
    assert limited.maximum["requests"] == in_pieces * 2
    assert "gpu_us" not in quote.maximum


async def test_the_worst_run_stays_below_the_maximum() -> None:
    def insist(request: Request) -> Completion:
        return calls(("nothing", {"because": "word " * 200}))

    models = [ScriptedBackend(insist, card=card(name, context_window=4_000)) for name in "ab"]
    agent = Agent(models, max_output_tokens=250, max_steps=5)
    quote = agent.quote(TASK, budget=Budget.unlimited())
    answer = await agent.run(TASK, budget=Budget.unlimited())
    assert answer.stop_reason == "max_steps"
    assert answer.spent["requests"] > 5
    for name, most in quote.maximum.items():
        assert answer.spent[name] <= most, name


class Stopper:
    """A router of somebody else: nobody knows how many calls it makes."""

    def next(self, *_: object) -> Decision:
        return Stop(None, "enough")


async def test_there_is_no_maximum_where_anything_may_be_called() -> None:
    @tool
    async def search(query: str) -> str:
        """Search."""
        return query

    for options in ({"tools": [search]}, {"router": Stopper()}):
        quote = Agent(ScriptedBackend("x"), **options).quote(TASK, budget=Budget(requests=9))
        assert quote.maximum == {"requests": 9}
        assert "usd" not in quote.p90
    models = [ScriptedBackend("x", card=card("a")), ScriptedBackend("x", card=card("unpriced", None))]
    unpriced = Agent(models).quote(TASK, budget=Budget.unlimited())
    assert "usd" not in unpriced.maximum and "tokens" in unpriced.maximum


# ---------------------------------------------------------------- with history
def test_tools_that_only_a_source_brings_leave_the_maximum_open() -> None:
    class Source:
        def open(self, seconds: float | None = None) -> AbstractAsyncContextManager[Sequence[Tool]]:
            return nullcontext(())

    agent = Agent(ScriptedBackend("x"), tools=[Source()])
    assert "tool_calls" not in agent.quote(TASK, budget=Budget.unlimited()).maximum


async def test_the_range_comes_from_what_runs_cost() -> None:
    lengths = [7 * place % 19 + 1 for place in range(19)]  # 1 to 19 words, in no order
    agent = counting(iter(lengths))
    spent = sorted(answer.spent["output_tokens"] for answer in await run_all(agent, 19))
    quote = agent.quote(TASK, budget=BUDGET)
    check_order(quote)
    assert quote.runs == 19
    assert quote.p10["output_tokens"] == spent[1] == 2
    assert 8 <= quote.p50["output_tokens"] <= 12
    assert quote.p90["output_tokens"] == spent[17] == 18
    assert quote.p90["requests"] == 1 and quote.p90["tool_calls"] == 0


async def test_a_longer_task_is_quoted_higher() -> None:
    agent = counting(iter([5] * 12))
    await run_all(agent, 12)
    longer = TASK + " word" * 2_000
    short, long = agent.quote(TASK, budget=BUDGET), agent.quote(longer, budget=BUDGET)
    ratio = long.minimum["usd"] / short.minimum["usd"]
    assert ratio > 5
    assert long.p50["usd"] == pytest.approx(ratio * short.p50["usd"], rel=0.001)


async def test_runs_that_a_limit_cut_short_leave_the_upper_end_open() -> None:
    loops: list[bool] = []
    agent = Agent(ScriptedBackend(lambda request: calls(("nothing", {})) if loops else "Four."))
    await run_all(agent, 12)
    assert agent.quote(TASK, budget=BUDGET).p90["usd"] < 1_000_000
    loops.append(True)
    for _ in range(4):
        assert (await agent.run(TASK, budget=Budget(requests=3))).status == "exhausted"
    assert agent.quote(TASK, budget=BUDGET).p90["usd"] == 10_000_000


async def test_streamed_runs_count() -> None:
    agent = counting(iter([5]))
    async with agent.stream(TASK, budget=BUDGET) as events:
        async for _ in events:
            pass
    assert agent.quote(TASK, budget=BUDGET).runs == 1


async def test_four_of_five_runs_lie_within_their_quote() -> None:
    rng = random.Random(5)
    agent = counting(iter(lambda: min(900, round(5 * rng.paretovariate(1.1))), 0))
    within = passed = 0
    for place in range(500):
        quote = agent.quote(TASK, budget=BUDGET)
        spent = (await agent.run(TASK, budget=BUDGET)).spent
        passed += any(spent[name] > most for name, most in quote.maximum.items())
        within += place >= 100 and quote.p10["usd"] <= spent["usd"] <= quote.p90["usd"]
    assert passed == 0
    assert 0.76 <= within / 400 <= 0.84


# ---------------------------------------------------------------- from the trace folder
@pytest.fixture
def traces(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The trace file of the agent."""
    monkeypatch.setenv("AGENTKIT_TRACE_DIR", str(project / "traces"))
    return project / "traces" / "counter.jsonl"


async def test_runs_of_other_processes_are_read_from_the_trace_once(traces: Path) -> None:
    agent, other = counting(iter([4] * 20)), counting(iter([6] * 20))
    assert agent.quote(TASK, budget=BUDGET).runs == 0
    await run_all(other, 10)
    assert agent.quote(TASK, budget=BUDGET).runs == 10
    assert agent.quote(TASK, budget=BUDGET).p90["output_tokens"] == 6
    await run_all(agent, 3)
    assert agent.quote(TASK, budget=BUDGET).runs == other.quote(TASK, budget=BUDGET).runs == 13


def test_a_line_that_is_being_written_is_read_when_it_is_whole(traces: Path) -> None:
    agent = counting(iter([4] * 3))
    agent.run_sync(TASK, budget=BUDGET)
    agent.run_sync(TASK, budget=BUDGET)
    whole = traces.read_bytes()
    traces.write_bytes(whole[:-20])
    assert agent.quote(TASK, budget=BUDGET).runs == 1
    traces.write_bytes(whole)
    assert agent.quote(TASK, budget=BUDGET).runs == 2


def test_a_trace_that_was_rotated_is_read_from_its_start(traces: Path) -> None:
    agent = counting(iter([4] * 4))
    for _ in range(3):
        agent.run_sync(TASK, budget=BUDGET)
    assert agent.quote(TASK, budget=BUDGET).runs == 3
    traces.rename(traces.with_suffix(".1"))
    agent.run_sync(TASK, budget=BUDGET)
    assert agent.quote(TASK, budget=BUDGET).runs == 4


def test_lines_that_cannot_be_read_are_passed_over(traces: Path) -> None:
    agent = counting(iter([4] * 3))
    agent.run_sync(TASK, budget=BUDGET)
    lines = traces.read_text().splitlines()
    answer = json.loads(lines[-1])
    crashed = [lines[-1][:30] + lines[0], json.dumps({**answer, "run": "unheard of"}), '{"kind": "answer"}']
    traces.write_text("\n".join([*crashed, *lines, *crashed]) + "\n")
    assert agent.quote(TASK, budget=BUDGET).runs == 1


class Small(ScriptedBackend):
    """A model with a window of a hundred words."""

    def bound(self, request: Request) -> Bound:
        bound = super().bound(request)
        if bound.input_tokens > 100:
            raise ContextOverflow(self.card.name, bound.input_tokens, 100)
        return bound


async def test_tasks_that_the_agent_no_longer_takes_are_passed_over(traces: Path) -> None:
    earlier, now = counting(iter([4] * 3)), Agent(Small("Four."), name="counter")
    await run_all(earlier, 1, TASK + " word" * 200)
    await run_all(earlier, 2)
    assert now.quote(TASK, budget=BUDGET).runs == 2
