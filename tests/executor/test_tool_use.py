"""Tool calls of one turn: side by side, each with a result of its own, paid for as they leave."""

import anyio
import pytest

from agentkit.backends.fake import ScriptedBackend, calls
from agentkit.budgets import Ledger
from agentkit.costs import Budget, Cost
from agentkit.tools import Context, tool
from agentkit.trace import Settled, ToolFinished, ToolStarted
from agentkit.types import Receipt
from tests.scenario import TASK, agent, check_answer, check_books, unanswered_calls
from tests.virtual import anyio_backend  # noqa: F401

pytestmark = pytest.mark.anyio


@tool(cost={"usd": "0.001"})
async def works(place: int) -> str:
    await anyio.sleep(0.02)
    return f"result {place}"


@tool(cost={"usd": "0.001"})
async def breaks() -> str:
    await anyio.sleep(0.01)
    raise RuntimeError("no such table")


def tool_receipts(receipts: tuple[Receipt, ...]) -> list[str]:
    return sorted(receipt.what for receipt in receipts if receipt.what.startswith("tool:"))


async def test_one_fails_and_its_siblings_finish_in_parallel() -> None:
    backend = ScriptedBackend([calls(("works", {"place": 0}), ("breaks", {}), ("works", {"place": 2})), "Done."])
    answer = await agent(backend, tools=(works, breaks)).run(TASK, budget=Budget(usd=1))
    results = [message for message in backend.requests[1].messages if message.role == "tool"]
    assert [message.text for message in results] == [
        "result 0",
        "Error: tool 'breaks' failed: RuntimeError: no such table",
        "result 2",
    ]
    kinds = [type(stamped.event) for stamped in answer.trace if stamped.event.kind == "tool"]
    assert kinds == [ToolStarted] * 3 + [ToolFinished] * 3
    assert tool_receipts(answer.receipts) == ["tool:breaks", "tool:works", "tool:works"]
    check_answer(answer)


async def test_the_call_over_the_limit_is_refused_and_its_siblings_count() -> None:
    backend = ScriptedBackend([calls(*[("works", {"place": place}) for place in range(3)]), "Wrapped."])
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        answer = await agent(backend, tools=(works,)).run(TASK, budget=Budget(tool_calls=2), scope=scope)
        await check_books(ledger, scope, backend, exact=True)
    assert answer.stop_reason == "limit:tool_calls" and answer.spent["tool_calls"] == 2
    assert unanswered_calls(answer.messages) == ()
    assert "result 0" in backend.requests[1].messages[-1].text
    errors = [message.text for message in answer.messages if message.role == "tool" and "Error" in message.text]
    assert len(errors) == 1 and "the budget ends here" in errors[0]


async def test_a_limit_by_name_of_the_tool() -> None:
    backend = ScriptedBackend([calls(("works", {"place": 0})), calls(("works", {"place": 1})), "Wrapped."])
    answer = await agent(backend, tools=(works,)).run(TASK, budget=Budget(tool_calls={"works": 1}))
    assert (answer.stop_reason, answer.text) == ("limit:tool_calls[works]", "Wrapped.")


async def test_a_call_that_cannot_run_is_not_paid_for() -> None:
    wrong = calls(("works", {"place": "x"}), ("nothing", {}))
    answer = await agent(ScriptedBackend([wrong, "Done."]), tools=(works,)).run(TASK, budget=Budget(usd=1))
    assert tool_receipts(answer.receipts) == [] and answer.spent["tool_calls"] == 0
    assert answer.status == "complete"


async def test_a_tool_is_charged_as_it_leaves_and_holds_nothing_while_it_runs() -> None:
    with Ledger.open() as ledger:
        scope = ledger.scope("application")

        @tool(cost={"usd": "0.001"})
        async def looks() -> str:
            view = scope.view()
            return f"{view.spent['tool_calls']} charged, {view.held['tool_calls']} held"

        backend = ScriptedBackend([calls(("looks", {})), "Done."])
        answer = await agent(backend, tools=(looks,)).run(TASK, budget=Budget(usd=1), scope=scope)
    (result,) = [e.event for e in answer.trace if isinstance(e.event, ToolFinished)]
    assert result.content == "1 charged, 0 held"
    charges = [
        e.event.charged for e in answer.trace if isinstance(e.event, Settled) and e.event.what == "tool:looks"
    ]
    assert charges == [Cost({"usd": 1_000_000, "tool_calls": 1, "tool_calls[looks]": 1})]


async def test_a_tool_that_is_cancelled_is_paid_for() -> None:
    @tool(cost={"usd": "0.001"})
    async def waits() -> str:
        await anyio.sleep(60)
        return "never"

    backend = ScriptedBackend([calls(("waits", {})), "Wrapped."])
    answer = await agent(backend, tools=(waits,)).run(TASK, budget=Budget(seconds=0.1))
    assert tool_receipts(answer.receipts) == ["tool:waits"]
    assert answer.spent["usd"] >= 1_000_000


async def test_a_budget_of_the_tools_own_is_a_failure_of_the_tool() -> None:
    """Another ledger's refusal does not end the run; one of the run's own scope does."""

    @tool
    async def mail(to: str) -> str:
        with Ledger.open() as postage:
            await postage.scope("stamps", limits={"usd": 1}).reserve(Cost(usd=2))
        return "sent"

    backend = ScriptedBackend([calls(("mail", {"to": "Ada"})), "There are no stamps."])
    answer = await agent(backend, tools=(mail,)).run(TASK)
    assert (answer.status, answer.text) == ("complete", "There are no stamps.")
    assert "scope 'stamps' has $0.000000001 left" in backend.requests[1].messages[-1].text


async def test_the_runs_own_refusal_inside_a_tool_ends_the_run() -> None:
    @tool
    async def spend(context: Context[object]) -> str:
        assert context.scope is not None
        await context.scope.reserve(Cost(tokens=1_000_000))
        return "spent"

    backend = ScriptedBackend([calls(("spend", {})), "Wrapped up."])
    answer = await agent(backend, tools=(spend,)).run(TASK, budget=Budget(tokens=5_000))
    assert (answer.status, answer.stop_reason) == ("exhausted", "limit:tokens")
