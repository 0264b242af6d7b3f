"""What the ledger should do, in plain Python: no running balances, everything is summed up from scratch."""

from __future__ import annotations

from dataclasses import dataclass, field

Vector = dict[str, int]
OPEN = ("reserved", "dispatched")


@dataclass
class Node:
    parent: str
    limits: Vector
    is_slice: bool = False
    closed: bool = False
    frozen: bool = False


@dataclass
class Entry:
    scope: str
    held: Vector
    state: str
    charged: Vector = field(default_factory=dict)
    estimated: bool = False


class Model:
    """Operations return the name of the error they are refused with, or None."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.holds: dict[str, Entry] = {}

    def open(self, name: str, limits: Vector, parent: str = "", is_slice: bool = False) -> str | None:
        if parent and self.nodes[parent].closed:
            return "ScopeClosed"
        if is_slice:
            if refusal := self._refusal(parent, limits):
                return refusal
            limits = {**dict.fromkeys((r for m in self.path(parent) for r in self.nodes[m].limits), 0), **limits}
        self.nodes[name] = Node(parent, limits, is_slice)
        return None

    def reserve(self, id: str, scope: str, cost: Vector, state: str) -> str | None:
        if not (refusal := self._refusal(scope, cost)):
            self.holds[id] = Entry(scope, dict(cost), state)
        return refusal

    def extend(self, id: str, more: Vector) -> str | None:
        hold = self.holds[id]
        refusal = self._refusal(hold.scope, more) if hold.state in OPEN else "HoldStateError"
        if not refusal:
            hold.held = {r: hold.held.get(r, 0) + more.get(r, 0) for r in {*hold.held, *more}}
        return refusal

    def end(self, id: str, state: str, charged: Vector) -> None:
        hold = self.holds[id]
        hold.state, hold.charged, hold.estimated = state, dict(charged), state == "charged_full"
        self._freeze(self.path(hold.scope), [r for r in charged if charged[r] > hold.held.get(r, 0)])

    def reconcile(self, id: str, billed: Vector) -> None:
        hold = self.holds[id]
        charged = {**hold.charged, **billed}
        self.correct(id, {r: amount for r, amount in charged.items() if amount})

    def correct(self, id: str, charged: Vector) -> None:
        hold = self.holds[id]
        more = [r for r in charged if charged[r] > hold.charged.get(r, 0)]
        hold.charged, hold.estimated = dict(charged), False
        self._freeze(self.path(hold.scope, through_closed=True), more)

    def close(self, name: str) -> None:
        node = self.nodes[name]
        if node.closed:
            return
        for child in [n for n, other in self.nodes.items() if other.parent == name]:
            self.close(child)
        for id, hold in self.holds.items():
            if hold.scope == name and hold.state in OPEN:
                self.end(id, *(("voided", {}) if hold.state == "reserved" else ("charged_full", hold.held)))
        node.closed = True
        if node.is_slice:
            self._freeze(self.path(node.parent), [r for r in node.limits if self.spent(name, r) > node.limits[r]])

    def path(self, name: str, *, through_closed: bool = False) -> list[str]:
        node = self.nodes[name]
        if not node.parent or (node.is_slice and not (through_closed and node.closed)):
            return [name]
        return [*self.path(node.parent, through_closed=through_closed), name]

    def held(self, name: str, r: str) -> int:
        return sum(h.held.get(r, 0) for h in self.holds.values() if h.state in OPEN and name in self.path(h.scope))

    def allotted(self, name: str, r: str) -> int:
        slices = [node for node in self.nodes.values() if node.is_slice and not node.closed]
        return sum(node.limits.get(r, 0) for node in slices if name in self.path(node.parent))

    def spent(self, name: str, r: str) -> int:
        holds = self.holds.values()
        return sum(h.charged.get(r, 0) for h in holds if name in self.path(h.scope, through_closed=True))

    def available(self, name: str) -> Vector:
        rooms: dict[str, list[int]] = {}
        for member in self.path(name):
            for r, limit in self.nodes[member].limits.items():
                used = self.held(member, r) + self.allotted(member, r) + self.spent(member, r)
                rooms.setdefault(r, []).append(limit - used)
        return {r: max(0, min(room)) for r, room in rooms.items()}

    def _refusal(self, scope: str, cost: Vector) -> str | None:
        path, found = self.path(scope), set[str]()
        if self.nodes[scope].closed:
            return "ScopeClosed"
        if any(self.nodes[name].frozen for name in path):
            return "ScopeFrozen"
        for member in path:
            for r in cost.keys() & self.nodes[member].limits.keys():
                room = self.nodes[member].limits[r] - self.allotted(member, r) - self.spent(member, r) - cost[r]
                if room < self.held(member, r):
                    found.add("BudgetExceeded" if room < 0 else "Saturated")
        return min(found, default=None)

    def _freeze(self, path: list[str], resources: list[str]) -> None:
        for member in path:
            for r in self.nodes[member].limits.keys() & set(resources):
                used = self.held(member, r) + self.allotted(member, r) + self.spent(member, r)
                self.nodes[member].frozen |= used > self.nodes[member].limits[r]
