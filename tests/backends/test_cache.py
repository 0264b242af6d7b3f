"""The response cache: the same request again costs nothing, and nothing else is ever answered from it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import aclosing, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentkit.agent import Agent
from agentkit.backends import Assembler, CachingBackend, Faulty, ScriptedBackend, calls
from agentkit.backends.breaker import Breaker
from agentkit.backends.fake import Reply
from agentkit.backends.guarded import Guarded
from agentkit.backends.retry import RetryPolicy
from agentkit.costs import Cost
from agentkit.errors import BackendUnavailable, CacheError, CircuitOpen
from agentkit.executor.resilience import Resilience
from agentkit.loader import load
from agentkit.messages import Native, assistant, user
from agentkit.trace import Settled, TextDelta
from agentkit.types import Capabilities, Completion, Request
from agentkit.usage import Usage

pytestmark = pytest.mark.anyio

REQUEST = Request(messages=(user("what is a budget?"),), max_output_tokens=50)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "replies.sqlite"


def cached(path: Path, script: Any = "A limit.", **options: Any) -> tuple[CachingBackend, ScriptedBackend]:
    backend = ScriptedBackend(script)
    return CachingBackend(backend, path, **options), backend


async def streamed(cache: CachingBackend, request: Request = REQUEST) -> Completion:
    reply = Assembler()
    async with aclosing(cache.stream(request)) as deltas:
        async for delta in deltas:
            reply.add(delta)
    return reply.partial()


async def asked(cache: CachingBackend, backend: ScriptedBackend, request: Request) -> bool:
    """Make the call and tell whether the backend was asked."""
    before = len(backend.bill)
    await cache.complete(request)
    return len(backend.bill) > before


SCRIPT: list[Reply] = ["A limit,\u2028預算.\x85\n", calls(("search", {"query": "x y"}), text="Let me.")]


@pytest.mark.parametrize("reply", SCRIPT, ids=["text", "calls"])
@pytest.mark.parametrize("first_streamed", [False, True])
@pytest.mark.parametrize("then_streamed", [False, True])
async def test_the_same_request_is_answered_again(
    path: Path, reply: Reply, first_streamed: bool, then_streamed: bool
) -> None:
    cache, backend = cached(path, [reply, "never said"])
    first = await (streamed(cache) if first_streamed else cache.complete(REQUEST))
    again = await (streamed(cache) if then_streamed else cache.complete(REQUEST))
    assert len(backend.bill) == 1
    assert first.usage is not None and not first.usage.from_cache
    assert again == replace(first, usage=replace(first.usage, from_cache=True))
    assert again.usage is not None and again.usage.cost(backend.card.price) == Cost()


async def test_what_the_provider_wants_back_is_kept_with_the_reply(path: Path) -> None:
    native = Native("d", "m", ({"type": "thinking", "signature": "x=="},))
    said = replace(assistant("hi"), native=native)
    cache, backend = cached(path, Completion(said, "stop", Usage(1, output_tokens=1, raw={"a": 1})))
    await cache.complete(REQUEST)
    assert (await cache.complete(REQUEST)).message.native == native
    assert len(backend.bill) == 1


DIFFERENT = {
    "words": {"messages": (user("what is a Budget?"),)},
    "seed": {"seed": 1},
    "effort": {"reasoning_effort": "high"},
    "schema": {"output_schema": {"type": "object"}},
}


@pytest.mark.parametrize("name", DIFFERENT)
async def test_another_request_is_asked(path: Path, name: str) -> None:
    cache, backend = cached(path)
    await cache.complete(REQUEST)
    assert await asked(cache, backend, replace(REQUEST, **DIFFERENT[name]))  # type: ignore[arg-type]  # a mix


@pytest.mark.parametrize("field", ["model", "backend", "capabilities", "address"])
async def test_another_model_or_address_is_asked(path: Path, field: str) -> None:
    cache, backend = cached(path)
    await cache.complete(REQUEST)
    other, backend = cached(path)
    if field == "address":
        backend.base_url = "https://elsewhere.example/v1"  # type: ignore[attr-defined]  # remote backends have one
    else:
        changed = {"model": "other", "backend": "other", "capabilities": Capabilities(temperature=False)}
        backend.card = replace(backend.card, **{field: changed[field]})  # type: ignore[arg-type]  # a mix
    assert await asked(other, backend, REQUEST)


async def test_a_reply_serves_every_cap_it_fits(path: Path) -> None:
    cache, backend = cached(path, "four words of text")
    await cache.complete(REQUEST)
    assert not await asked(cache, backend, replace(REQUEST, max_output_tokens=4))
    assert not await asked(cache, backend, replace(REQUEST, max_output_tokens=5_000))
    assert await asked(cache, backend, replace(REQUEST, max_output_tokens=3))


async def test_what_was_cut_refused_or_failed_is_not_kept(path: Path) -> None:
    refused = Completion(assistant("No."), "content_filter", Usage(1, output_tokens=1))
    cache, backend = cached(path, ["a b c d", refused, Faulty("a b", fail_after=1), "fine"])
    short = replace(REQUEST, max_output_tokens=2)
    assert (await cache.complete(short)).finish_reason == "length"
    await cache.complete(short)
    with pytest.raises(BackendUnavailable):
        await streamed(cache, short)
    assert (await cache.complete(short)).message.text == "fine"


async def test_a_stream_that_is_left_early_is_not_kept(path: Path) -> None:
    cache, backend = cached(path, "a b c")
    async with aclosing(cache.stream(REQUEST)) as deltas:
        async for _ in deltas:
            break
    assert await asked(cache, backend, REQUEST)


@pytest.mark.parametrize(
    ("temperature", "sampled", "kept"),
    [(None, False, True), (0.0, False, True), (0.7, False, False), (0.7, True, True)],
)
async def test_sampled_replies_are_cached_only_when_asked_for(
    path: Path, temperature: float | None, sampled: bool, kept: bool
) -> None:
    cache, backend = cached(path, sampled=sampled)
    request = replace(REQUEST, temperature=temperature)
    await cache.complete(request)
    assert await asked(cache, backend, request) is not kept


async def test_a_reply_with_a_secret_is_not_kept(path: Path) -> None:
    cache, backend = cached(path, "The key is sk-proj-0123456789abcdefghij")
    await cache.complete(REQUEST)
    assert await asked(cache, backend, REQUEST)


async def test_a_reply_that_cannot_be_written_is_not_kept(path: Path) -> None:
    cache, backend = cached(path, "half a pair: \ud800")
    await cache.complete(REQUEST)
    assert await asked(cache, backend, REQUEST)


# ---------------------------------------------------------------- age and size
async def test_a_reply_gets_old(path: Path) -> None:
    now = 1_000.0
    cache, backend = cached(path, ttl=60, clock=lambda: now)
    await cache.complete(REQUEST)
    now += 60
    assert not await asked(cache, backend, REQUEST)
    now += 1
    assert await asked(cache, backend, REQUEST)
    assert not await asked(cache, backend, REQUEST)


async def test_beyond_the_limit_what_was_not_used_for_longest_goes(path: Path) -> None:
    now = 1_000.0
    cache, backend = cached(path, "x" * 1_000, max_bytes=3_500, clock=lambda: now)
    requests = [replace(REQUEST, seed=seed) for seed in range(4)]
    for request in requests[:3]:
        await cache.complete(request)
        now += 100
    assert not await asked(cache, backend, requests[0])  # used again, so that the second is the oldest
    now += 100
    await cache.complete(requests[3])
    gone = [await asked(CachingBackend(backend, path, max_bytes=10**6), backend, request) for request in requests]
    assert gone == [False, True, False, False]


# ---------------------------------------------------------------- trouble with the file
def spoil(path: Path, trouble: str) -> None:
    """Put something at `path` that is no cache, or no good one."""
    path.parent.mkdir(exist_ok=True)
    if trouble == "no database":
        path.write_bytes(b"this is no database " * 100)
    elif trouble == "a folder":
        path.mkdir()
    else:
        with closing(sqlite3.connect(path)) as db, db:
            change = "UPDATE replies SET reply = '{}'"
            db.execute("CREATE TABLE ledger (a)" if trouble == "another database" else change)


@pytest.mark.parametrize("trouble", ["no database", "another database", "a folder", "a broken reply"])
async def test_a_file_that_cannot_be_used_is_named(path: Path, trouble: str) -> None:
    cache, backend = cached(path)
    if trouble == "a broken reply":
        await cache.complete(REQUEST)
    spoil(path, trouble)
    with pytest.raises(CacheError, match=r"replies\.sqlite.* cannot be used: .*; delete it, or name another"):
        await cache.complete(REQUEST)
    assert len(backend.bill) == (trouble == "a broken reply")


async def test_a_reply_that_was_paid_for_is_not_lost_with_the_cache(path: Path) -> None:
    cache, backend = cached(path)

    async def go_wrong(request: Request) -> Completion:
        spoil(path, "no database")
        return await ScriptedBackend("paid").complete(request)

    backend.complete = go_wrong  # type: ignore[method-assign]  # the disk breaks while the model works
    assert (await cache.complete(REQUEST)).message.text == "paid"
    with pytest.raises(CacheError):
        await cache.complete(REQUEST)


WRITER = """
import sys, anyio
from dataclasses import replace
from tests.backends.test_cache import REQUEST, cached

