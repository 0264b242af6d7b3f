"""Finding tools: what the indexes promise, with an embedder whose meanings are known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.budgets import Ledger, Scope
from agentkit.costs import Cost
from agentkit.tools import Tool, tool
from agentkit.tools.index import FusedIndex, LexicalIndex, SemanticIndex
from agentkit.tools.index.document import document, spelled
from agentkit.tools.index.needs import parts
from agentkit.tools.index.words import words
from agentkit.types import ToolSpec

if TYPE_CHECKING:
    from agentkit.vectors import Vectors

pytestmark = pytest.mark.anyio

MEANINGS = ("weather rain umbrella forecast", "money invoice pay bill", "travel flight airport fly")
"""Words of one line mean the same to the embedder of these tests."""


class Meanings:
    """An embedder with one dimension a meaning; counts what it is asked."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    async def embed(self, texts: Sequence[str], scope: Scope) -> Vectors:
        self.calls.append(len(texts))
        rows = [[0.1, *(float(len(set(words(text)) & set(words(line)))) for line in MEANINGS)] for text in texts]
        drawn = np.array(rows, dtype=np.float32)
        vectors: Vectors = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
        return vectors


def made(name: str, description: str) -> Tool:
    async def run(place: str) -> str:
        return place

    return tool(name=name, description=description)(run)


TOOLS = (
    made("weather_report", "The forecast of a city."),
    made("payInvoice", "Pay an open bill."),
    made("bookFlight", "Reserve a seat to another airport."),
    made("countWords", "Count the words of a text."),
)


@pytest.fixture
def scope() -> Iterator[Scope]:
    with Ledger.open() as ledger:
        yield ledger.scope("search", limits=Cost())


async def names(index: LexicalIndex | SemanticIndex | FusedIndex, need: str, k: int, scope: Scope) -> list[str]:
    return [hit.item.name for hit in await index.search(need, k, scope)]


async def test_words_find_what_shares_them_whatever_their_endings(scope: Scope) -> None:
    index = LexicalIndex(TOOLS)
    assert await names(index, "who paid the invoices?", 1, scope) == ["payInvoice"]
    assert index.scores("umbrella") == [0.0] * 4


async def test_a_rare_word_counts_more_than_a_common_one(scope: Scope) -> None:
    tools = [made("a", "find the order"), made("b", "find the order"), made("c", "find the parcel")]
    assert await names(LexicalIndex(tools), "find parcel", 1, scope) == ["c"]


def test_scores_are_those_of_the_formula() -> None:
    tools = [made("red", "red red green"), made("blue", "blue")]
    index = LexicalIndex(tools)
    sizes = [len(words(document(one.spec).whole)) for one in tools]
    count = words(document(tools[0].spec).whole).count("red")
    size = sizes[0] / (sum(sizes) / 2)
    idf = math.log(1 + (2 - 1 + 0.5) / (1 + 0.5))
    assert index.scores("red")[0] == pytest.approx(idf * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * size)))


async def test_meaning_finds_what_shares_no_word(scope: Scope) -> None:
    assert await names(SemanticIndex(TOOLS, Meanings()), "do I need an umbrella", 1, scope) == ["weather_report"]


async def test_the_tools_are_embedded_once(scope: Scope) -> None:
    embedder = Meanings()
    index = SemanticIndex(TOOLS, embedder)
    for _ in range(3):
        await index.search("fly", 1, scope)
    assert embedder.calls == [3 * len(TOOLS), 1, 1, 1]


async def test_a_question_for_two_things_finds_a_tool_for_each(scope: Scope) -> None:
    need = "Forecast forecast rain: weather report of the city, please. Pay my bill."
    assert set(await names(FusedIndex(TOOLS, Meanings()), need, 2, scope)) == {"weather_report", "payInvoice"}
    alone = await FusedIndex(TOOLS, Meanings(), decompose=False).search(need, 4, scope)
    both = await FusedIndex(TOOLS, Meanings()).search(need, 4, scope)
    gap = {hit.item.name: hit.score for hit in both}["payInvoice"] - {h.item.name: h.score for h in alone}[
        "payInvoice"
    ]
    assert gap > 0  # its own part speaks for it


async def test_fused_finds_by_either(scope: Scope) -> None:
    index = FusedIndex(TOOLS, Meanings())
    assert await names(index, "I have to fly", 1, scope) == ["bookFlight"]  # no word of it is in any tool
    unknown = FusedIndex((made("a", "Alpha thing."), made("b", "Beta thing.")), Meanings())
    assert await names(unknown, "beta", 1, scope) == ["b"]  # the embedder cannot tell them apart


@pytest.mark.parametrize("k", [0, 1, 3, 9])
async def test_at_most_k_are_found_best_first(k: int, scope: Scope) -> None:
    for index in (LexicalIndex(TOOLS), SemanticIndex(TOOLS, Meanings()), FusedIndex(TOOLS, Meanings())):
        hits = await index.search("pay the flight", k, scope)
        assert len(hits) == min(k, len(TOOLS))
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


async def test_no_tools_and_no_words_are_no_error(scope: Scope) -> None:
    assert await FusedIndex((), Meanings()).search("anything", 3, scope) == []
    assert await LexicalIndex(()).search("anything", 3, scope) == []
    assert await SemanticIndex((), Meanings()).search("anything", 3, scope) == []
    assert len(await FusedIndex(TOOLS, Meanings()).search("", 2, scope)) == 2


@given(st.permutations(TOOLS), st.sampled_from(["pay a bill", "fly to the airport", "rain"]))
def test_the_order_of_the_tools_changes_no_score(tools: list[Tool], need: str) -> None:
    expected = dict(zip((one.name for one in TOOLS), LexicalIndex(TOOLS).scores(need), strict=True))
    found = dict(zip((one.name for one in tools), LexicalIndex(tools).scores(need), strict=True))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "said"),
    [("getHTTPStatus_code", "get HTTP Status code"), ("find-order.v2", "find order v2"), ("plain", "plain")],
)
def test_identifiers_are_spelled_as_words(name: str, said: str) -> None:
    assert spelled(name) == said


def test_parameters_inside_others_are_part_of_the_document() -> None:
    inner = {"type": "object", "properties": {"zipCode": {"description": "of the house"}}}
    schema = {"type": "object", "properties": {"address": inner, "list": {"type": "array", "items": inner}}}
    assert document(ToolSpec("send", "Send it.", schema)).whole.count("zip Code: of the house") == 2


@pytest.mark.parametrize(
    ("need", "pieces"),
    [
        ("What is the weather in Rome today?", ()),
        ("Find my last order. Then cancel it for me!", ("Find my last order.", "cancel it for me!")),
        ("Book the flight, and pay the bill", ("Book the flight", "pay the bill")),
        ("Yes. No. Maybe.", ()),
    ],
)
def test_a_need_comes_apart_at_its_seams(need: str, pieces: tuple[str, ...]) -> None:
    assert parts(need) == pieces
