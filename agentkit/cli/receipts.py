"""What a run cost, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from agentkit.cli.amounts import dollars, plain
from agentkit.cli.console import table
from agentkit.costs import NANO, Cost
from agentkit.errors import AgentkitError
from agentkit.types import Receipt

if TYPE_CHECKING:
    from agentkit.answer import Answer, MadeFor


def receipt_table(receipts: Sequence[Receipt], unpriced: Collection[str] = ()) -> Table:
    """Return the receipts of a run, a row each, and what they add up to; `unpriced` are models without a price."""
    made = table("receipt", "held", "charged", "input>", "output>", "ended")
    for receipt in receipts:
        held = "unknown" if _is_unknown(receipt, receipt.held, unpriced) else dollars(receipt.held["usd"])
        charged = "unknown" if _is_unknown(receipt, receipt.charged, unpriced) else dollars(receipt.charged["usd"])
        made.add_row(receipt.what, held, charged, *_tokens(receipt.charged), Text(_ending(receipt), "dim"))
    made.add_section()
    total = _total(receipts)
    known = [dollars(total["usd"])] if total["usd"] or not _has_unknown(receipts, unpriced) else []
    unknown = ["unknown"] if _has_unknown(receipts, unpriced) else []
    made.add_row("total", "", " + ".join(known + unknown), *_tokens(total), style="bold")
    return made


def made_for_line(made: MadeFor) -> str:
    """Say in a sentence what tool making did for a task."""
    so_far = "" if made.economics is None else f"; {made.economics}"
    return f"{made.tool or 'no made tool'}: {made.reason}{so_far}"


def answer_json(answer: Answer[Any], unpriced: Collection[str] = ()) -> dict[str, Any]:
    """Return everything about an answer that scripts ask for; dollars of `unpriced` models are null."""
    made = answer.tool_making
    return {
        "output": answer.output,
        "text": answer.text,
        "status": answer.status,
        "stop_reason": answer.stop_reason,
        "unmet": answer.unmet,
        "spent": _spent_json(answer.receipts, unpriced),
        "receipts": _receipts_json(answer.receipts, unpriced),
        "budget_origin": answer.budget_origin,
        "run": answer.trace[0].run,
        **({} if made is None else {"tool_making": _made_json(made)}),
    }


def failure_json(error: AgentkitError, unpriced: Collection[str]) -> dict[str, Any]:
    """Return what scripts ask of a run that failed."""
    return {
        "error": str(error),
        "kind": type(error).__name__,
        "charged": _spent_json(error.receipts, unpriced),
        "receipts": _receipts_json(error.receipts, unpriced),
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


def _spent_json(receipts: Sequence[Receipt], unpriced: Collection[str]) -> dict[str, Any]:
    return _amounts_json(_total(receipts), unknown=_has_unknown(receipts, unpriced))


def _receipts_json(receipts: Iterable[Receipt], unpriced: Collection[str]) -> list[dict[str, Any]]:
    return [
        {
            "id": receipt.id,
            "scope": receipt.scope,
            "what": receipt.what,
            "state": receipt.state,
            "held": _amounts_json(receipt.held, unknown=_is_unknown(receipt, receipt.held, unpriced)),
            "charged": _amounts_json(receipt.charged, unknown=_is_unknown(receipt, receipt.charged, unpriced)),
            "estimated": receipt.estimated,
            "overrun": plain(receipt.overrun),
        }
        for receipt in receipts
    ]


def _is_unknown(receipt: Receipt, cost: Cost, unpriced: Collection[str]) -> bool:
    """Tell whether `cost`, held or charged, is in truth dollars that nobody knows: a model's without a price."""
    kind, _, name = receipt.what.partition(":")
    return kind != "tool" and name in unpriced and cost["tokens"] > 0 and not cost["usd"]


def _has_unknown(receipts: Iterable[Receipt], unpriced: Collection[str]) -> bool:
    return any(_is_unknown(receipt, receipt.charged, unpriced) for receipt in receipts)


def _total(receipts: Iterable[Receipt]) -> Cost:
    return sum((receipt.charged for receipt in receipts), Cost())


def _amounts_json(cost: Cost, *, unknown: bool) -> dict[str, Any]:
    return {**plain(cost), "usd": None} if unknown else dict(plain(cost))


def _tokens(cost: Cost) -> tuple[str, str]:
    return f"{cost['input_tokens']:,}", f"{cost['output_tokens']:,}"


def _ending(receipt: Receipt) -> str:
    if receipt.overrun:
        return "overrun: billed above the hold"
    return "charged in full: no usage record" if receipt.estimated else receipt.state.replace("_", " ")
