"""Dependency-aware search: a tool brings along what it has to be given first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypedDict

import pytest

from agentkit import Tool, tool
from agentkit.budgets import Ledger, Scope
from agentkit.costs import Cost
from agentkit.errors import ConfigError, ToolNotFound
from agentkit.tools.index import LexicalIndex, ToolSearch
from agentkit.tools.index.dependencies import DependencyIndex, links

pytestmark = pytest.mark.anyio


class Session(TypedDict):
    token: str


@dataclass
class Account:
    balance: float


@tool
def log_in(user: str, password: str) -> Session:
    "Check who somebody is."
    raise NotImplementedError


@tool
def balance(token: str) -> list[Account]:
    "How much money is on the account."
    raise NotImplementedError


@tool
def find_person(name: str) -> str:
    "Look up the city of somebody."
    raise NotImplementedError


@tool
def get_order(number: int) -> str:
    "Look up the person and the product of an order."
    raise NotImplementedError


@tool
def add_up(numbers: list[float]) -> float:
    "Add."
    raise NotImplementedError


def weather(place: int) -> Tool:
    def run(day: str) -> str:
        raise NotImplementedError

    return tool(name=f"weather_{place}", description="Forecast of the money market and the weather.")(run)


TOOLS = (log_in, *map(weather, range(4)), balance, find_person, get_order, add_up)


@pytest.fixture
def scope() -> Iterator[Scope]:
    with Ledger.open() as ledger:
        yield ledger.scope("search", limits=Cost())


def test_results_are_known_by_their_annotation() -> None:
    assert (log_in.gives, balance.gives, find_person.gives) == (("token",), ("balance",), ())


def test_a_parameter_is_linked_to_what_produces_it() -> None:
    names = [tool.name for tool in TOOLS]
    found = {(names[taker], names[producer]) for taker, producers in links(TOOLS) for producer in producers}
    # the order says of whom it is: a `name` is that of what its tool is about
    assert found == {("balance", "log_in"), ("find_person", "get_order")}


async def test_a_tool_brings_along_what_it_needs(scope: Scope) -> None:
    need, plain = "How much money is on my account?", LexicalIndex(TOOLS)
    assert "log_in" not in [hit.item.name for hit in await plain.search(need, 2, scope)]
    found = [hit.item.name for hit in await DependencyIndex(TOOLS, plain).search(need, 2, scope)]
    assert found == ["balance", "log_in"]


async def test_what_nobody_asks_for_brings_nothing(scope: Scope) -> None:
    found = await DependencyIndex(TOOLS, LexicalIndex(TOOLS)).search("zzz", len(TOOLS), scope)
    assert [hit.item for hit in found] == list(TOOLS) and {hit.score for hit in found} == {0.0}


async def test_a_search_with_dependencies_and_tools_that_are_always_there(scope: Scope) -> None:
    search = ToolSearch(3, always=["add_up"], dependencies=True)
    found = await search.shortlist(TOOLS, "How much money is on my account?", scope)
    assert [tool.name for tool in found] == ["log_in", "balance", "add_up"]


async def test_a_tool_that_is_not_there_cannot_always_be(scope: Scope) -> None:
    with pytest.raises(ToolNotFound, match="add_up"):
        await ToolSearch(3, always=["addup"]).shortlist(TOOLS, "Add.", scope)
    with pytest.raises(ConfigError, match="top must be above 2"):
        ToolSearch(2, always=["a", "b"])
