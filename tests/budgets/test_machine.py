"""Random histories: the ledger and a plain model agree after every step, over every store."""

from __future__ import annotations

import asyncio  # noqa: TID251 - one loop for many short runs, which anyio.run does not give
import inspect
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from agentkit.budgets import Ledger, replay
from agentkit.budgets.scope import Hold, Scope
from agentkit.costs import Cost
from agentkit.errors import BudgetError
from tests.budgets.model import Model, Vector

RESOURCES = ("usd", "tokens", "tool_calls[search]")
amounts = st.dictionaries(st.sampled_from(RESOURCES), st.integers(1, 12))
limits = st.dictionaries(st.sampled_from(RESOURCES), st.integers(0, 40))


class LedgerMachine(RuleBasedStateMachine):
    scopes: Bundle[Scope] = Bundle("scopes")
    holds: Bundle[Hold] = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.cleanup = ExitStack()
        self.runner = self.cleanup.enter_context(asyncio.Runner())
        self.ledger = self.cleanup.enter_context(Ledger.open(self.url()))
        self.model = Model()
        self.names = 0

    def url(self) -> str:
        return "memory:"

    def attempt(self, refusal: str | None, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call the ledger; it must refuse exactly as the model does."""
        try:
            result = function(*arguments, **named)
            if inspect.iscoroutine(result):
                result = self.runner.run(result)
        except BudgetError as error:
            assert type(error).__name__ == refusal, error
            return None
        assert refusal is None, f"the model refuses with {refusal}"
        return result

    def new_name(self) -> str:
        self.names += 1
        return f"n{self.names}"

    @initialize(target=scopes, cap=limits)
    def open_root(self, cap: Vector) -> Scope:
        self.model.open("root", cap)
        return self.ledger.scope("root", limits=cap)

    @rule(target=scopes, parent=scopes, cap=limits)
    def share(self, parent: Scope, cap: Vector) -> Any:
        name = self.new_name()
        refusal = self.model.open(f"{parent.name}/{name}", cap, parent.name)
        child = self.attempt(refusal, parent.share, cap, name)
        return child or multiple()

    @rule(target=scopes, parent=scopes, amount=amounts)
    def slice(self, parent: Scope, amount: Vector) -> Any:
        name = self.new_name()
        refusal = self.model.open(f"{parent.name}/{name}", amount, parent.name, is_slice=True)
        child = self.attempt(refusal, parent.slice, amount, name)
        return child or multiple()

    @rule(target=holds, scope=scopes, cost=amounts, dispatch=st.booleans())
    def reserve(self, scope: Scope, cost: Vector, dispatch: bool) -> Any:
        id = self.new_name()
        refusal = self.model.reserve(id, scope.name, cost, "dispatched" if dispatch else "reserved")
        return self.attempt(refusal, scope.reserve, Cost(cost), id=id, dispatch=dispatch) or multiple()

    @rule(hold=holds)
    def reserve_again(self, hold: Hold) -> None:
        scope = self.ledger.scope(hold.scope)
        first = next(event.amounts for event in self.ledger.events() if event.hold == hold.id)
        again = self.attempt(None, scope.reserve, Cost(first), id=hold.id)
        assert again.state == self.model.holds[hold.id].state
        self.attempt("HoldStateError", scope.reserve, Cost(first) + {"requests": 1}, id=hold.id)

    @rule(hold=holds)
    def dispatch(self, hold: Hold) -> None:
        entry = self.model.holds[hold.id]
        ended = entry.state not in ("reserved", "dispatched")
        self.attempt("HoldStateError" if ended else None, hold.dispatch)
        if not ended:
            entry.state = "dispatched"

    @rule(hold=holds, more=amounts)
    def extend(self, hold: Hold, more: Vector) -> None:
        self.attempt(self.model.extend(hold.id, more), hold.extend, Cost(more))

    @rule(hold=holds, actual=st.none() | amounts)
    def settle(self, hold: Hold, actual: Vector | None) -> None:
        entry = self.model.holds[hold.id]
        refused = entry.state in ("reserved", "voided")
        if entry.state == "dispatched" and actual is None:
            self.model.end(hold.id, "charged_full", entry.held)
        elif entry.state == "dispatched" and actual is not None:
            self.model.end(hold.id, "settled", actual)
        elif entry.estimated and actual is not None:
            self.model.correct(hold.id, actual)
        receipt = self.attempt(
            "HoldStateError" if refused else None, hold.settle, None if actual is None else Cost(actual)
        )
        if not refused:
            assert (receipt.state, receipt.charged, receipt.estimated) == (
                entry.state,
                entry.charged,
                entry.estimated,
            )

    @rule(hold=holds)
    def void(self, hold: Hold) -> None:
        entry = self.model.holds[hold.id]
        refused = entry.state not in ("reserved", "voided")
        if entry.state == "reserved":
            self.model.end(hold.id, "voided", {})
        self.attempt("HoldStateError" if refused else None, hold.void)

    @rule(hold=holds, billed=st.dictionaries(st.sampled_from(RESOURCES), st.integers(0, 12)))
    def reconcile(self, hold: Hold, billed: Vector) -> None:
        refused = self.model.holds[hold.id].state in ("reserved", "dispatched")
        if not refused:
            self.model.reconcile(hold.id, billed)
        self.attempt("HoldStateError" if refused else None, self.ledger.reconcile, hold.id, billed)

    @rule(scope=scopes)
    def close(self, scope: Scope) -> None:
        self.model.close(scope.name)
        self.attempt(None, scope.close)

    @invariant()
    def balances_agree(self) -> None:
        for name, node in self.model.nodes.items():
            view = self.ledger.scope(name).view()
            for r in RESOURCES:
                assert view.held[r] == self.model.held(name, r)
                assert view.allotted[r] == self.model.allotted(name, r)
                assert view.spent[r] == self.model.spent(name, r)
            path = self.model.path(name)
            assert view.frozen == any(self.model.nodes[member].frozen for member in path)
            assert view.limits == node.limits
            assert view.available == self.model.available(name)

    def teardown(self) -> None:
        with self.cleanup:
            assert self.runner.run(self.ledger.verify()) == []
            for name, balance in replay(self.ledger.events()).items():
                view = self.ledger.scope(name).view()
                for part in ("held", "allotted", "spent"):
                    assert getattr(view, part) == +getattr(balance, part)
            self.runner.run(self.ledger.scope("root").close())
            assert not any(self.ledger.scope(name).view().held for name in self.model.nodes)


class SqliteMachine(LedgerMachine):
    def url(self) -> str:
        folder = self.cleanup.enter_context(tempfile.TemporaryDirectory())
        return f"sqlite:///{folder}/ledger.db"


TestMemory = LedgerMachine.TestCase
TestMemory.settings = settings(stateful_step_count=30)
TestSqlite = SqliteMachine.TestCase
TestSqlite.settings = settings(stateful_step_count=20)
