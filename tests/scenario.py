"""A small agent under test: one model with a script, two tools, and the checks every run must pass."""

from decimal import Decimal
from typing import Any

from agentkit.agent import Agent
from agentkit.answer import Answer
from agentkit.backends.fake import ScriptedBackend, calls
from agentkit.budgets import Ledger, Scope
from agentkit.costs import Cost
from agentkit.messages import Message, ToolCall
from agentkit.tools import Tool, tool
from agentkit.types import Completion, ModelCard, Request
from agentkit.usage import Price

ANSWER = "The order has shipped and arrives on Monday."
WRAPPED = "Wrapped up from the facts."
TASK = "Where is order 7?"


@tool(cost={"usd": "0.0001"})
async def find_order(number: int) -> str:
    "Find an order by its number."
    return f"order {number} shipped"


@tool
async def find_customer(name: str) -> str:
    "Find a customer by name."
    return f"customer {name}"


def unanswered_calls(messages: tuple[Message, ...]) -> tuple[ToolCall, ...]:
    """The tool calls that no tool message answers; a valid history has none."""
    answered = {message.call_id for message in messages if message.role == "tool"}
    return tuple(call for m in messages for call in m.tool_calls if call.id not in answered)


def play(request: Request) -> str | Completion:
    """Call both tools, then answer; a wrap-up prompt gets a wrap-up."""
    if "The budget is spent" in request.messages[-1].text:
        return WRAPPED
    if any(message.role == "tool" for message in request.messages):
        return ANSWER
    return calls(("find_order", {"number": 7}), ("find_customer", {"name": "Ada"}))


def card(name: str, price: str | None = "1", **options: Any) -> ModelCard:
    """A model at `price` dollars per million tokens of input, four times that for output."""
    rates = None if price is None else Price(Decimal(price), 4 * Decimal(price))
    return ModelCard(name, backend="fake", model=name, price=rates, **options)


def agent(
    backend: Any = None, *, tools: tuple[Tool, ...] = (find_order, find_customer), **options: Any
) -> Agent[str]:
    """The agent of these tests, on `backend` or on one that plays `play`."""
    return Agent(backend or ScriptedBackend(play), tools=tools, **options)


async def check_books(ledger: Ledger, scope: Scope, *backends: ScriptedBackend, exact: bool = False) -> None:
    """Nothing is held, every invariant holds, and the ledger is not below the bill (`exact`: equals it)."""
    view = scope.view()
    assert view.held == Cost() == view.allotted
    assert await ledger.verify() == []
    bill = sum((backend.billed for backend in backends), Cost())
    charged = sum((r.charged for r in scope.receipts() if not r.what.startswith("tool:")), Cost())
    assert charged.minus(charged.minus(bill)) == bill, "the ledger is below the bill"
    if exact:
        assert charged == bill
    for resource, limit in view.limits.items():
        assert view.spent[resource] <= limit


def check_answer(answer: Answer[Any]) -> None:
    """What holds for every answer, whatever its status."""
    assert sum((receipt.charged for receipt in answer.receipts), Cost()) == answer.spent
    assert unanswered_calls(answer.messages) == ()
    assert bool(answer.text.strip()) == (answer.status != "infeasible")
    assert bool(answer.unmet) == (answer.status != "complete")
