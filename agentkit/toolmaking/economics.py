"""Whether a tool has paid for its making, from what the ledger charged.

With M the price of the making, d the mean price of a task of the family without the tool and t with it, the making
has paid after

    n* = ⌈M / (d − t)⌉   uses, and never where t ≥ d

(LATM, arXiv 2305.17126, has k·c_big/(c_big − c_small) for a making of k calls and a big model's price without it.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

ENOUGH_USES = 3
"""Uses after which a mean price is believed enough to give a tool up."""


@dataclass(frozen=True, slots=True)
class Economics:
    """What a family has cost, in nano-dollars: `making` of tools, `with_tool` for `uses`, `direct` for `directs`.

    Makings that gave no tool, `failures`, are part of the price.
    """

    failures: int = 0
    making: int = 0
    uses: int = 0
    with_tool: int = 0
    directs: int = 0
    direct: int = 0

    @classmethod
    def of(cls, events: Iterable[Mapping[str, Any]]) -> Economics:
        """Add up the events of one family, as the store keeps them."""
        totals = {"made": [0, 0], "failed": [0, 0], "used": [0, 0], "direct": [0, 0]}
        for event in events:
            total = totals[event["what"]]
            total[0], total[1] = total[0] + 1, total[1] + event["usd"]
        (_, made), (failures, failed), (uses, with_tool), (directs, direct) = totals.values()
        return cls(failures, made + failed, uses, with_tool, directs, direct)

    @property
    def per_use(self) -> float | None:
        """The mean price of a task with the tool, None before the first."""
        return self.with_tool / self.uses if self.uses else None

    @property
    def per_direct(self) -> float | None:
        """The mean price of a task without it, None before the first."""
        return self.direct / self.directs if self.directs else None

    @property
    def saving(self) -> float | None:
        """What a use saves, below 0 what it costs more; None while either mean is unknown."""
        return None if self.per_use is None or self.per_direct is None else self.per_direct - self.per_use

    @property
    def break_even(self) -> int | None:
        """The uses after which the making has paid; None where it never does, or nobody knows yet."""
        saving = self.saving
        return ceil(self.making / saving) if saving and saving > 0 else None

    @property
    def has_paid(self) -> bool:
        """Whether the uses so far have saved what the making cost."""
        return self.break_even is not None and self.uses >= self.break_even

    @property
    def is_loss(self) -> bool:
        """Whether enough uses have shown that one costs no less than doing without."""
        return self.uses >= ENOUGH_USES and self.saving is not None and self.saving <= 0

    def __str__(self) -> str:
        if not self.making:
            return f"no tool; {self.directs} direct answers for {_usd(self.direct)}"
        if self.saving is None:
            return f"made for {_usd(self.making)}, used {self.uses} times; the price without it is not known"
        if self.break_even is None:
            return f"made for {_usd(self.making)}; a use costs {_usd(-self.saving)} more than doing without"
        when = "has paid" if self.has_paid else "pays"
        return f"made for {_usd(self.making)}; {when} after {self.break_even} uses, of which {self.uses} are done"


def _usd(nano: float) -> str:
    return f"${nano / 1e9:.6f}"
