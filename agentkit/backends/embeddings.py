"""Text to vectors, under the ledger: every call is held before it leaves and settled when it is back."""

from __future__ import annotations

import random
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from agentkit.backends.base import charge_of, with_stated
from agentkit.backends.dialect import WRONG_SHAPE, raise_error, unreadable
from agentkit.backends.openai_chat import OpenAIChat
from agentkit.backends.remote import sent_headers
from agentkit.backends.retry import RetryPolicy
from agentkit.backends.usage_records import chat_usage
from agentkit.budgets import Scope
from agentkit.costs import Cost
from agentkit.errors import BackendError, MissingExtra, UnboundedCost
from agentkit.http import Endpoint, Timeouts, Transport
from agentkit.types import ModelCard
from agentkit.usage import Bound

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

_TEXT_OVERHEAD = 8  # the tokens that begin and end a text
_MOST_TOKENS, _MOST_TEXTS = 250_000, 1_024  # below what OpenAI takes in one call


class Embedder(Protocol):
    """Something that turns texts into vectors."""

    async def embed(self, texts: Sequence[str], scope: Scope) -> Vectors:
        """Return the vectors of `texts`, (n, d) float32, each of length 1; what they cost `scope` pays."""
        ...


class RemoteEmbedder:
    """The embedding model of `card` behind POST embeddings, as OpenAI and compatible servers have it.

    `dimensions` shortens the vectors of models that can. The price is that of the card, for input alone. A call
    that fails is made again as `retry` says, under a hold of its own.
    """

    def __init__(
        self,
        card: ModelCard,
        *,
        base_url: str,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        dimensions: int | None = None,
        retry: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.card, self.base_url, self._dimensions = card, base_url, dimensions
        self._retry = retry or RetryPolicy()
        sent = sent_headers(OpenAIChat(), api_key, headers)
        self._endpoint = Endpoint(card, base_url, headers=sent, timeouts=timeouts, transport=transport)

    async def embed(self, texts: Sequence[str], scope: Scope) -> Vectors:
        """Return the vectors of `texts`, (n, d) float32, each of length 1.

        Long lists go in several calls, one after the other, each with a hold of its own. Raises BudgetExceeded or
        Saturated when one does not fit, BackendError when it fails and is not made again.
        """
        np = _numpy()
        rows = [row for batch in _batches(texts) for row in await self._persist(batch, scope)]
        vectors: Vectors = np.stack(rows) if rows else np.zeros((0, self._dimensions or 0), np.float32)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return vectors

    async def aclose(self) -> None:
        """Close the connections; a later call opens new ones."""
        await self._endpoint.aclose()

    async def _persist(self, texts: Sequence[str], scope: Scope) -> list[Vectors]:
        """Make the call, again while the policy, the deadline and the budget allow it."""
        bound = with_stated(Bound.at_price(sum(map(_most_tokens, texts)), self.card.price), self.card)
        failures = 0
        while True:
            try:
                return await self._call(texts, bound, scope)
            except BackendError as error:
                failures += 1
                left = anyio.current_effective_deadline() - anyio.current_time()
                pause = self._retry.pause(error, failures, left=left, luck=random.random())
                if pause is None or bound.affordable_cap(scope.view().available, 0) < 0:
                    raise
            await anyio.sleep(pause)

    async def _call(self, texts: Sequence[str], bound: Bound, scope: Scope) -> list[Vectors]:
        if not bound.priced and "usd" in scope.view().available:
            raise UnboundedCost(self.card.name, "its price is unknown")
        hold = await scope.reserve(bound.at(0), what=self.card.name, dispatch=True)
        charge: Cost | None = None
        try:
            body = await self._endpoint.post("embeddings", self._body(texts))
            raise_error(body, self.card)
            try:
                usage = chat_usage({"completion_tokens": 0, **(body.get("usage") or {})})
                rows = _rows(body["data"], len(texts))
            except WRONG_SHAPE as error:
                raise unreadable(body, self.card, error) from error
            charge = charge_of(usage, self.card) if usage else None
            return rows
        except BackendError as error:
            if not error.may_be_billed:
                charge = Cost(requests=1)
            raise
        finally:
            await hold.settle(charge)

    def _body(self, texts: Sequence[str]) -> dict[str, Any]:
        body = {"model": self.card.model, "input": [text or " " for text in texts], "encoding_format": "base64"}
        return body if self._dimensions is None else {**body, "dimensions": self._dimensions}


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut `texts` where one call would be too long."""
    start = tokens = 0
    for at, text in enumerate(texts):
        more = _most_tokens(text)
        if at > start and (at - start == _MOST_TEXTS or tokens + more > _MOST_TOKENS):
            yield texts[start:at]
            start, tokens = at, 0
        tokens += more
    if start < len(texts):
        yield texts[start:]


def _most_tokens(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass")) + _TEXT_OVERHEAD


def _rows(data: Sequence[Mapping[str, Any]], count: int) -> list[Vectors]:
    """The vectors in the order of their texts; servers send them in base64, or as numbers all the same."""
    np = _numpy()
    rows: dict[int, Vectors] = {}
    for at, item in enumerate(data):
        value = item["embedding"]
        packed = np.frombuffer(b64decode(value, validate=True), "<f4") if isinstance(value, str) else value
        rows[item.get("index", at)] = np.asarray(packed, np.float32)
    vectors = [rows[at] for at in range(count)]
    if any(row.ndim != 1 or row.shape != vectors[0].shape or not np.isfinite(row).all() for row in vectors):
        raise ValueError("its vectors are not all of one length and finite")
    return vectors


def _numpy() -> Any:
    try:
        import numpy
    except ModuleNotFoundError as error:
        raise MissingExtra("routing", "numpy") from error
    return numpy
