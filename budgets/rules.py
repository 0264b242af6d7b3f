"""The ledger's rules: the state machine of a hold and the arithmetic over the path, for every store.

    reserved ──dispatch──▶ dispatched ──settle──▶ settled
        │                       └──no usage record──▶ charged_full
        └──void──▶ voided

An ending is final, its amount is not: a late usage record or a bill corrects it.

A rule checks everything before it changes anything, so a refused rule leaves no trace. Rules do not
block and do not wait; a store runs each as one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from agentkit.budgets.account import NOBODY, NOTHING, Account, Ask, EventKind, Line, Record
from agentkit.budgets.store import Books
from agentkit.costs import MAX_AMOUNT, NANO, Cost
from agentkit.errors import (
    BudgetError,
    BudgetExceeded,
    ConfigError,
    HoldStateError,
    Saturated,
    ScopeClosed,
    ScopeFrozen,
    UnknownHold,
)
from agentkit.types import HoldState, Receipt, ScopeView

_ENDING: Final[dict[HoldState, EventKind]] = {"settled": "settle", "voided": "void", "charged_full": "charge"}


# ---------------------------------------------------------------- accounts
def open_account(
    books: Books, name: str, limits: Mapping[str, int] | None, parent: str = "", is_slice: bool = False
) -> str:
    """Open an account and return its name; the same name again is the same account.

    Without a name a child is numbered. A slice takes its limits out of its parent, all or nothing.
    """
    above = books.account(parent) if parent else None
    if above is not None and not name:
        name = _free_name(books, above)
    if (known := books.find_account(name)) is not None:
        _check_same(known, limits, above, is_slice)
        return name
    if above is not None and above.closed:
        raise ScopeClosed(above.name)
    limits = dict(limits or {})
    if is_slice and above is not None:
        for line, amount in _admit(above, Cost(limits)):
            line.allotted += amount
        # What the slice was not given it may not take: it has no limit only where its parent has none.
        limits |= {resource: limits.get(resource, 0) for member in above.path for resource in member.limits}
    account = Account(name, above, is_slice, owner=books.owner if is_slice else "")
    account.lines.update({resource: Line(limit) for resource, limit in limits.items()})
    books.add_account(account)
    if above is not None:
        above.children += 1
    books.log("slice" if is_slice else "open", name, "", limits, parent)
    return name


def close_account(books: Books, name: str) -> None:
    """Close an account and all below it: nothing stays held, and a slice gives back what is unspent."""
    account = books.account(name)
    if account.closed:
        return
    for child in books.children(account):
        close_account(books, child.name)
    for record in books.records(account):
        if record.is_open:
            end(books, record)
    account.closed = True
    books.log("close", name, "", NOTHING)
    if account.is_slice:
        _give_back(books, account)


def view(books: Books, name: str) -> ScopeView:
    """Return the state of an account; a limit of an ancestor shows in `available` only."""
    account = books.account(name)
    available: dict[str, int] = {}
    frozen = False
    for member in account.path:
        frozen = frozen or member.frozen
        for resource, limit in member.limits.items():
            line = member.lines[resource]
            room = limit - line.held - line.allotted - line.spent
            if resource not in available or room < available[resource]:
                available[resource] = room if room > 0 else 0  # below 0 after an overrun that did not fit
    lines = account.lines.items()
    return ScopeView(
        name,
        account.limits,
        Cost.unchecked({resource: line.held for resource, line in lines if line.held}),
        Cost.unchecked({resource: line.allotted for resource, line in lines if line.allotted}),
        Cost.unchecked({resource: line.spent for resource, line in lines if line.spent}),
        MappingProxyType(available),
        frozen,
    )


def receipts(books: Books, name: str) -> tuple[Receipt, ...]:
    """Return the receipts of all holds in an account and below it, slices included."""
    account = books.account(name)
    here = [record.receipt for record in books.records(account) if record.receipt is not None]
    below = [receipt for child in books.children(account) for receipt in receipts(books, child.name)]
    return (*here, *below)


# ---------------------------------------------------------------- holds
def reserve(books: Books, ask: Ask) -> Record:
    """Hold a cost in every account of the path, or in none; an id that is known returns its hold."""
    known = books.find_record(ask.id)
    if known is not None:
        if known.account.name != ask.scope or known.asked != ask.cost:
            raise HoldStateError(ask.id, known.state, "be reserved again with another scope or cost")
        return known
    account = books.account(ask.scope)
    cost = ask.cost
    _hold(account, cost)
    record = Record(ask.id, account, ask.what, books.owner, cost, cost)
    books.add_record(record)
    ask.granted = True
    books.log("reserve", ask.scope, ask.id, cost)
    if ask.dispatch:
        record.state = "dispatched"
        books.log("dispatch", ask.scope, ask.id, NOTHING)
    return record


def dispatch(books: Books, hold: str) -> None:
    """Note that the call is about to leave; again is allowed."""
    record = find(books, hold)
    if record.state == "dispatched":
        return
    if record.state != "reserved":
        raise HoldStateError(hold, record.state, "be dispatched")
    record.state = "dispatched"
    books.log("dispatch", record.account.name, hold, NOTHING)


def extend(books: Books, hold: str, more: Cost) -> Cost:
    """Add to an open hold, all or nothing, and return what it holds now."""
    record = find(books, hold)
    if not record.is_open:
        raise HoldStateError(hold, record.state, "be extended")
    _hold(record.account, more)
    record.held += more
    books.log("extend", record.account.name, hold, more)
    return record.held


def settle(books: Books, hold: str, actual: Cost | None) -> Receipt:
    """Charge the usage, or the whole hold where there is no record of it; again returns the receipt.

    A usage record that comes after the whole hold was charged for want of one corrects that charge.
    """
    record = find(books, hold)
    if record.state == "dispatched":
        if actual is None:
            return _finish(books, record, "charged_full", record.held)
        return _finish(books, record, "settled", actual)
    if (receipt := record.receipt) is None or record.state == "voided":
        raise HoldStateError(hold, record.state, "be settled")
    return _correct(books, record, receipt, actual) if receipt.estimated and actual is not None else receipt


def void(books: Books, hold: str) -> Receipt:
    """Release a hold whose call never left; again returns the receipt."""
    record = find(books, hold)
    if record.state == "reserved":
        return _finish(books, record, "voided", NOTHING)
    if record.receipt is None or record.state != "voided":
        raise HoldStateError(hold, record.state, "be voided")
    return record.receipt


def withdraw(books: Books, ask: Ask) -> None:
    """Undo a reservation whose caller was cancelled before it learnt of it, so nothing can have left."""
    record = books.find_record(ask.id)
    if ask.granted and record is not None and record.is_open:
        _finish(books, record, "voided", NOTHING)


def end(books: Books, record: Record, *, billed: bool = True) -> None:
    """End an open hold without its owner: void what never left, charge in full what may have been `billed`."""
    if record.state == "reserved" or not billed:
        _finish(books, record, "voided", NOTHING)
    else:
        _finish(books, record, "charged_full", record.held)


def reconcile(books: Books, hold: str, billed: Mapping[str, int]) -> Receipt:
    """Charge what the provider's bill says and return the new receipt; what it does not name stays charged.

    The hold must have ended, or have lost its owner: then the bill ends it.
    """
    record = find(books, hold)
    if (receipt := record.receipt) is not None:
        return _correct(books, record, receipt, Cost({**receipt.charged, **billed}))
    if record.state == "dispatched" and record.owner == NOBODY:
        return _finish(books, record, "settled", Cost({**record.held, **billed}))
    raise HoldStateError(hold, record.state, "be reconciled before it ends")


def find(books: Books, hold: str) -> Record:
    """Return the record of a hold; raise UnknownHold."""
    record = books.find_record(hold)
    if record is None:
        raise UnknownHold(hold)
    return record


# ---------------------------------------------------------------- arithmetic
def _admit(account: Account, cost: Cost) -> list[tuple[Line, int]]:
    """Return the lines of the path that a cost touches, with its amounts; raise unless it fits them all."""
    if account.closed:
        raise ScopeClosed(account.name)
    amounts = cost.items()
    touched = []
    for member in account.path:
        if member.frozen:
            raise ScopeFrozen(member.name)
        lines = member.lines
        for resource, amount in amounts:
            line = lines[resource]
            if line.held + line.allotted + line.spent + amount > line.ceiling:
                raise _refusal(account, cost)
            touched.append((line, amount))
    return touched


def _refusal(account: Account, cost: Cost) -> BudgetError:
    """Say why a cost does not fit; what waiting cannot help outweighs what it can."""
    saturated: Saturated | None = None
    for member in account.path:
        if member.frozen:
            return ScopeFrozen(member.name)
    for member in account.path:
        for resource, amount in cost.items():
            line = member.lines[resource]
            ever = line.ceiling - line.allotted - line.spent
            if amount > ever:
                return BudgetExceeded(member.name, resource, amount, max(0, ever))
            if amount > line.room and saturated is None:
                saturated = Saturated(member.name, resource, amount, line.room, line.held)
    assert saturated is not None
    return saturated


def _hold(account: Account, cost: Cost) -> None:
    for line, amount in _admit(account, cost):
        line.held += amount


def _finish(books: Books, record: Record, state: HoldState, charged: Cost) -> Receipt:
    account, held = record.account, record.held
    keeps, uses = dict(held.items()), dict(charged.items())
    moves = [(resource, keeps.get(resource, 0), uses.get(resource, 0)) for resource in keeps | uses]
    overrun = {resource: used - kept for resource, kept, used in moves if used > kept}
    if overrun:
        _check_sums(account.path, overrun)
    for member in account.path:
        lines = member.lines
        for resource, kept, used in moves:
            line = lines[resource]
            line.held -= kept
            line.spent += used
    record.state = state
    excess = Cost(overrun) if overrun else NOTHING
    record.receipt = receipt = Receipt(
        record.id, account.name, record.what, state, held, charged, state == "charged_full", excess
    )
    books.log(_ENDING[state], account.name, record.id, charged)
    if overrun:
        books.log("overrun", account.name, record.id, excess)
        _exceed(books, account.path, record.id, overrun)
    return receipt


def _correct(books: Books, record: Record, receipt: Receipt, charged: Cost) -> Receipt:
    """Replace the charge of an ended hold in every account that carries it."""
    if charged == receipt.charged and not receipt.estimated:
        return receipt
    path = record.account.charged_path
    more = charged.minus(receipt.charged)
    _check_sums(path, more)
    for account in path:
        for resource, amount in receipt.charged.items():
            account.lines[resource].spent -= amount
        for resource, amount in charged.items():
            account.lines[resource].spent += amount
    record.receipt = replace(receipt, charged=charged, estimated=False, overrun=charged.minus(receipt.held))
    books.log("correction", record.account.name, record.id, charged)
    _exceed(books, path, record.id, more)
    return record.receipt


def _exceed(books: Books, path: tuple[Account, ...], hold: str, more: Mapping[str, int]) -> None:
    """Note what was charged beyond what was held, and freeze the accounts that had no room for it."""
    for account in path:
        for resource, amount in more.items():
            account.lines[resource].excess += amount
        if not account.frozen and any(account.lines[resource].room < 0 for resource in more):
            account.frozen = True
            books.log("freeze", account.name, hold, more)


def _check_sums(path: tuple[Account, ...], more: Mapping[str, int]) -> None:
    """Refuse a charge that would pass the largest amount of the ledger; a limit does not stop a charge."""
    for account in path:
        for resource, amount in more.items():
            line = account.lines[resource]
            if line.held + line.allotted + line.spent + amount > MAX_AMOUNT:
                raise BudgetExceeded(account.name, resource, amount, max(0, line.room))


def _give_back(books: Books, account: Account) -> None:
    """Return the unspent part of a closed slice to its parent, and make the spent part the parent's."""
    assert account.parent is not None
    path = account.parent.path
    for resource, line in account.lines.items():
        for member in path:
            member.lines[resource].allotted -= line.limit or 0
            member.lines[resource].spent += line.spent
    more = {resource: account.lines[resource].spent - amount for resource, amount in account.limits.items()}
    _exceed(books, path, "", {resource: amount for resource, amount in more.items() if amount > 0})


def _free_name(books: Books, parent: Account) -> str:
    number = parent.children + 1
    while books.find_account(f"{parent.name}/{number}") is not None:  # somebody chose a number as a name
        number += 1
    return f"{parent.name}/{number}"


def _check_same(known: Account, limits: Mapping[str, int] | None, parent: Account | None, is_slice: bool) -> None:
    if parent is not None and (known.parent is not parent or known.is_slice != is_slice):
        raise ConfigError(f"scope {known.name!r} exists in another place of the budget tree; choose another name")
    # A slice also has the zero limits that its parent's resources gave it; a Cost leaves them out.
    if (
        limits is not None
        and dict(limits) != known.limits
        and not (is_slice and Cost(limits) == Cost(known.limits))
    ):
        raise ConfigError(
            f"scope {known.name!r} exists with the limits {_said(known.limits)}, not {_said(limits)}; the limits "
            "of a scope never change: open one under another name"
        )


def _said(limits: Mapping[str, int] | None) -> str:
    """Return limits as people write them, in dollars."""
    amounts = {
        name: f"{Decimal(n) / NANO:f}" if name == "usd" else n for name, n in sorted((limits or {}).items())
    }
    return ",".join(f"{name}={amount}" for name, amount in amounts.items()) or "none"
