"""Pools: which endpoint makes the next call, in cost and in capacity mode, and what the pool's card says."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from decimal import Decimal

import anyio
import pytest

from agentkit.agent import Agent
from agentkit.backends.base import bound_of
from agentkit.backends.concurrency import Concurrency
from agentkit.backends.fake import ScriptedBackend
from agentkit.backends.guarded import Guarded
from agentkit.backends.pool import Pool
from agentkit.costs import Cost
from agentkit.errors import ConfigError
from agentkit.messages import user
from agentkit.types import Capabilities, Request
from agentkit.usage import Bound
from tests.scenario import card
from tests.virtual import anyio_backend  # noqa: F401

pytestmark = pytest.mark.anyio

REQUEST = Request(messages=(user("hello there"),), max_output_tokens=50)


def endpoint(name: str, price: str | None = "1", most: float = 2, **options: object) -> Guarded:
    return Guarded(ScriptedBackend("x", card=card(name, price, **options)), concurrency=Concurrency(most=most))


def chosen(pool: Pool, times: int) -> Counter[str]:
    return Counter(pool.choose(10).card.name for _ in range(times))


async def test_cost_mode_takes_the_cheapest_and_equals_take_turns() -> None:
    pool = Pool("m", [endpoint("dear", "5"), endpoint("one"), endpoint("two"), endpoint("unpriced", None)])
    assert chosen(pool, 10) == {"one": 5, "two": 5} and pool.mode == "cost"


async def test_saturation_spreads_calls_and_quiet_brings_them_back() -> None:
    pool = Pool("m", [endpoint("cheap", most=math.inf), endpoint("dear", "5", most=9)], quiet=30)
    assert pool.choose(10, {"cheap"}).card.name == "dear" and pool.mode == "capacity"
    assert chosen(pool, 10) == {"cheap": 5, "dear": 5}  # what the cheap one takes is not known
    await anyio.sleep(31)
    assert chosen(pool, 10) == {"cheap": 10}


async def test_what_is_known_to_be_free_is_filled_before_a_dearer_one_is_asked() -> None:
    cheap, dear = endpoint("cheap"), endpoint("dear", "5", most=9)
    pool = Pool("m", [dear, cheap])
    passages = [await pool.choose(10).gate.enter(10, 60) for _ in range(6)]
    assert (cheap.gate.concurrency.in_flight, dear.gate.concurrency.in_flight) == (2, 4)
    assert pool.mode == "capacity"
    cheap.gate.leave(passages[0], None)
    assert chosen(pool, 10) == {"cheap": 10}
    await cheap.gate.enter(10, 60)
    assert chosen(pool, 10) == {"dear": 10}


async def test_a_limit_that_is_known_of_the_dearer_one_draws_no_calls_to_it() -> None:
    pool = Pool("m", [endpoint("dear", "5"), endpoint("cheap", most=math.inf)])
    pool.choose(10, {"cheap"})
    assert chosen(pool, 10) == {"cheap": 5, "dear": 5}


async def test_a_failed_endpoint_is_left_for_another_at_once() -> None:
    pool = Pool("m", [endpoint("one"), endpoint("two", "9")])
    assert pool.choose(10, {"one"}).card.name == "two" and pool.mode == "capacity"
    assert pool.has_other({"one"}) and not pool.has_other({"one", "two"})
    assert pool.choose(10, {"one", "two"}).card.name in ("one", "two")


async def test_the_mode_can_be_fixed() -> None:
    cheap, dear = endpoint("cheap"), endpoint("dear", "5")
    assert chosen(Pool("m", [cheap, dear], mode="capacity"), 10) == {"cheap": 5, "dear": 5}
    for _ in range(2):
        await cheap.gate.enter(10, 60)
    assert chosen(Pool("m", [cheap, dear], mode="cost"), 4) == {"cheap": 4}


def test_the_card_promises_what_every_endpoint_keeps() -> None:
    plain = replace(Capabilities(), tools=False)
    pool = Pool("m", [endpoint("a", "1", context_window=9), endpoint("b", "3", capabilities=plain)])
    assert (pool.card.name, pool.card.context_window, pool.card.capabilities.tools) == ("m", 9, False)
    assert pool.card.price is not None and pool.card.price.input == 3
    assert Pool("m", [endpoint("a"), endpoint("b", None)]).card.price is None


def test_the_bound_is_that_of_no_endpoint_less() -> None:
    pool = Pool("m", [endpoint("a", "1"), endpoint("b", "3")])
    bound = pool.bound(REQUEST)
    assert isinstance(bound, Bound) and bound.output_price == Decimal(12)
    for each in pool.endpoints:
        own = each.bound(REQUEST)
        assert isinstance(own, Bound) and own.at(50).minus(bound.at(50)) == Cost()
    unpriced = Pool("m", [endpoint("a"), endpoint("b", None)]).bound(REQUEST)
    assert isinstance(unpriced, Bound) and not unpriced.priced


async def test_a_pool_is_a_backend_too() -> None:
    backends = [ScriptedBackend("Hello.", card=card(name)) for name in ("a", "b")]
    pool = Pool("m", backends)
    assert (await pool.complete(REQUEST)).message.text == "Hello."
    assert "".join([delta.text async for delta in pool.stream(REQUEST)]) == "Hello."
    assert [len(backend.requests) for backend in backends] == [1, 1]
    await pool.aclose()


def test_endpoints_have_names_of_their_own() -> None:
    for endpoints in ([], [endpoint("a"), endpoint("a")]):
        with pytest.raises(ConfigError, match="each with its own name"):
            Pool("m", endpoints)


def stated(name: str, usd: str | None, price: str | None = None) -> ScriptedBackend:
    return ScriptedBackend("x", card=card(name, price, usd_per_call=None if usd is None else Decimal(usd)))


def test_what_endpoints_state_bounds_the_pool_as_their_prices_do() -> None:
    cheap, dear = stated("a", "0.01"), stated("b", "0.05")
    assert bound_of(Pool("m", [cheap, dear]), REQUEST).at(50)["usd"] == 50_000_000
    million = stated("c", None, "1000000")  # a token costs a dollar
    mixed = bound_of(Pool("m", [cheap, million]), REQUEST)
    assert mixed.at(50) == million.bound(REQUEST).at(50)
    assert not bound_of(Pool("m", [cheap, stated("d", None)]), REQUEST).priced


async def test_the_final_answer_of_a_pool_is_held_at_what_its_dearest_endpoint_states() -> None:
    pool = Pool("m", [stated("a", "0.01"), stated("b", "0.05")])
    answer = await Agent(pool).run("hello", budget="usd=0.04")
    assert answer.status == "infeasible"
