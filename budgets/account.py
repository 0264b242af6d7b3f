"""The state the ledger's rules work on: accounts with a line per resource, and the records of holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple

from agentkit.costs import MAX_AMOUNT, Cost
from agentkit.types import HoldState, Receipt

NOTHING = Cost()
NOBODY = ""
"""The owner of a hold or slice whose opener is dead."""

EventKind = Literal[
    "open", "slice", "close",
    "reserve", "dispatch", "extend", "settle", "void", "charge", "overrun", "freeze", "correction",
]  # fmt: skip


class LedgerEvent(NamedTuple):
    """One entry of the append-only log; `amounts` are limits for open and slice, else what the event moved.

    `at` is Unix time in seconds, `parent` is set for open and slice only. Settle, charge and correction
    carry the whole charge of the hold, not the change.
    """

    at: float
    kind: EventKind
    scope: str
    hold: str
    amounts: Mapping[str, int]
    parent: str = ""


@dataclass(slots=True)
class Line:
    """One resource of one account; `ceiling` is the limit, or the largest amount where there is none.

    `excess` is what was charged beyond what had been held for it: the part by which held + allotted +
    spent may pass the limit.
    """

    limit: int | None = None
    held: int = 0
    allotted: int = 0
    spent: int = 0
    excess: int = 0
    ceiling: int = field(init=False)

    def __post_init__(self) -> None:
        self.ceiling = MAX_AMOUNT if self.limit is None else self.limit

    @property
    def room(self) -> int:
        """What a new hold could take; negative after an overrun that did not fit."""
        return self.ceiling - self.held - self.allotted - self.spent


@dataclass(slots=True, eq=False)
class Account:
    """A node of the budget tree. `path` is the accounts a hold here draws from, root first.

    A slice owns its amount, so its path starts at itself. `owner` is the process that opened a slice,
    `children` counts the accounts ever opened directly below.
    """

    name: str
    parent: Account | None = None
    is_slice: bool = False
    owner: str = ""
    frozen: bool = False
    closed: bool = False
    children: int = 0
    lines: defaultdict[str, Line] = field(default_factory=lambda: defaultdict(Line))
    path: tuple[Account, ...] = field(init=False)
    _limits: Mapping[str, int] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        above = () if self.parent is None or self.is_slice else self.parent.path
        self.path = (*above, self)

    @property
    def limits(self) -> Mapping[str, int]:
        """The account's own limits by resource; they never change once the account is open."""
        if self._limits is None:
            limits = {name: line.limit for name, line in self.lines.items() if line.limit is not None}
            self._limits = MappingProxyType(limits)
        return self._limits

    @property
    def charged_path(self) -> tuple[Account, ...]:
        """The accounts that carry what was spent here: a closed slice has passed it on to its parent's."""
        root = self.path[0]
        if root.parent is None or not root.closed:
            return self.path
        return (*root.parent.charged_path, *self.path)


@dataclass(slots=True, eq=False)
class Record:
    """A hold as the books keep it; `asked` is the first amount, `held` grows by extensions."""

    id: str
    account: Account
    what: str
    owner: str
    asked: Cost
    held: Cost
    state: HoldState = "reserved"
    receipt: Receipt | None = None

    @property
    def is_open(self) -> bool:
        """Whether the hold still takes room."""
        return self.receipt is None


@dataclass(slots=True)
class Ask:
    """A wish to reserve; `granted` tells whether this ask made the hold or found it already there."""

    scope: str
    id: str
    what: str
    cost: Cost
    dispatch: bool
    granted: bool = False