async def main(path, first):
    cache, _ = cached(path)
    for seed in range(int(first), int(first) + 20):
        await cache.complete(replace(REQUEST, seed=seed))

anyio.run(main, *sys.argv[1:])
"""


def written_by_processes(path: Path, *firsts: str) -> list[str]:
    """Let processes fill the cache at the same time; returns what each had to complain about."""
    command, environment = [sys.executable, "-c", WRITER, str(path)], {**os.environ, "PYTHONPATH": os.getcwd()}
    writers = [
        subprocess.Popen([*command, first], env=environment, stderr=subprocess.PIPE, text=True) for first in firsts
    ]
    return [writer.communicate()[1] for writer in writers]


async def test_processes_share_the_file(path: Path) -> None:
    assert written_by_processes(path, "0", "10", "20") == ["", "", ""]
    cache, backend = cached(path)
    assert not any([await asked(cache, backend, replace(REQUEST, seed=seed)) for seed in range(40)])


# ---------------------------------------------------------------- in a run
async def test_a_run_from_the_cache_costs_nothing_and_says_so(path: Path) -> None:
    cache, backend = cached(path, ["Fine.", "Not this."])
    agent = Agent(cache)
    paid, free = await agent.run("How are you?"), await agent.run("How are you?")
    assert paid.text == free.text == "Fine."
    assert paid.spent["usd"] > 0
    assert free.spent == Cost()
    assert [receipt.charged for receipt in free.receipts if receipt.what == "model:scripted"] == [Cost()]
    settled = [stamped.event for stamped in free.trace if isinstance(stamped.event, Settled)]
    assert [event.usage is not None and event.usage.from_cache for event in settled] == [True]
    assert '"from_cache": true' in next(s.to_json() for s in free.trace if isinstance(s.event, Settled))
    assert len(backend.bill) == 1


@pytest.mark.parametrize("listened", [False, True])
async def test_a_kept_reply_does_not_wait_for_the_model(path: Path, listened: bool) -> None:
    cache, backend = cached(path, ["Fine.", "Not this."])
    guarded = Guarded(cache, breaker=Breaker(least_calls=1, cool_down=60))
    agent = Agent(guarded, resilience=Resilience(retry=RetryPolicy.never()))
    await agent.run("How are you?")
    guarded.gate.leave(await guarded.gate.enter(1, 0), BackendUnavailable("m", "gone"))
    answer: Any
    if listened:
        async with agent.stream("How are you?") as events:
            *shown, answer = [event async for event in events]
        assert "".join(event.text for event in shown if isinstance(event, TextDelta)) == "Fine."
    else:
        answer = await agent.run("How are you?")
    assert (answer.text, answer.spent) == ("Fine.", Cost())
    assert len(backend.bill) == len(guarded.gate.totals) == 1  # how long a look-up takes says nothing about calls
    with pytest.raises(CircuitOpen):
        await agent.run("And now?")


def test_a_definition_keeps_the_replies_of_a_model_beside_itself(tmp_path: Path) -> None:
    definition = tmp_path / "agentkit.yaml"
    definition.write_text(
        "version: 1\nmodels:\n"
        "  m: {backend: openai, model: x, base_url: 'http://a', cache: {path: kept/replies.sqlite, ttl: 60}}\n"
        "agents:\n  main: {model: m}\nentry: main\n"
    )
    backend = load(definition).backends["m"]
    assert isinstance(backend, CachingBackend)
    assert (backend._path, backend._ttl) == (tmp_path / "kept" / "replies.sqlite", 60)
    assert not backend._path.exists()
