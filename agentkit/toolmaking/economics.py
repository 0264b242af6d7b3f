"""Whether a tool has paid for its making, from what the ledger charged.

With M the price of the making, d the mean price of a task of the family without the tool and t with it, the making
has paid after

    n* = ⌈M / (d − t)⌉   uses, and never where t ≥ d

(LATM, arXiv 2305.17126, has k·c_big/(c_big − c_small) for a making of k calls and a big model's price without it.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import Literal

What = Literal["made", "failed", "used", "direct"]
"""What was paid for: a making with a tool or without, a task with the tool or without."""

ENOUGH_USES = 3
"""Uses after which a mean price is believed enough to give a tool up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Economics:
    """What a family has cost in nano-dollars: `making` for `makings`, `with_tool` for `uses`, and `direct`.

    Makings that gave no tool, `failures`, are part of the price.
    """

    makings: int = 0
    failures: int = 0
    making: int = 0
    uses: int = 0
    with_tool: int = 0
    directs: int = 0
    direct: int = 0

    def plus(self, what: What, usd: int) -> Economics:
        """Return them with one more event that was charged with `usd`."""
        match what:
            case "used":
                return replace(self, uses=self.uses + 1, with_tool=self.with_tool + usd)
            case "direct":
                return replace(self, directs=self.directs + 1, direct=self.direct + usd)
        failed = what == "failed"
        return replace(self, makings=self.makings + 1, failures=self.failures + failed, making=self.making + usd)

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
