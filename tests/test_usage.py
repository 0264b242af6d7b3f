"""Prices, usage and bounds: exact to the nano-dollar, and no bill above its bound."""

from __future__ import annotations

from dataclasses import fields, replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.costs import Cost
from agentkit.usage import Bound, Price, Rates, Tier, Usage

D = Decimal
TIERED = Price(D(3), D(15), D("0.3"), D("3.75"), D(6), tiers=(Tier(200_000, Price(D(6), D("22.5"), D("0.6"))),))
SERVED = Price(D(2), D(8), multipliers={"batch": D("0.5"), "priority": D("1.75")})


# ---------------------------------------------------------------- what a usage costs
def test_each_part_of_a_usage_has_its_own_price() -> None:
    price = Price(D(1), D(2), D(3), D(4), D(5), D(6))
    part = 1_000_000
    usage = Usage(part, part, part, part, part, 7, part, part, part)
    assert usage.cost(price)["usd"] == (1 + 3 + 4 + 2 + 2 + 5 + 1 + 6) * 10**9
    assert (usage.total_input, usage.total_output) == (6 * part, 2 * part)
    assert usage.cost(price)["tokens"] == 8 * part
    assert usage.cost(price)["gpu_us"] == 7


def test_what_a_price_does_not_say_costs_what_comes_before_it() -> None:
    assert Price(D(1), D(2)).rates == Rates(*map(D, (1, 2, 1, 1, 1, 1)))
    assert Price(D(1), D(2), cache_read=D(0), cache_write=D(3)).rates == Rates(*map(D, (1, 2, 0, 3, 3, 1)))


@pytest.mark.parametrize(
    ("usage", "nano"),
    [
        (Usage(200_000, output_tokens=1_000), 200_000 * 3_000 + 15_000_000),
        (Usage(200_001, output_tokens=1_000), 200_001 * 6_000 + 22_500_000),
        (Usage(1, 200_000), 6_000 + 200_000 * 600),  # cached tokens make a prompt long too
        (Usage(1, 0, 200_000), 6_000 + 200_000 * 6_000),  # the tier has no price of writes, so that of its input
    ],
)
def test_a_long_prompt_has_the_price_of_its_tier_for_every_token(usage: Usage, nano: int) -> None:
    assert usage.cost(TIERED)["usd"] == nano


@pytest.mark.parametrize(
    ("tier", "nano"),
    [
        ("", 2_000),
        ("default", 2_000),
        ("batch", 1_000),
        ("priority", 3_500),
        ("a tier that is new", 3_500),  # its price is unknown, so it costs as the dearest that is known
    ],
)
def test_the_service_tier_multiplies_the_price(tier: str, nano: int) -> None:
    assert Usage(1, service_tier=tier).cost(SERVED)["usd"] == nano


def test_a_reply_from_our_own_cache_costs_nothing() -> None:
    assert Usage(100, output_tokens=10, gpu_us=5, from_cache=True).cost(TIERED) == Cost()


def test_the_record_and_the_origin_of_a_price_do_not_count_when_compared() -> None:
    assert Usage(1, raw={"a": 1}) == Usage(1)
    assert Price(D(1), D(2), date="2026-01-01", source="x") == Price(D(1), D(2))
    assert len({TIERED, replace(TIERED, date="later"), SERVED}) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"input": D(-1)},
        {"output": 1.5},
        {"cache_write_1h": D("NaN")},
        {"multipliers": {"batch": 0.5}},
        {"tiers": (Tier(0, SERVED),)},
        {"tiers": (Tier(2, Price(D(1), D(1))), Tier(1, Price(D(1), D(1))))},
        {"tiers": (Tier(1, SERVED),)},
    ],
)
def test_a_wrong_price_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="price"):
        Price(**{"input": D(1), "output": D(1), **wrong})  # type: ignore[arg-type]  # wrong on purpose


# ---------------------------------------------------------------- bounds
def test_the_bound_has_the_dearest_rate_that_its_prompt_can_reach() -> None:
    assert Bound.at_price(200_000, TIERED).input_price == D("3.75")  # a write to the cache
    assert Bound.at_price(200_000, TIERED, hour_writes=True).input_price == 6
    assert Bound.at_price(200_000, TIERED).output_price == 15
    assert Bound.at_price(200_001, TIERED).output_price == D("22.5")
    assert Bound.at_price(1, SERVED).output_price == 14  # 8 × 1.75


RATES = st.decimals(0, 200, places=4)
SMALL = st.integers(0, 2_000)


@st.composite
def prices(draw: st.DrawFn) -> Price:
    """Any price: rates that rise or fall with the prompt, and service tiers on both sides of the list."""
    starts = sorted(draw(st.sets(st.integers(1, 3_000), max_size=3)))
    optional = st.none() | RATES
    plain = st.builds(Price, RATES, RATES, optional, optional, optional, optional)
    tiers = tuple(Tier(start, draw(plain)) for start in starts)
    multipliers = draw(
        st.dictionaries(st.sampled_from(["batch", "flex", "priority"]), st.decimals(0, 3, places=2))
    )
    return replace(draw(plain), tiers=tiers, multipliers=multipliers)


USAGES = st.builds(
    Usage,
    *(SMALL for _ in range(6)),
    cache_write_1h_tokens=SMALL,
    tool_input_tokens=SMALL,
    image_tokens=SMALL,
    service_tier=st.sampled_from(["", "default", "batch", "flex", "priority", "new"]),
)


@given(prices(), USAGES, st.integers(0, 500), st.integers(0, 500))
def test_no_usage_within_the_bound_costs_more(price: Price, usage: Usage, more_in: int, more_out: int) -> None:
    bound = Bound.at_price(usage.total_input + more_in, price, hour_writes=True)
    held, bill = bound.at(usage.total_output + more_out), replace(usage, gpu_us=0).cost(price)
    assert all(bill[name] <= held[name] for name in bill)


@given(prices(), USAGES)
def test_without_writes_for_an_hour_a_smaller_bound_holds(price: Price, usage: Usage) -> None:
    usage = replace(usage, cache_write_1h_tokens=0)
    bound = Bound.at_price(usage.total_input, price)
    assert usage.cost(price)["usd"] <= bound.at(usage.total_output)["usd"]


def test_every_count_of_a_usage_is_in_its_totals() -> None:
    counts = [field.name for field in fields(Usage) if field.name.endswith("_tokens")]
    ones = Usage(**dict.fromkeys(counts, 1))  # type: ignore[arg-type]  # the other fields keep their defaults
    assert ones.total_input + ones.total_output == len(counts)
