"""Embeddings under the ledger, against the fake provider and against servers that answer nonsense."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from dataclasses import replace
from decimal import Decimal
from typing import Any

import anyio
import numpy as np
import pytest
from anyio.abc import SocketStream

from agentkit.backends.embeddings import Embedder, RemoteEmbedder
from agentkit.backends.provider import FAULTS, Fault, Provider
from agentkit.backends.retry import RetryPolicy
from agentkit.budgets import Ledger, Scope
from agentkit.costs import Cost
from agentkit.errors import BackendError, BadResponse, BudgetExceeded, RateLimited, UnboundedCost
from agentkit.http import Timeouts
from agentkit.types import ModelCard
from agentkit.usage import Price
from tests.backends.server import Conversation, raw
from tests.patient import anyio_backend  # noqa: F401

pytestmark = pytest.mark.anyio

CARD = ModelCard("small", "openai", "embed-1", price=Price(Decimal(1), Decimal(0)))
TEXTS = ["the tide is high", "the tide is low", "Ebbe und Flut 🌊", "stock prices", ""]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider("unused") as provider:
        yield provider


@pytest.fixture
async def embedder(provider: Provider) -> AsyncIterator[RemoteEmbedder]:
    provider.bill.clear()
    provider.requests.clear()
    embedder = RemoteEmbedder(CARD, base_url=provider.url("openai"), api_key="key")
    yield embedder
    await embedder.aclose()


@pytest.fixture
def scope() -> Scope:
    return Ledger.open().scope("app", limits={"usd": 10**9, "tokens": 10**6})


async def test_vectors_of_length_one_in_the_order_of_their_texts(embedder: Embedder, scope: Scope) -> None:
    vectors = await embedder.embed(TEXTS, scope)
    assert vectors.shape == (5, 64) and vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    tide_high, tide_low, _, stocks, _ = vectors
    assert tide_high @ tide_low > tide_high @ stocks
    for text, vector in zip(TEXTS, vectors, strict=True):
        (alone,) = await embedder.embed([text], scope)
        assert np.allclose(alone, vector, atol=1e-6)


async def test_the_ledger_is_charged_what_the_provider_bills(
    embedder: Embedder, scope: Scope, provider: Provider
) -> None:
    await embedder.embed(TEXTS, scope)
    (line,) = provider.bill
    (receipt,) = scope.receipts()
    assert receipt.charged == line.usage.cost(CARD.price) and receipt.charged["tokens"] > 0
    assert (receipt.state, receipt.what, receipt.estimated) == ("settled", "small", False)
    assert all(receipt.held[name] >= amount for name, amount in receipt.charged.items())
    assert scope.view().held == Cost()


async def test_no_texts_are_no_call(embedder: Embedder, scope: Scope, provider: Provider) -> None:
    assert (await embedder.embed([], scope)).shape == (0, 0)
    assert provider.bill == [] and scope.receipts() == ()


async def test_fewer_dimensions(provider: Provider, scope: Scope) -> None:
    embedder = RemoteEmbedder(CARD, base_url=provider.url("openai"), dimensions=8)
    assert (await embedder.embed(TEXTS, scope)).shape == (5, 8)
    assert (await embedder.embed([], scope)).shape == (0, 8)
    await embedder.aclose()


@pytest.mark.parametrize(
    ("texts", "calls"), [(["a b"] * 1_500, 2), (["x" * 120_000] * 3, 2), (["x" * 300_000, "b"], 2)]
)
async def test_long_lists_go_in_several_calls(
    embedder: Embedder, scope: Scope, provider: Provider, texts: list[str], calls: int
) -> None:
    vectors = await embedder.embed(texts, scope)
    assert len(vectors) == len(texts)
    assert len(provider.bill) == len(scope.receipts()) == calls
    sent = [text for received in provider.requests for text in received.body["input"]]
    assert sent == texts


async def test_a_call_that_does_not_fit_is_not_made(embedder: Embedder, provider: Provider) -> None:
    scope = Ledger.open().scope("app", limits={"tokens": 10})
    with pytest.raises(BudgetExceeded):
        await embedder.embed(["far too long for ten tokens"], scope)
    assert provider.bill == []


async def test_without_a_price_a_dollar_limit_refuses(provider: Provider, scope: Scope) -> None:
    embedder = RemoteEmbedder(replace(CARD, price=None), base_url=provider.url("openai"))
    with pytest.raises(UnboundedCost):
        await embedder.embed(TEXTS, scope)
    free = Ledger.open().scope("app", limits={"tokens": 10**6})
    assert len(await embedder.embed(TEXTS, free)) == 5
    await embedder.aclose()


# ---------------------------------------------------------------- servers that are not so good
def answering(status: str, body: Any) -> Conversation:
    async def conversation(stream: SocketStream) -> None:
        content = json.dumps(body).encode()
        head = f"HTTP/1.1 {status}\r\ncontent-length: {len(content)}\r\nconnection: close\r\n\r\n"
        await stream.send(head.encode() + content)

    return conversation


def data(*vectors: Any, **more: Any) -> dict[str, Any]:
    return {"data": [{"index": i, "embedding": vector} for i, vector in enumerate(vectors)], **more}


USAGE = {"prompt_tokens": 3, "total_tokens": 3}


async def embed(conversation: Conversation, scope: Scope, texts: list[str]) -> Any:
    failure: BackendError | None = None
    async with raw(conversation) as url:
        embedder = RemoteEmbedder(CARD, base_url=url, retry=RetryPolicy.never())
        try:
            return await embedder.embed(texts, scope)
        except BackendError as error:
            failure = error
        finally:
            await embedder.aclose()
    if failure:  # outside of the server's task group, which would wrap it
        raise failure


async def test_plain_numbers_in_any_order_are_read_too(scope: Scope) -> None:
    body = data([3, 4], [0, -2], usage=USAGE)
    body["data"].reverse()
    vectors: Any = await embed(answering("200 OK", body), scope, ["a", "b"])
    assert np.allclose(vectors, np.array([[0.6, 0.8], [0.0, -1.0]]))


@pytest.mark.parametrize("more", [{}, {"usage": None}])
async def test_without_usage_the_full_hold_is_charged(scope: Scope, more: dict[str, Any]) -> None:
    await embed(answering("200 OK", data([1, 0], **more)), scope, ["abcd"])
    (receipt,) = scope.receipts()
    assert (receipt.state, receipt.estimated) == ("charged_full", True)
    assert receipt.charged == receipt.held and receipt.charged["tokens"] >= 4


BAD: dict[str, Any] = {
    "one too few": data([1, 0]),
    "not numbers": data(["a"], ["b"]),
    "not base64": data("!", "!"),
    "not finite": data([1, float("nan")], [1, 0]),
    "of two lengths": data([1, 0], [1]),
    "nested": data([[1]], [[1]]),
    "no data": {"object": "list"},
    "null": None,
    "a number": 3,
}


@pytest.mark.parametrize("name", BAD)
async def test_an_unreadable_answer_is_a_typed_error_charged_in_full(name: str, scope: Scope) -> None:
    with pytest.raises(BadResponse):
        await embed(answering("200 OK", BAD[name]), scope, ["a", "b"])
    (receipt,) = scope.receipts()
    assert receipt.charged == receipt.held


async def test_a_call_that_was_turned_away_costs_a_request_and_nothing_else(scope: Scope) -> None:
    with pytest.raises(RateLimited):
        await embed(answering("429 Slow", {"error": {"message": "slow"}}), scope, ["a"])
    assert scope.view().spent == Cost(requests=1)


@pytest.mark.parametrize("fault", FAULTS)
async def test_whatever_fails_ends_on_time_and_the_books_hold(
    fault: Fault, provider: Provider, scope: Scope
) -> None:
    stalls = fault.startswith("stall")
    limits = Timeouts(total=0.2 if stalls else 60)  # a stall can only end by it
    # a call that is given up may be read late, and shall not take the fault of the next test
    with Provider("unused") if stalls else nullcontext(provider) as provider:
        provider.bill.clear()
        provider.expect([fault])
        address = provider.url("openai")
        embedder = RemoteEmbedder(CARD, base_url=address, retry=RetryPolicy.never(), timeouts=limits)
        start = anyio.current_time()
        try:
            assert (await embedder.embed(["the tide"], scope)).shape == (1, 64)
            assert fault in ("missing_usage", "doubled_usage")
        except BackendError:
            assert fault not in ("missing_usage", "doubled_usage")
        assert anyio.current_time() - start < limits.total + 1
        await embedder.aclose()
    (receipt,) = scope.receipts()
    assert scope.view().held == Cost()
    assert receipt.charged["usd"] >= provider.billed["usd"]
    assert receipt.estimated or receipt.charged["usd"] == provider.billed["usd"]


async def test_a_call_that_fails_is_made_again_under_a_hold_of_its_own(provider: Provider, scope: Scope) -> None:
    again = RetryPolicy(first_pause=0.001)
    embedder = RemoteEmbedder(CARD, base_url=provider.url("openai"), retry=again)
    for fault in FAULTS:
        if not fault.startswith("stall"):  # which takes all the time a call has
            provider.bill.clear()
            provider.expect([fault])
            before = len(scope.receipts()), scope.view().spent["usd"]
            assert (await embedder.embed(["the tide"], scope)).shape == (1, 64)
            calls = 1 if fault in ("missing_usage", "doubled_usage") else 2
            assert len(scope.receipts()) - before[0] == calls, fault
            assert scope.view().spent["usd"] - before[1] >= provider.billed["usd"], fault
    await embedder.aclose()


@pytest.mark.parametrize("short", ["budget", "time"])
async def test_no_call_is_made_again_without_room_or_time_for_it(provider: Provider, short: str) -> None:
    room = {"usd": 30_000} if short == "budget" else {}  # for one call, charged in full: nobody said what it used
    provider.expect(["truncated_stream" if short == "budget" else "rate_limited"] * 2)
    scope = Ledger.open().scope("app", limits=room)
    pause = RetryPolicy(first_pause=0.001 if short == "budget" else 60, longest_pause=60)
    embedder = RemoteEmbedder(CARD, base_url=provider.url("openai"), retry=pause)
    with anyio.fail_after(30), pytest.raises(BackendError):
        await embedder.embed(["the tide"], scope)
    await embedder.aclose()
    provider.expect([])
    assert len(scope.receipts()) == 1


async def test_an_error_in_a_good_answer_may_be_billed(scope: Scope) -> None:
    with pytest.raises(BackendError, match="sorry"):
        await embed(answering("200 OK", {"error": {"message": "sorry"}}), scope, ["a"])
    assert scope.view().spent["tokens"] > 0


async def test_a_cancelled_call_is_charged_in_full(scope: Scope) -> None:
    async def cancel(stream: SocketStream) -> None:  # when the request has come
        call.cancel()
        await anyio.sleep(30)

    with anyio.CancelScope() as call:
        await embed(cancel, scope, ["a"])
    (receipt,) = scope.receipts()
    assert receipt.state == "charged_full" and scope.view().held == Cost()
