"""Calls that nothing bounds: refused under a dollar limit, unless the card states what one costs at most."""

from dataclasses import replace
from decimal import Decimal

import pytest

from agentkit import Agent, Budget
from agentkit.backends import ScriptedBackend
from agentkit.backends.base import bound_of
from agentkit.errors import UnboundedCost
from agentkit.messages import user
from agentkit.types import ModelCard, Request
from agentkit.usage import Price, Unbounded

CENT = Decimal("0.01")
PRICE = Price(Decimal(1), Decimal(2))
REQUEST = Request(messages=(user("hello"),), max_output_tokens=100)

pytestmark = pytest.mark.anyio


class Searching(ScriptedBackend):
    """A model whose provider bills for searches of its own."""

    def bound(self, request: Request) -> Unbounded:  # type: ignore[override]
        return Unbounded("its provider bills for searches")


def model(kind: type[ScriptedBackend], price: Price | None, usd_per_call: Decimal | None) -> ScriptedBackend:
    return kind("done", card=ModelCard("m", "fake", "m", price=price, usd_per_call=usd_per_call))


@pytest.mark.parametrize(("kind", "price"), [(Searching, PRICE), (Searching, None), (ScriptedBackend, None)])
async def test_what_nothing_bounds_is_refused_unless_its_card_says_what_it_costs_at_most(
    kind: type[ScriptedBackend], price: Price | None
) -> None:
    silent, stated = model(kind, price, None), model(kind, price, CENT)
    with pytest.raises(UnboundedCost, match="usd_per_call"):
        await Agent(silent).run("hello", budget=Budget(usd=1))
    assert silent.requests == []
    answer = await Agent(stated).run("hello", budget=Budget(usd="0.02"))
    assert answer.status == "complete"
    bill = 0 if price is None else stated.billed["usd"]
    assert answer.spent["usd"] == (bill or 10_000_000)  # without a price nobody knows less than what was stated
    assert (await Agent(stated).run("hello", budget=Budget(usd="0.009"))).status == "infeasible"


def test_a_bound_is_not_loosened_by_what_a_card_states() -> None:
    priced = model(ScriptedBackend, PRICE, CENT)
    assert bound_of(priced, REQUEST) == priced.bound(REQUEST)


def test_an_unbounded_call_is_taken_to_fill_the_context_window() -> None:
    backend = model(Searching, None, CENT)
    backend.card = replace(backend.card, context_window=9_000)
    cost = bound_of(backend, REQUEST).at(100)
    assert (cost["usd"], cost["tokens"]) == (10_000_000, 9_100)
