"""What a run cost, as a table and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from agentkit.cli.amounts import dollars, plain
from agentkit.cli.console import table
from agentkit.costs import Cost
from agentkit.types import Receipt

if TYPE_CHECKING:
    from agentkit.answer import Answer


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


def answer_json(answer: Answer[Any]) -> dict[str, Any]:
    """Return everything about an answer that scripts ask for."""
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
