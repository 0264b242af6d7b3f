"""Budgets: a ledger of holds and receipts over a tree of scopes, and the tracker text models read."""

from agentkit.budgets.account import LedgerEvent
from agentkit.budgets.audit import Balance, replay
from agentkit.budgets.ledger import Ledger
from agentkit.budgets.scope import Hold, Scope
from agentkit.budgets.tracker import Band, Tracker

__all__ = ["Balance", "Band", "Hold", "Ledger", "LedgerEvent", "Scope", "Tracker", "replay"]
