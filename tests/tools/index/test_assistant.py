"""A model that helps a search: each phase adds what words alone miss, is paid, and may fail."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from agentkit import Agent, Tool, tool
from agentkit.backends.fake import Reply, ScriptedBackend
from agentkit.budgets import Ledger
from agentkit.costs import Cost
from agentkit.errors import BackendUnavailable, ConfigError
from agentkit.tools.index import ToolSearch
from agentkit.trace import Charged, Event, Failed, Settled
from agentkit.types import Request
from tests.scenario import card, check_books

pytestmark = pytest.mark.anyio


def made(name: str, description: str) -> Tool:
    async def run() -> str:
        return name

    return tool(name=name, description=description)(run)


TOOLS = tuple(made(f"t{place}", text) for place, text in enumerate(("Alpha.", "Beta.", "Gamma.", "Delta.")))


class Helper:
    """Plays the model of a search: says of each phase what it is told to, and notes which were asked."""

    def __init__(self, **said: object) -> None:
        self.said, self.asked = said, list[str]()
        self.backend = ScriptedBackend(self._play)

    def _play(self, request: Request) -> Reply:
        text = request.messages[-1].text
        phase = "documents" if "write two" in text else "needs" if "single things" in text else "ranking"
        self.asked.append(phase)
        said = self.said.get(phase, {})
        return said if isinstance(said, Exception) else said if isinstance(said, str) else json.dumps(said)


async def found(search: ToolSearch, need: str = "Is it raining?", limits: Cost | None = None) -> list[str]:
    events: list[Event] = []
    with Ledger.open() as ledger:
        scope = ledger.scope("search", limits=limits or Cost(tokens=100_000))
        tools = await search.shortlist(TOOLS, need, scope, events.append)
        assert scope.view().held == Cost() and await ledger.verify() == []
    return [*(tool.name for tool in tools), *(event.error for event in events if isinstance(event, Failed))]


async def test_a_tool_is_found_by_what_it_is_asked_for() -> None:
    helper = Helper(documents={"t2": "will it rain? weather"})
    assert await found(ToolSearch(1, model=helper.backend), "will it rain") == ["t2"]
    assert helper.asked == ["documents", "needs", "ranking"]


async def test_the_need_is_said_in_other_words() -> None:
    helper = Helper(needs={"needs": ["gamma", 7]})
    assert await found(ToolSearch(1, model=helper.backend)) == ["t2"]


async def test_the_model_has_the_last_word_and_what_it_does_not_know_stays_out() -> None:
    helper = Helper(ranking={"tools": ["nothing", "t3", "t3"], "missing": ""})
    assert await found(ToolSearch(2, model=helper.backend), "alpha") == ["t0", "t3"]


async def test_what_no_tool_in_sight_does_is_searched_for() -> None:
    helper = Helper(ranking={"tools": [], "missing": "delta"})
    assert await found(ToolSearch(1, model=helper.backend), "alpha beta") == ["t3"]


@pytest.mark.parametrize("broken", [BackendUnavailable("helper", "down"), "no JSON", "{half", "[1]"])
async def test_what_fails_is_left_out(broken: object) -> None:
    helper = Helper(documents=broken, needs=broken, ranking=broken)
    first, *notes = await found(ToolSearch(1, model=helper.backend), "beta")
    assert first == "t1" and len(notes) == len(helper.asked) == 3


async def test_a_search_leaves_three_quarters_to_the_work() -> None:
    helper = Helper(needs={"needs": ["delta"]})
    first, *notes = await found(ToolSearch(1, model=helper.backend), "beta", Cost(tokens=600))
    assert first == "t1" and len(notes) == 3 and helper.asked == []


async def test_tools_are_described_once_and_over_runs_by_a_file(tmp_path: Path) -> None:
    helper, file = Helper(documents={"t2": "will it rain?"}), tmp_path / "tools.json"
    search = ToolSearch(1, model=helper.backend, cache=file)
    await found(search)
    await found(search)
    assert await found(ToolSearch(1, model=helper.backend, cache=file), "will it rain") == ["t2"]
    assert helper.asked.count("documents") == 1


async def test_the_file_of_a_search_is_made_where_it_is_wanted_and_not_taken_for_another(tmp_path: Path) -> None:
    helper, file = Helper(), tmp_path / "new/tools.json"
    await found(ToolSearch(1, model=helper.backend, cache=file))
    assert [path.name for path in file.parent.iterdir()] == ["tools.json"]
    file.write_text("{half")
    with pytest.raises(ConfigError, match="is not what a tool search keeps"):
        await found(ToolSearch(1, model=helper.backend, cache=file))


async def test_a_model_without_a_price_is_paid_what_its_card_states() -> None:
    helper = Helper(ranking={"tools": ["t1"]})
    helper.backend.card = card("helper", None, usd_per_call=Decimal("0.01"))
    with Ledger.open() as ledger:
        scope = ledger.scope("search", limits=Cost(usd=1_000_000_000))
        (tool,) = await ToolSearch(1, model=helper.backend).shortlist(TOOLS, "alpha beta", scope)
        assert tool.name == "t1" and scope.view().spent["usd"] == 30_000_000


async def test_the_run_pays_for_its_search_and_says_what_failed() -> None:
    helper = Helper(ranking=BackendUnavailable("helper", "down"))
    backend = ScriptedBackend("Done.")
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        agent = Agent(backend, tools=TOOLS, tool_search=ToolSearch(1, model=helper.backend))
        answer = await agent.run("gamma", budget="usd=1", scope=scope)
        await check_books(ledger, scope, backend, helper.backend)
    assert [spec.name for spec in backend.requests[0].tools] == ["t2"]
    failed = [stamped.event.error for stamped in answer.trace if isinstance(stamped.event, Failed)]
    charged = [stamped.event.hold for stamped in answer.trace if isinstance(stamped.event, Settled | Charged)]
    assert sorted(charged) == sorted(receipt.id for receipt in answer.receipts if receipt.charged)
    assert len(failed) == 1 and "ranks by itself" in failed[0]
