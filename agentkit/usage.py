"""What a call uses and what that costs: prices, usage records, and sound bounds.

Frozen, slotted dataclasses over the amounts of `costs.py`. A price that is unknown is None, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Any, NamedTuple

from agentkit.costs import NANO, Cost

STANDARD_TIERS = frozenset({"", "default", "standard", "on_demand"})
"""What providers call the service tier that the list price is for."""


class Rates(NamedTuple):
    """What one token of each kind costs, dollars per million."""

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal
    cache_write_1h: Decimal
    image: Decimal


class Tier(NamedTuple):
    """The price of a whole call when its prompt has more than `above` tokens, cached ones included."""

    above: int
    price: Price


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million tokens, and who says so.

    `cache_read`, `cache_write` (kept for minutes) and `image` default to the input price, `cache_write_1h` to
    `cache_write`. `tiers` are the prices of longer prompts; `multipliers` is what a service tier such as `batch`,
    `flex` or `priority` multiplies everything with. `date` is the day of the price, `source` where it is from.
    """

    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    image: Decimal | None = None
    _: KW_ONLY
    tiers: tuple[Tier, ...] = ()
    multipliers: Mapping[str, Decimal] = field(default_factory=dict, hash=False)
    date: str = field(default="", compare=False)
    source: str = field(default="", compare=False)
    rates: Rates = field(init=False, repr=False, compare=False)
    """What each kind of token costs in a short prompt."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rates", self._rates())
        for amount in (*self.rates, *self.multipliers.values()):
            if not (isinstance(amount, Decimal) and amount.is_finite() and amount >= 0):
                raise ValueError(f"a price is a Decimal of 0 or more, such as Decimal('0.25'), not {amount!r}")
        starts = [tier.above for tier in self.tiers]
        if starts != sorted(set(starts)) or any(above < 1 for above in starts):
            raise ValueError(f"the tiers of a price begin above 1 token or more, the lowest first, not {starts}")
        if any(tier.price.tiers or tier.price.multipliers for tier in self.tiers):
            raise ValueError("the price of a tier is plain: tiers and multipliers belong to the price around it")

    def _rates(self) -> Rates:
        write = _given(self.cache_write, self.input)
        return Rates(
            self.input,
            self.output,
            _given(self.cache_read, self.input),
            write,
            _given(self.cache_write_1h, write),
            _given(self.image, self.input),
        )

    def at_prompt(self, tokens: int) -> Price:
        """Return the price that holds for a prompt of `tokens`."""
        return next((tier.price for tier in reversed(self.tiers) if tokens > tier.above), self)

    def multiplier(self, service_tier: str) -> Decimal:
        """Return what `service_tier` multiplies the price with; one that is unknown costs as the dearest known."""
        if service_tier in self.multipliers:
            return self.multipliers[service_tier]
        return Decimal(1) if service_tier in STANDARD_TIERS else self._dearest_multiplier

    def dearest(self, prompt_tokens: int, *, hour_writes: bool = False) -> tuple[Decimal, Decimal]:
        """Return the most that a token of input and one of output cost in any prompt of up to `prompt_tokens`.

        `hour_writes` says that the request asks for writes to the cache that are kept for an hour.
        """
        reached = [self.rates, *(tier.price.rates for tier in self.tiers if prompt_tokens > tier.above)]
        dearest_input = max(
            max(rates.input, rates.cache_read, rates.cache_write, rates.image, rates.cache_write_1h * hour_writes)
            for rates in reached
        )
        times = self._dearest_multiplier
        return dearest_input * times, max(rates.output for rates in reached) * times

    def nano_usd(self, usage: Usage) -> int:
        """Return the price of `usage` in nano-dollars, rounded up once."""
        rates = self.at_prompt(usage.total_input).rates
        per_million = (
            (usage.input_tokens + usage.tool_input_tokens) * rates.input
            + usage.cache_read_tokens * rates.cache_read
            + usage.cache_write_tokens * rates.cache_write
            + usage.cache_write_1h_tokens * rates.cache_write_1h
            + usage.image_tokens * rates.image
            + usage.total_output * rates.output
        )
        return _nano(per_million * self.multiplier(usage.service_tier))

    @property
    def _dearest_multiplier(self) -> Decimal:
        return max((Decimal(1), *self.multipliers.values()))


def _given(rate: Decimal | None, otherwise: Decimal) -> Decimal:
    return otherwise if rate is None else rate


def _nano(per_million: Decimal) -> int:
    return int((per_million * (NANO // 1_000_000)).to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, slots=True)
class Usage:
    """Normalised token usage of one attempt; the parts are disjoint.

    `input_tokens` are uncached text, `tool_input_tokens` what the provider's own tools put into the prompt, and
    `image_tokens` uncached pictures where the record tells them apart. `cache_write_tokens` are kept for minutes,
    `cache_write_1h_tokens` for an hour. `output_tokens` are visible output, `reasoning_tokens` hidden output.
    `gpu_us` is accelerator time in micro-seconds, for local models. `raw` is the provider's record. A reply
    `from_cache`, ours and not the provider's, was paid for by an earlier call and costs nothing.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    gpu_us: int = 0
    cache_write_1h_tokens: int = 0
    tool_input_tokens: int = 0
    image_tokens: int = 0
    service_tier: str = ""
    from_cache: bool = False
    raw: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)

    @property
    def total_input(self) -> int:
        """All input tokens, cached or not."""
        uncached = self.input_tokens + self.tool_input_tokens + self.image_tokens
        return uncached + self.cache_read_tokens + self.cache_write_tokens + self.cache_write_1h_tokens

    @property
    def total_output(self) -> int:
        """All output tokens, visible or not."""
        return self.output_tokens + self.reasoning_tokens

    def cost(self, price: Price | None) -> Cost:
        """Return what the ledger is charged for this usage; without a price no `usd` is charged."""
        if self.from_cache:
            return Cost()
        return Cost(
            usd=price.nano_usd(self) if price else 0,
            tokens=self.total_input + self.total_output,
            input_tokens=self.total_input,
            output_tokens=self.total_output,
            requests=1,
            gpu_us=self.gpu_us,
        )


