"""What a run will cost, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

from agentkit.budgets.forecast import ENOUGH
from agentkit.cli.amounts import dollars, plain
from agentkit.cli.console import table

if TYPE_CHECKING:
    from agentkit.planner.dry_run import DryRun
    from agentkit.quote import Quote

_SHOWN = 40


def quote_table(quote: Quote) -> Table:
    """Return a row for each resource that a run may spend."""
    columns = (quote.minimum, quote.p10, quote.p50, quote.p90, quote.maximum)
    made = table("resource", "minimum>", "p10>", "p50>", "p90>", "maximum>")
    for name in quote.p10:
        amounts = [quote.minimum[name], *(column.get(name) for column in columns[1:])]
        if any(amounts[:4]):  # else no run has spent any, and none will by what is known
            made.add_row(name, *(_amount(name, amount) for amount in amounts))
    return made


def plan_table(plan: DryRun) -> Table:
    """Return a row for each step of a plan: the most it may cost, and whether the others wait for it longest."""
    made = table("step", "does", "usd at most>", "calls at most>", "on the longest path")
    for step in plan.steps:
        row = (_most("usd", step.maximum), _most("tool_calls", step.maximum), "yes" if step.critical else "")
        made.add_row(step.id, step.what[:_SHOWN], *row)
    made.add_section()
    path = f"{plan.seconds:g}"
    made.add_row("all", "", _most("usd", plan.maximum), _most("tool_calls", plan.maximum), path, style="bold")
    return made


def quoted_from(quote: Quote) -> str:
    """Say in a sentence what the quote is from."""
    if not quote.feasible:
        return "infeasible: the budget is below the minimum, so nothing would be spent"
    if not quote.runs:
        return "no earlier runs are known, so from minimum to maximum; set AGENTKIT_TRACE_DIR=traces to keep them"
    if quote.runs < ENOUGH:
        return f"from {quote.runs} earlier runs, too few for p10 and p90: those are the minimum and the maximum"
    return f"from {quote.runs} earlier runs; one in ten spends less than p10, and one in ten more than p90"


def quote_json(quote: Quote) -> dict[str, Any]:
    """Return everything about a quote; a resource that is absent from an amount has no bound there."""
    return {
        "minimum": plain(quote.minimum),
        "p10": plain(quote.p10),
        "p50": plain(quote.p50),
        "p90": plain(quote.p90),
        "maximum": plain(quote.maximum),
        "runs": quote.runs,
        "feasible": quote.feasible,
        "problems": quote.problems,
        **({} if quote.plan is None else {"plan": _plan_json(quote.plan)}),
    }


def _plan_json(plan: DryRun) -> dict[str, Any]:
    return {
        "steps": [
            {"id": step.id, "does": step.what, "maximum": plain(step.maximum), "problems": step.problems}
            for step in plan.steps
        ],
        "calls": plain(plan.calls),
        "maximum": plain(plan.maximum),
        "critical_path": plan.critical_path,
        "seconds": plan.seconds,
    }


def _most(resource: str, maximum: Mapping[str, int]) -> str:
    return _amount(resource, maximum.get(resource))


def _amount(resource: str, amount: int | None) -> str:
    if amount is None:
        return "no bound"
    return dollars(amount) if resource == "usd" else f"{amount:,}"
