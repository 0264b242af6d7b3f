"""Scopes, the nodes of the budget tree, and holds, the reservations in them."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

import anyio

from agentkit.budgets import rules
from agentkit.budgets.account import Ask
from agentkit.budgets.store import Store
from agentkit.costs import Budget, Cost
from agentkit.errors import ConfigError, Saturated
from agentkit.types import HoldState, Receipt, ScopeView

_TRIES_PER_RECOVERY: Final = 8  # the first 0.6 s after a wait began, then every 2 s


Limits = Mapping[str, int] | Budget
"""Limits of a scope: a `Budget`, or amounts of the ledger by resource, dollars in nano-dollars."""


class Hold:
    """A reservation in a scope. It ends in exactly one receipt: settled, voided or charged in full."""

    __slots__ = ("_store", "held", "id", "scope", "what")

    def __init__(self, store: Store, id: str, scope: str, what: str, held: Cost) -> None:
        self._store = store
        self.id = id
        self.scope = scope
        self.what = what
        self.held = held

    def __repr__(self) -> str:
        return f"Hold({self.id!r}, {self.scope!r}, {self.what!r}, {self.held!r})"

    @property
    def state(self) -> HoldState:
        """The state in the ledger now; closing the scope may have ended the hold."""
        return self._store.read(rules.find, self.id).state

    async def dispatch(self) -> None:
        """Note that the call leaves now; from here on it may be billed, so it can no longer be voided.

        Raises HoldStateError when the hold has ended, for instance because its scope was closed: do not
        send the call then.
        """
        await self._store.write(rules.dispatch, self.id)

    async def extend(self, more: Mapping[str, int]) -> None:
        """Add to the hold, all or nothing, without waiting; raises as `Scope.reserve` does."""
        self.held = await self._store.write(rules.extend, self.id, as_cost(more))

    async def settle(self, actual: Mapping[str, int] | None) -> Receipt:
        """Charge what was used and return the receipt; None, for no usage record, charges the full hold.

        What was used above the hold is an overrun: it is charged too, and freezes each scope that has no
        room for it. Settling again returns the first receipt, except that usage which arrives late, after
        the full hold was charged, corrects the charge.
        """
        receipt = await self._store.write(rules.settle, self.id, None if actual is None else as_cost(actual))
        self._store.waiting.wake()
        return receipt

    async def void(self) -> Receipt:
        """Release the hold of a call that never left; raises HoldStateError once it was dispatched."""
        receipt = await self._store.write(rules.void, self.id)
        self._store.waiting.wake()
        return receipt


class Scope:
    """A node of the budget tree: application, run, agent, step or tool.

    As an async context manager it closes itself.
    """

    __slots__ = ("_store", "name")

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self.name = name

    def __repr__(self) -> str:
        return f"Scope({self.name!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def reserve(
        self,
        cost: Mapping[str, int],
        *,
        id: str | None = None,
        what: str = "",
        dispatch: bool = False,
        deadline: float | None = None,
    ) -> Hold:
        """Hold `cost` here and in every ancestor, all or nothing.

        `what` labels the receipt, `dispatch` notes in the same transaction that the call leaves now. The
        same `id` again returns the same hold. With a `deadline` (absolute, on the clock of
        `anyio.current_time()`) a saturated scope is waited for; only a caller that holds nothing should.

        Raises BudgetExceeded when the cost can never fit, Saturated when it does not fit while other calls
        are open, ScopeFrozen, ScopeClosed, and HoldStateError when `id` stands for another hold.
        """
        store = self._store
        ask = Ask(self.name, id or store.new_id(), what, as_cost(cost), dispatch)
        attempt = 0
        while True:
            seen = store.waiting.releases
            try:
                record = await store.write(rules.reserve, ask)
                return Hold(store, record.id, self.name, record.what, record.held)
            except Saturated:
                if deadline is None or anyio.current_time() >= deadline:
                    raise
            except anyio.get_cancelled_exc_class():
                store.write_now(rules.withdraw, ask)
                raise
            await store.waiting.sleep(deadline, seen, attempt)
            attempt += 1
            if attempt % _TRIES_PER_RECOVERY == 0:
                await store.recover()

    def share(self, cap: Limits | None = None, name: str | None = None) -> Scope:
        """Open a child that draws from this scope, under a cap of its own if one is given.

        The child is called `<this>/<name>`, numbered without a name; the same name again is the same child.
        """
        return self._open(name, cap, is_slice=False)

    def slice(self, amount: Limits, name: str | None = None) -> Scope:
        """Open a child that owns `amount`, taken out of this scope until the child is closed.

        What is limited here and absent from `amount` the child may not use at all. Raises as `reserve`.
        """
        return self._open(name, amount, is_slice=True)

    def view(self) -> ScopeView:
        """Return the balances and what a new hold could take."""
        return self._store.read(rules.view, self.name)

    def receipts(self) -> tuple[Receipt, ...]:
        """Return the receipts of every hold that ended here or below; their charges add up to `spent`."""
        return self._store.read(rules.receipts, self.name)

    async def close(self) -> None:
        """End what is open here and below and take no more: reserved holds are voided, dispatched charged."""
        await self._store.write(rules.close_account, self.name)
        self._store.waiting.wake()

    def _open(self, name: str | None, limits: Limits | None, *, is_slice: bool) -> Scope:
        return open_scope(self._store, f"{self.name}/{name}" if name else "", limits, self.name, is_slice)


def open_scope(store: Store, name: str, limits: Limits | None, parent: str = "", is_slice: bool = False) -> Scope:
    """Open the account `name` in a store; a child without a name is numbered."""
    if limits is not None and not isinstance(limits, Budget | Mapping):
        raise ConfigError(f"limits are a Budget such as Budget(usd=5), not {limits!r}")
    amounts = limits.limits() if isinstance(limits, Budget) else limits
    if isinstance(limits, Budget) and limits.seconds is not None:
        raise ConfigError("a scope has no clock; give seconds to the runs that draw from it")
    as_cost(amounts or {})  # refuses what is no amount
    return Scope(store, store.write_now(rules.open_account, name, amounts, parent, is_slice))


def as_cost(amounts: Mapping[str, int]) -> Cost:
    """Return the amounts as a cost; raises ValueError for what is no amount of a resource."""
    return amounts if isinstance(amounts, Cost) else Cost(amounts)