@dataclass(frozen=True, slots=True)
class Bound:
    """Sound upper cost of one attempt as a function of the output cap.

    `input_tokens` is an upper bound; `input_price` and `output_price` are the dearest that apply, dollars
    per million tokens, None when unknown; then `usd_stated` may be the nano-dollars that the user says one attempt
    costs at most. Where both are given, since one of several endpoints makes the attempt, the larger one holds.
    Accelerator time is bounded by a fixed part and a part per token of output and of input.
    """

    input_tokens: int
    input_price: Decimal | None
    output_price: Decimal | None
    gpu_us_fixed: int = 0
    gpu_us_per_token: int = 0
    gpu_us_per_input_token: int = 0
    usd_stated: int | None = None

    @classmethod
    def at_price(cls, input_tokens: int, price: Price | None, *, hour_writes: bool = False) -> Bound:
        """Return the bound of `input_tokens` at the dearest rates of `price`, None when it is unknown.

        Dearest are the tier of the longest prompt within the bound, a write to the cache, and a service tier that
        multiplies; no usage within the bound costs more. `hour_writes` as for `Price.dearest`.
        """
        if price is None:
            return cls(input_tokens, None, None)
        return cls(input_tokens, *price.dearest(input_tokens, hour_writes=hour_writes))

    @property
    def priced(self) -> bool:
        """Whether the dollars are bounded."""
        return (self.input_price is not None and self.output_price is not None) or self.usd_stated is not None

    def at(self, output_cap: int) -> Cost:
        """Return the cost of the attempt if it bills every token of `output_cap`."""
        reading_us = self.gpu_us_per_input_token * self.input_tokens
        return Cost(
            usd=self._nano_usd(output_cap),
            tokens=self.input_tokens + output_cap,
            input_tokens=self.input_tokens,
            output_tokens=output_cap,
            requests=1,
            gpu_us=self.gpu_us_fixed + reading_us + self.gpu_us_per_token * output_cap,
        )

    def affordable_cap(self, available: Mapping[str, int], ceiling: int) -> int:
        """Return the largest output cap in 0..ceiling whose cost fits `available`, -1 if none does.

        Resources absent from `available` are not limited.
        """
        if self._fits(ceiling, available):
            return ceiling
        low, high = -1, ceiling - 1
        while low < high:  # the cost grows with the cap, so bisection finds the last cap that fits
            middle = (low + high + 1) // 2
            if self._fits(middle, available):
                low = middle
            else:
                high = middle - 1
        return low

    def _fits(self, output_cap: int, available: Mapping[str, int]) -> bool:
        cost = self.at(output_cap)
        return all(cost[name] <= room for name, room in available.items())

    def _nano_usd(self, output_cap: int) -> int:
        stated = self.usd_stated or 0
        if self.input_price is None or self.output_price is None:
            return stated
        return max(stated, _nano(self.input_tokens * self.input_price + output_cap * self.output_price))


@dataclass(frozen=True, slots=True)
class Unbounded:
    """A call whose cost has no sound upper bound, and why."""

    reason: str
