"""Amounts: the dimensions of the ledger, vectors over them, and the limits a user sets.

Amounts are integers: `usd` is nano-dollars, `gpu_us` micro-seconds, everything else counts.
"""

from __future__ import annotations

import math
import re
from collections.abc import ItemsView, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

NANO = 1_000_000_000
MAX_AMOUNT = 2**62
"""Largest amount of a resource; sums of two still fit a signed 64-bit column."""

RESOURCES = (
    "usd", "tokens", "input_tokens", "output_tokens", "requests", "tool_calls", "gpu_us", "kv_byte_seconds",
)  # fmt: skip
_USUAL = frozenset(RESOURCES)
_RESOURCE = re.compile(
    r"(?:usd|tokens|input_tokens|output_tokens|requests|gpu_us|kv_byte_seconds|tool_calls(\[[^\[\]]+\])?)"
)


@lru_cache(maxsize=1024)
def is_resource(name: str) -> bool:
    """Tell whether `name` is a dimension of the ledger, `tool_calls[NAME]` included."""
    return _RESOURCE.fullmatch(name) is not None


def nano_usd(dollars: Decimal | str | int | float) -> int:
    """Convert dollars to nano-dollars, rounded up; floats are read by their shortest decimal form."""
    try:
        amount = Decimal(str(dollars))
    except InvalidOperation:
        raise ValueError(f"an amount of dollars must be a number such as 0.05, not {dollars!r}") from None
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"an amount of dollars must be finite and not negative, not {dollars}")
    return int((amount * NANO).to_integral_value(ROUND_CEILING))


class Cost(Mapping[str, int]):
    """An immutable vector over resources; absent means 0, amounts are integers in 0..2**62."""

    __slots__ = ("_amounts",)

    def __init__(self, amounts: Mapping[str, int] | None = None, /, **named: int) -> None:
        merged = {**amounts, **named} if amounts else named
        for name, amount in merged.items():
            if name not in _USUAL and not is_resource(name):
                raise ValueError(
                    f"{name!r} is not a resource; resources are {', '.join(RESOURCES)} and tool_calls[NAME]"
                )
            if type(amount) is not int or not 0 <= amount <= MAX_AMOUNT:
                unit = " of nano-dollars" if name == "usd" else ""
                raise ValueError(f"{name} must be an integer between 0 and 2**62{unit}, not {amount!r}")
        self._amounts = {name: amount for name, amount in merged.items() if amount}

    @classmethod
    def unchecked(cls, amounts: dict[str, int]) -> Cost:
        """Take over amounts that are known to be valid and above 0, such as those of the books."""
        cost = cls.__new__(cls)
        cost._amounts = amounts
        return cost

    def __getitem__(self, name: str) -> int:
        return self._amounts.get(name, 0)

    def __contains__(self, name: object) -> bool:
        return name in self._amounts

    def __iter__(self) -> Iterator[str]:
        return iter(self._amounts)

    def __len__(self) -> int:
        return len(self._amounts)

    def items(self) -> ItemsView[str, int]:
        """Return the amounts above 0; the dict's own view, which the ledger walks on every hold."""
        return self._amounts.items()

    def __hash__(self) -> int:
        return hash(frozenset(self._amounts.items()))

    def __repr__(self) -> str:
        return f"Cost({', '.join(f'{k}={v}' for k, v in sorted(self._amounts.items()))})"

    def __add__(self, other: Mapping[str, int]) -> Cost:
        amounts = self._amounts.copy()
        for name, amount in other.items():
            amounts[name] = amounts.get(name, 0) + amount
        return Cost(amounts)

    def minus(self, other: Mapping[str, int]) -> Cost:
        """Return self − other, no amount below 0: what of self lies above `other`."""
        return Cost({name: max(0, amount - other.get(name, 0)) for name, amount in self.items()})

    @property
    def usd(self) -> Decimal:
        """Dollars, exact."""
        return Decimal(self["usd"]) / NANO


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The limits a user sets; None means no limit in that dimension.

    `usd` in dollars, `seconds` of wall time, `gpu_seconds` of accelerator time, the rest counts.
    `on_limit` is what a run does at the limit: `answer` wraps up with what it has, `raise` raises.
    """

    usd: Decimal | str | float | int | None = None
    tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    requests: int | None = None
    tool_calls: int | Mapping[str, int] | None = None
    seconds: float | None = None
    gpu_seconds: float | None = None
    on_limit: Literal["answer", "raise"] = "answer"

    def __post_init__(self) -> None:
        self.limits()
        if self.seconds is not None and not (math.isfinite(self.seconds) and self.seconds >= 0):
            raise ValueError(f"seconds must be finite and not negative, not {self.seconds!r}")
        if self.on_limit not in ("answer", "raise"):
            raise ValueError(f"on_limit must be 'answer' or 'raise', not {self.on_limit!r}")

    @classmethod
    def unlimited(cls) -> Budget:
        """Return a budget without limits; the only way to run without one."""
        return cls()

    def limits(self) -> Mapping[str, int]:
        """Return the limits of the ledger by resource; a limit of 0 is a limit."""
        limits: dict[str, int] = {}
        if self.usd is not None:
            limits["usd"] = nano_usd(self.usd)
        if self.gpu_seconds is not None:
            limits["gpu_us"] = math.ceil(self.gpu_seconds * 1_000_000)
        for name in ("tokens", "input_tokens", "output_tokens", "requests"):
            if (value := getattr(self, name)) is not None:
                limits[name] = value
        if isinstance(self.tool_calls, Mapping):
            limits.update({f"tool_calls[{name}]": count for name, count in self.tool_calls.items()})
        elif self.tool_calls is not None:
            limits["tool_calls"] = self.tool_calls
        Cost(limits)  # one place validates amounts
        return MappingProxyType(limits)
