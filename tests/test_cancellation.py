"""Runs are cancelled at every await there is, in whatever task of theirs, over real sockets and both stores."""

import asyncio  # noqa: TID251 - users cancel with bare asyncio too
import os
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, Self
from urllib.request import urlopen

import anyio
import pytest

from agentkit.agent import Agent
from agentkit.backends import RemoteBackend, calls
from agentkit.backends.openai_chat import OpenAIChat
from agentkit.backends.provider import Model, Provider
from agentkit.budgets import Ledger, Scope
from agentkit.costs import Budget, Cost
from agentkit.trace import TextDelta
from agentkit.types import Completion, ModelCard, Request
from agentkit.usage import Price
from tests.scenario import TASK, find_order

pytestmark = pytest.mark.anyio
PRICE = Price(Decimal(1), Decimal(4))
PATIENCE = 60.0


def play(request: Request) -> Completion | str:
    """One look-up, then a short answer: every await there is, and few of them twice."""
    looked_up = any(message.role == "tool" for message in request.messages)
    return "On Monday." if looked_up else calls(("find_order", {"number": 7}))


class Awaits:
    """Counts the awaits that suspend any task begun meanwhile, and calls `cancel` at one of them."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.cancel: Callable[[], object] = bool

    def __enter__(self) -> Self:
        def counted(loop: asyncio.AbstractEventLoop, work: Any, **named: Any) -> asyncio.Task[Any]:
            return asyncio.Task(_Counted(work, self), loop=loop, **named)

        asyncio.get_running_loop().set_task_factory(counted)
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.get_running_loop().set_task_factory(None)

    def suspended(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.cancel()


class _Counted(Coroutine[Any, Any, Any]):
    """What a task does, seen at every suspension."""

    def __init__(self, work: Any, awaits: Awaits) -> None:
        self._work, self._awaits = work, awaits

    def __await__(self) -> Generator[Any, Any, Any]:
        raise NotImplementedError("a task is not awaited by its coroutine")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._work, name)  # anyio asks whether it has begun

    def send(self, value: Any) -> Any:
        pending = self._work.send(value)
        self._awaits.suspended()
        return pending

    def throw(self, *error: Any) -> Any:
        pending = self._work.throw(*error)
        self._awaits.suspended()
        return pending

    def close(self) -> None:
        self._work.close()


# ---------------------------------------------------------------- what is cancelled
Way = Callable[[Agent[str], Scope], Coroutine[Any, Any, None]]


async def run(agent: Agent[str], scope: Scope) -> None:
    await agent.run(TASK, budget=Budget(usd=1), scope=scope)


async def stream(agent: Agent[str], scope: Scope) -> None:
    async with agent.stream(TASK, budget=Budget(usd=1), scope=scope) as events:
        async for _ in events:
            pass


async def leave_stream(agent: Agent[str], scope: Scope) -> None:
    async with agent.stream(TASK, budget=Budget(usd=1), scope=scope) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider({"scripted": Model(play, PRICE)}) as running:
        with urlopen(f"{running.origin}/v1/models") as listing:  # it has begun: the sockets it needs are there
            listing.read()
        yield running


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/ledger.db"


@pytest.mark.parametrize("how", ["asyncio", "anyio"])
@pytest.mark.parametrize("way", [run, stream, leave_stream])
async def test_cancelled_at_any_await_no_hold_task_or_socket_leaks(
    provider: Provider, url: str, way: Way, how: str
) -> None:
    sockets, billed = _sockets(), provider.billed
    card = ModelCard("scripted", "openai", "scripted", price=PRICE)
    backend = RemoteBackend(card, OpenAIChat(), base_url=provider.url("openai"), api_key="any")
    agent = Agent(backend, tools=[find_order])
    with Ledger.open(url) as ledger:
        scope, tasks, at, reached = ledger.scope("application"), asyncio.all_tasks(), 0, True
        while reached:
            at += 1
            with anyio.fail_after(PATIENCE):
                reached = await _cancelled(way, agent, scope, how, at)
            assert scope.view().held == Cost(), f"cancelled at await {at}"
            assert asyncio.all_tasks() == tasks, f"cancelled at await {at}"
            await _wait_for_sockets(sockets + 2, at)  # one connection is kept, and both its ends are here
        view = scope.view()
        tools = sum(r.charged["usd"] for r in scope.receipts() if r.what.startswith("tool:"))
        assert view.spent["usd"] - tools >= provider.billed["usd"] - billed["usd"]
        assert await ledger.verify() == []
    await agent.aclose()
    await _wait_for_sockets(sockets, at)
    assert at > 6, "it was hardly ever cancelled"  # how a reply is cut into pieces is up to the socket


async def _cancelled(way: Way, agent: Agent[str], scope: Scope, how: str, at: int) -> bool:
    """Cancel at the `at`-th await; returns whether there are so many."""
    with Awaits(at) as awaits:
        if how == "anyio":
            async with anyio.create_task_group() as group:
                awaits.cancel = group.cancel_scope.cancel
                group.start_soon(way, agent, scope)
        else:
            task = asyncio.create_task(way(agent, scope))
            awaits.cancel = task.cancel
            with suppress(asyncio.CancelledError):
                await task
    return awaits.left <= 0


def _sockets() -> int:
    found = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
        except OSError:  # the folder's own
            continue
    return found


async def _wait_for_sockets(most: int, at: int) -> None:
    """The provider's end closes a moment later."""
    end = anyio.current_time() + PATIENCE
    while _sockets() > most:
        assert anyio.current_time() < end, f"cancelled at await {at}, {_sockets() - most} sockets are left"
        await anyio.sleep(0.002)
