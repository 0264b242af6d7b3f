"""What a run cost, as a table and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from agentkit.cli.amounts import dollars, plain
from agentkit.cli.console import table
from agentkit.costs import NANO, Cost
from agentkit.types import Receipt

if TYPE_CHECKING:
    from agentkit.answer import Answer, MadeFor


def receipt_table(answer: Answer[Any]) -> Table:
    """Return the receipts of a run, a row each, and what they add up to."""
    made = table("receipt", "held", "charged", "input>", "output>", "ended")
    for receipt in answer.receipts:
        made.add_row(
            receipt.what, dollars(receipt.held["usd"]), *_row(receipt.charged), Text(_ending(receipt), "dim")
        )
    made.add_section()
    made.add_row("total", "", *_row(answer.spent), style="bold")
    return made


def made_for_line(made: MadeFor) -> str:
    """Say in a sentence what tool making did for a task."""
    so_far = "" if made.economics is None else f"; {made.economics}"
    return f"{made.tool or 'no made tool'}: {made.reason}{so_far}"


def answer_json(answer: Answer[Any]) -> dict[str, Any]:
    """Return everything about an answer that scripts ask for."""
    made = answer.tool_making
    return {
        "output": answer.output,
        "text": answer.text,
        "status": answer.status,
        "stop_reason": answer.stop_reason,
        "unmet": answer.unmet,
        "spent": plain(answer.spent),
        "receipts": [_receipt_json(receipt) for receipt in answer.receipts],
        "budget_origin": answer.budget_origin,
        "run": answer.trace[0].run,
        **({} if made is None else {"tool_making": _made_json(made)}),
    }


def _made_json(made: MadeFor) -> dict[str, Any]:
    so_far = made.economics
    return {
        "family": made.family,
        "tool": made.tool,
        "reason": made.reason,
        "making": plain(made.making),
        "uses": so_far and so_far.uses,
        "saving_usd": so_far and so_far.saving and so_far.saving / NANO,
        "break_even_uses": so_far and so_far.break_even,
        "has_paid": so_far and so_far.has_paid,
    }


def _row(cost: Cost) -> tuple[str, str, str]:
    return dollars(cost["usd"]), f"{cost['input_tokens']:,}", f"{cost['output_tokens']:,}"


def _ending(receipt: Receipt) -> str:
    if receipt.overrun:
        return "overrun: billed above the hold"
    return "charged in full: no usage record" if receipt.estimated else receipt.state.replace("_", " ")


def _receipt_json(receipt: Receipt) -> dict[str, Any]:
    return {
        "id": receipt.id,
        "scope": receipt.scope,
        "what": receipt.what,
        "state": receipt.state,
        "held": plain(receipt.held),
        "charged": plain(receipt.charged),
        "estimated": receipt.estimated,
        "overrun": plain(receipt.overrun),
    }
