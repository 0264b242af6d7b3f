"""The provider's own bill, written before a reply leaves: the other side of what the ledger promises.

It is priced here and not by the ledger's arithmetic, so that comparing the two says something.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fractions import Fraction
from math import ceil

from agentkit.costs import Cost
from agentkit.usage import Price, Usage


@dataclass(frozen=True, slots=True)
class Billed:
    """A line of the bill: what the call `number` used, and what that costs in nano-dollars.

    `fault` is what went wrong on the way back, empty for nothing.
    """

    number: int
    dialect: str
    model: str
    usage: Usage
    nano_usd: int
    fault: str = ""

    def to_json(self) -> str:
        """Return the line as JSON."""
        return json.dumps(asdict(self))


def price_of(usage: Usage, price: Price) -> int:
    """Return what `usage` costs in nano-dollars, rounded up once: a dollar per million is 1,000 of them each."""
    read = price.input if price.cache_read is None else price.cache_read
    write = price.input if price.cache_write is None else price.cache_write
    rates = (
        (usage.input_tokens, price.input),
        (usage.cache_read_tokens, read),
        (usage.cache_write_tokens, write),
        (usage.output_tokens + usage.reasoning_tokens, price.output),
    )
    return ceil(1_000 * sum((count * Fraction(rate) for count, rate in rates), Fraction(0)))


def total(lines: Iterable[Billed]) -> Cost:
    """Return the sum of a bill in the resources of the ledger."""
    lines = list(lines)
    read = sum(line.usage.total_input for line in lines)
    made = sum(line.usage.total_output for line in lines)
    return Cost(
        usd=sum(line.nano_usd for line in lines),
        tokens=read + made,
        input_tokens=read,
        output_tokens=made,
        requests=len(lines),
    )
