"""Second opinions on the books: balances replayed from the event log, and the list of invariants.

Nothing here uses the arithmetic of `rules`: it is what that arithmetic is checked against.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agentkit.budgets.account import Account, LedgerEvent, Record
from agentkit.budgets.store import Books


@dataclass(slots=True)
class Balance:
    """What an account holds, has allotted to slices, has spent, and was charged beyond its holds."""

    held: Counter[str] = field(default_factory=Counter)
    allotted: Counter[str] = field(default_factory=Counter)
    spent: Counter[str] = field(default_factory=Counter)
    excess: Counter[str] = field(default_factory=Counter)


def replay(events: Iterable[LedgerEvent]) -> Mapping[str, Balance]:
    """Return the balances by scope that the event log leads to; raises LookupError where the log has a gap."""
    log = _Replay()
    for event in events:
        log.apply(event)
    return log.balances


def problems(books: Books) -> list[str]:
    """Return each invariant of the ledger that the books break, one line each; none is the normal case."""
    events = books.events()
    try:
        replayed = replay(events)
    except LookupError as gap:
        return [f"the event log ends or corrects {gap}, whose beginning it lacks"]
    accounts = {account.name: account for account in books.accounts()}
    records = [record for account in accounts.values() for record in books.records(account)]
    summed = _summed(accounts.values(), records)
    found = [f"scope {name!r} is in the event log but not in the books" for name in replayed.keys() - accounts]
    for name, account in accounts.items():
        found += _limit_problems(account)
        live = _balance(account)
        found += _differences(name, live, replayed.get(name, Balance()), "the event log gives")
        found += _differences(name, live, summed[name], "holds, receipts and slices add up to", but_not="excess")
    return found + _ending_problems(records, events)


class _Replay:
    """Balances after a prefix of the log."""

    def __init__(self) -> None:
        self.balances: dict[str, Balance] = {}
        self._parents: dict[str, str] = {}
        self._slices: dict[str, Mapping[str, int]] = {}
        self._closed: set[str] = set()
        self._held: dict[str, Counter[str]] = {}
        self._charged: dict[str, Mapping[str, int]] = {}

    def apply(self, event: LedgerEvent) -> None:
        kind, scope, hold = event.kind, event.scope, event.hold
        if kind in ("open", "slice"):
            self._open(event)
        elif kind in ("reserve", "extend"):
            self._held.setdefault(hold, Counter()).update(event.amounts)
            self._add("held", self._path(scope), event.amounts)
        elif kind in ("settle", "charge", "void"):
            self._add("held", self._path(scope), self._held.pop(hold), sign=-1)
            self._add("spent", self._path(scope), event.amounts)
            self._charged[hold] = event.amounts
        elif kind == "overrun":
            self._add("excess", self._path(scope), event.amounts)
        elif kind == "correction":
            self._correct(event)
        elif kind == "close":
            self._close(scope)

    def _open(self, event: LedgerEvent) -> None:
        self.balances[event.scope] = Balance()
        self._parents[event.scope] = event.parent
        if event.kind == "slice":
            self._slices[event.scope] = event.amounts
            self._add("allotted", self._path(event.parent), event.amounts)

    def _correct(self, event: LedgerEvent) -> None:
        path = self._path(event.scope, through_closed=True)
        before = self._charged[event.hold]
        self._add("spent", path, before, sign=-1)
        self._add("spent", path, event.amounts)
        self._add("excess", path, Counter(event.amounts) - Counter(before))
        self._charged[event.hold] = event.amounts

    def _close(self, scope: str) -> None:
        self._closed.add(scope)
        if (amount := self._slices.get(scope)) is None:
            return
        path, spent = self._path(self._parents[scope]), self.balances[scope].spent
        self._add("allotted", path, amount, sign=-1)
        self._add("spent", path, spent)
        self._add("excess", path, {resource: max(0, spent[resource] - amount[resource]) for resource in amount})

    def _path(self, scope: str, *, through_closed: bool = False) -> list[Balance]:
        """Return the balances a hold in `scope` touches: up to the nearest slice, or through closed ones."""
        path = []
        while scope:
            path.append(self.balances[scope])
            if scope in self._slices and not (through_closed and scope in self._closed):
                break
            scope = self._parents[scope]
        return path

    def _add(self, part: str, path: list[Balance], amounts: Mapping[str, int], sign: int = 1) -> None:
        for balance in path:
            counter: Counter[str] = getattr(balance, part)
            for resource, amount in amounts.items():
                counter[resource] += sign * amount


def _summed(accounts: Iterable[Account], records: Iterable[Record]) -> dict[str, Balance]:
    """Return the balances that open holds, receipts and open slices add up to."""
    balances = {account.name: Balance() for account in accounts}
    for record in records:
        if record.receipt is None:
            for member in record.account.path:
                balances[member.name].held.update(record.held)
        else:
            for member in record.account.charged_path:
                balances[member.name].spent.update(record.receipt.charged)
    for account in accounts:
        if account.is_slice and not account.closed and account.parent is not None:
            for member in account.parent.path:
                balances[member.name].allotted.update(account.limits)
    return balances


def _balance(account: Account) -> Balance:
    balance = Balance()
    for resource, line in account.lines.items():
        balance.held[resource] = line.held
        balance.allotted[resource] = line.allotted
        balance.spent[resource] = line.spent
        balance.excess[resource] = line.excess
    return balance


def _limit_problems(account: Account) -> list[str]:
    found = []
    for resource, line in account.lines.items():
        if min(line.held, line.allotted, line.spent, line.excess) < 0:
            found.append(f"scope {account.name!r} has a negative balance of {resource}: {line}")
        if line.room + line.excess < 0:
            found.append(f"scope {account.name!r} is over its limit of {resource} without an overrun: {line}")
        if line.room < 0 and not account.frozen:
            found.append(f"scope {account.name!r} is over its limit of {resource} and not frozen")
    return found


def _differences(name: str, live: Balance, other: Balance, source: str, but_not: str = "") -> list[str]:
    return [
        f"scope {name!r} says {part} {resource} {mine[resource]}, {source} {theirs[resource]}"
        for part in ("held", "allotted", "spent", "excess")
        if part != but_not
        for mine, theirs in [(getattr(live, part), getattr(other, part))]
        for resource in sorted({*mine, *theirs})
        if mine[resource] != theirs[resource]
    ]


def _ending_problems(records: Iterable[Record], events: Iterable[LedgerEvent]) -> list[str]:
    endings = Counter(event.hold for event in events if event.kind in ("settle", "charge", "void"))
    return [
        f"hold {record.id!r} is {record.state} and has {endings[record.id]} endings in the event log"
        for record in records
        if endings[record.id] != (0 if record.is_open else 1)
    ]
