"""Search inside an agent: the models are offered what it finds, and the trace says what it passed over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from agentkit import Agent, Tool, tool
from agentkit.backends.fake import ScriptedBackend, calls
from agentkit.budgets import Ledger, Scope
from agentkit.catalog import Selection
from agentkit.costs import Cost
from agentkit.errors import BackendUnavailable, ConfigError
from agentkit.messages import assistant, user
from agentkit.planner import Plan, Step
from agentkit.tools.index import ToolSearch
from agentkit.trace import Composed, Failed
from agentkit.types import ScopeView

pytestmark = pytest.mark.anyio


def made(name: str, description: str) -> Tool:
    async def run() -> str:
        return f"{name} was called"

    return tool(name=name, description=description)(run)


TOOLS = (
    made("count_words", "Count the words of a text."),
    made("find_order", "Find an order of a customer."),
    made("cancel_order", "Cancel an order."),
    made("forecast", "The weather of a city."),
)


def offered(backend: ScriptedBackend) -> list[str]:
    return [spec.name for spec in backend.requests[0].tools]


async def test_a_model_is_offered_the_tools_found_for_the_task_in_their_order() -> None:
    backend = ScriptedBackend([calls(("find_order", {})), "It is on its way."])
    agent = Agent(backend, tools=TOOLS, tool_search=ToolSearch(top=2))
    answer = await agent.run("Where is the order of this customer?")
    assert offered(backend) == ["find_order", "cancel_order"]
    assert answer.text == "It is on its way."
    (composed,) = [stamped.event for stamped in answer.trace if isinstance(stamped.event, Composed)]
    assert composed.reasons["tool:forecast"] == "not among the 2 tools found for the task"
    assert {"tool:find_order", "tool:cancel_order"} < set(composed.chosen)


async def test_a_follow_up_is_understood_by_what_was_asked_before() -> None:
    backend = ScriptedBackend("Done.")
    agent = Agent(backend, tools=TOOLS, tool_search=ToolSearch(top=1))
    earlier = (user("What is the weather of the city?"), assistant("Rain."))
    await agent.run("And tomorrow?", history=earlier)
    assert offered(backend) == ["forecast"]


class Refusing:
    """An embedder that must not be asked."""

    async def embed(self, texts: Sequence[str], scope: Scope) -> NDArray[np.float32]:
        raise AssertionError("nothing is to be searched")


async def test_no_more_tools_than_top_are_all_offered_without_a_search() -> None:
    backend = ScriptedBackend("Done.")
    search = ToolSearch(top=4, by="both", embedder=Refusing())
    await Agent(backend, tools=TOOLS, tool_search=search).run("Count.")
    assert len(offered(backend)) == 4


class Paid:
    """An embedder whose every text costs a token."""

    async def embed(self, texts: Sequence[str], scope: Scope) -> NDArray[np.float32]:
        hold = await scope.reserve(Cost(tokens=len(texts)), dispatch=True)
        await hold.settle(Cost(tokens=len(texts)))
        return np.ones((len(texts), 2), np.float32)


class Down:
    """An embedder that cannot be reached."""

    async def embed(self, texts: Sequence[str], scope: Scope) -> NDArray[np.float32]:
        raise BackendUnavailable("embedder", "down")


async def test_without_its_embedder_the_search_is_by_words() -> None:
    backend, search = ScriptedBackend("Done."), ToolSearch(top=2, by="both", embedder=Down())
    answer = await Agent(backend, tools=TOOLS, tool_search=search).run("Where is the order of this customer?")
    assert offered(backend) == ["find_order", "cancel_order"] and answer.status == "complete"
    (failed,) = [stamped.event for stamped in answer.trace if isinstance(stamped.event, Failed)]
    assert failed.where == "tool_search" and "down; searching by words" in failed.error


class Noting:
    """A planner of one step that notes what it may spend."""

    def __init__(self) -> None:
        self.view: ScopeView | None = None

    async def plan(self, task: str, selection: Selection, view: ScopeView) -> Plan:
        self.view = view
        return Plan((Step("main", task),), "noted")


async def test_the_plan_is_made_for_what_the_search_has_left() -> None:
    planner, search = Noting(), ToolSearch(top=2, by="both", embedder=Paid())
    await Agent(ScriptedBackend("Done."), tools=TOOLS, tool_search=search, planner=planner).run(
        "Count.", budget="tokens=5000"
    )
    assert planner.view is not None and planner.view.spent["tokens"] == 13  # three views of each tool and the need


async def test_what_is_found_keeps_the_order_of_the_tools() -> None:
    with Ledger.open() as ledger:
        scope = ledger.scope("search", limits=Cost())
        found = await ToolSearch(top=2).shortlist(TOOLS, "cancel it: cancel order", scope)
        assert [entry.name for entry in found] == ["find_order", "cancel_order"]


async def test_other_tools_are_indexed_anew() -> None:
    search = ToolSearch(top=1)
    with Ledger.open() as ledger:
        scope = ledger.scope("search", limits=Cost())
        assert [t.name for t in await search.shortlist(TOOLS[:2], "order", scope)] == ["find_order"]
        assert [t.name for t in await search.shortlist(TOOLS[2:], "order", scope)] == ["cancel_order"]


def test_a_search_for_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="top must be above 0"):
        ToolSearch(top=0)
