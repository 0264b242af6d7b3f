"""`agentkit demo`: the order desk answers three questions with the models of the zoo."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import anyio
from rich.panel import Panel
from rich.text import Text

from agentkit.budgets import Ledger, Scope
from agentkit.cli.amounts import dollars, listed
from agentkit.cli.console import err, out
from agentkit.cli.receipts import receipt_table
from agentkit.costs import NANO, Budget

if TYPE_CHECKING:
    from agentkit.answer import Answer
    from agentkit.evals.suites.order_desk.questions import Question

_PLENTY = Budget(usd="0.001", seconds=30)
_TOO_LITTLE = Budget(usd="0.001", tool_calls=1, seconds=30)
_ASKED = (
    ("One look-up", "order.status", _PLENTY),
    ("Two look-ups and arithmetic", "order.total", _PLENTY),
    ("A budget too small for the work", "order>customer.city", _TOO_LITTLE),
)
_SEED = 4
_WIDTH = 88


def demo() -> None:
    """Ask the order desk three questions, and show what each answer cost."""
    anyio.run(_demo)


async def _demo() -> None:
    from agentkit.evals.suites.order_desk.agent import desk_agent
    from agentkit.evals.suites.order_desk.questions import draw_question
    from agentkit.evals.suites.order_desk.shop import demo_desk

    desk, rng = demo_desk(), random.Random(_SEED)
    agent = desk_agent(desk, ["zoo:pico", "zoo:nano"])
    with Ledger.open() as ledger:
        async with ledger.scope("demo") as scope:
            for title, kind, budget in _ASKED:
                question = draw_question(rng, desk, "test", kind)
                with err.status("the order desk is at work"):
                    answer = await agent.run(question.text, budget=budget, scope=scope)
                _show(title, question, budget, answer)
            _show_total(scope)
    await agent.aclose()
    desk.close()


def _show(title: str, question: Question, budget: Budget, answer: Answer[str]) -> None:
    from agentkit.evals.suites.order_desk.questions import stated_value

    right = stated_value(answer.text) == question.answer
    style = "green" if answer.status == "complete" and right else "yellow"
    body = Text.assemble(
        ("question  ", "dim"), question.text, ("\nanswer    ", "dim"), (answer.text, style),
        ("\nexpected  ", "dim"), question.answer, ("\nstatus    ", "dim"), (answer.status, style),
    )  # fmt: skip
    if answer.status != "complete":
        body.append(f": {answer.stop_reason}", "dim")
    out.print(
        Panel(
            body,
            title=f"{title}, {listed(budget.limits())} to spend",
            title_align="left",
            border_style=style,
            width=min(out.width, _WIDTH),
        )
    )
    out.print(receipt_table(answer.receipts))
    out.print()


def _show_total(scope: Scope) -> None:
    spent = scope.view().spent
    out.print(f"The three answers cost {dollars(spent['usd'])} in {spent['requests']} model calls", style="bold")
    out.print(f"One cent buys {NANO / 100 / spent['usd']:,.0f} such rounds.", style="dim")
