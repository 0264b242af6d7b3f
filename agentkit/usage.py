"""What a call uses and what that costs: prices, usage records, and sound bounds.

Frozen, slotted dataclasses over the amounts of `costs.py`. A price that is unknown is None, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from agentkit.costs import NANO, Cost


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million tokens; `cache_read` and `cache_write` default to the input price."""

    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None

    def __post_init__(self) -> None:
        for amount in (self.input, self.output, self.cache_read, self.cache_write):
            if amount is not None and not (isinstance(amount, Decimal) and amount.is_finite() and amount >= 0):
                raise ValueError(f"a price is a Decimal of 0 or more, such as Decimal('0.25'), not {amount!r}")

    @property
    def dearest_input(self) -> Decimal:
        """The highest price one input token can cost, dollars per million."""
        return max(self.input, self.cache_read or self.input, self.cache_write or self.input)

    def nano_usd(self, usage: Usage) -> int:
        """Return the price of `usage` in nano-dollars, rounded up once."""
        read = self.input if self.cache_read is None else self.cache_read
        write = self.input if self.cache_write is None else self.cache_write
        per_million = (
            usage.input_tokens * self.input
            + usage.cache_read_tokens * read
            + usage.cache_write_tokens * write
            + usage.total_output * self.output
        )
        return int((per_million * (NANO // 1_000_000)).to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, slots=True)
class Usage:
    """Normalised token usage of one attempt; the parts are disjoint.

    `input_tokens` are uncached; `output_tokens` are visible output, `reasoning_tokens` hidden output.
    `gpu_us` is accelerator time in micro-seconds, for local models.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    gpu_us: int = 0

    @property
    def total_input(self) -> int:
        """All input tokens, cached or not."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    @property
    def total_output(self) -> int:
        """All output tokens, visible or not."""
        return self.output_tokens + self.reasoning_tokens

    def cost(self, price: Price | None) -> Cost:
        """Return what the ledger is charged for this usage; without a price no `usd` is charged."""
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
    per million tokens, None when unknown; accelerator time is bounded by a fixed part and a part per token of
    output and of input.
    """

    input_tokens: int
    input_price: Decimal | None
    output_price: Decimal | None
    gpu_us_fixed: int = 0
    gpu_us_per_token: int = 0
    gpu_us_per_input_token: int = 0

    @classmethod
    def at_price(cls, input_tokens: int, price: Price | None) -> Bound:
        """Return the bound of `input_tokens` at the dearest rates of `price`, None when it is unknown."""
        return cls(input_tokens, price.dearest_input, price.output) if price else cls(input_tokens, None, None)

    @property
    def priced(self) -> bool:
        """Whether the dollars are bounded."""
        return self.input_price is not None and self.output_price is not None

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
        if self.input_price is None or self.output_price is None:
            return 0
        per_million = self.input_tokens * self.input_price + output_cap * self.output_price
        return int((per_million * (NANO // 1_000_000)).to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, slots=True)
class Unbounded:
    """A call whose cost has no sound upper bound, and why."""

    reason: str
