"""Tools made in a run: paid by it, verified, kept, and used by the cheap model from then on."""

import json
from collections import Counter
from functools import partial
from pathlib import Path

import anyio
import pytest

from agentkit import Agent
from agentkit.backends.fake import ScriptedBackend, calls
from agentkit.budgets import Ledger
from agentkit.costs import nano_usd
from agentkit.errors import BackendUnavailable, ConfigError
from agentkit.evals.benches.virtual_time import run_virtually
from agentkit.toolmaking import Economics, ToolMaking, ToolStore
from agentkit.tools import tool
from agentkit.tools.policy import Policy, Rule
from agentkit.trace import Composed, Failed, Settled, Verified
from agentkit.types import Request
from agentkit.usage import Unbounded
from tests.scenario import card, check_answer, check_books
from tests.toolmaking.workshop import BOX, CALLS, FAMILY, REMEMBERS, RIGHT, WORDS, WRONG, task, workshop

UNLIMITED = "usd=1"


def test_a_tool_is_made_once_and_used_from_then_on(tmp_path: Path) -> None:
    agent, cheap, strong = workshop(tmp_path, RIGHT, CALLS)
    first = agent.run_sync(task("planet"), budget=UNLIMITED)
    second = agent.run_sync(task("silver"), budget=UNLIMITED)
    assert (first.text, second.text) == ("tenalp", "revlis")
    assert len(strong.requests) == 2 and len(cheap.requests) == 4
    (offered,) = cheap.requests[0].tools
    assert offered.parameters["properties"] == {"word": {"type": "string"}}
    assert f'«{task("stone")}» call it with {{"word": "stone"}}' in offered.description
    made, used = first.tool_making, second.tool_making
    assert made and used and (made.tool, used.tool) == ("backwards", "backwards")
    assert made.making["usd"] == strong.billed["usd"] and not used.making
    assert used.economics == Economics(
        makings=1, making=strong.billed["usd"], uses=2, with_tool=cheap.billed["usd"]
    )


def test_everything_is_in_the_books_of_the_run(tmp_path: Path) -> None:
    agent, cheap, strong = workshop(tmp_path, WRONG, CALLS, RIGHT)

    async def go() -> None:
        with Ledger.open() as ledger:
            scope = ledger.scope("app", limits={"usd": nano_usd(1), "tool_calls": 9})
            answer = await agent.run(task("planet"), scope=scope, budget="usd=0.5")
            await check_books(ledger, scope, cheap, strong, exact=True)
        check_answer(answer)
        assert Counter(receipt.what for receipt in answer.receipts if receipt.state == "settled") == {
            "model:strong": 3, "tool:check_tool": 2, "model:cheap": 2, "tool:backwards": 1,
        }  # fmt: skip
        told = {entry.event.hold for entry in answer.trace if isinstance(entry.event, Settled)}
        assert {receipt.id for receipt in answer.receipts if receipt.what == "tool:check_tool"} <= told
        drafts = [entry.event for entry in answer.trace if isinstance(entry.event, Verified)]
        assert [bool(draft.problems) for draft in drafts if draft.step == "make:reversing"] == [True, False]
        (composed,) = (entry.event for entry in answer.trace if isinstance(entry.event, Composed))
        assert "tool:backwards" in composed.chosen

    anyio.run(go)


def test_what_was_held_back_is_told_to_nobody(tmp_path: Path) -> None:
    agent, _, strong = workshop(tmp_path, REMEMBERS, CALLS, REMEMBERS, CALLS)
    answer = agent.run_sync(task("planet"), budget=UNLIMITED)
    said = "\n".join(message.text for request in strong.requests for message in request.messages)
    assert "duolc" in said and "'' , which is wrong".replace(" ,", ",") in said
    assert "rebma" not in said and "taehw" not in said
    assert answer.tool_making and answer.tool_making.tool is None
    assert ToolStore(tmp_path).economics("reversing").failures == 1


@pytest.mark.parametrize("limit", ["usd=0.016", "requests=3", "tool_calls=1", "tokens=700"])
def test_at_the_limit_the_task_is_answered_without_a_tool(tmp_path: Path, limit: str) -> None:
    agent, cheap, strong = workshop(tmp_path, *[WRONG, CALLS] * 4)
    answer = agent.run_sync(task("planet"), budget=limit)
    assert answer.status == "complete" and answer.text.endswith("unsure")
    assert strong.billed and answer.tool_making and answer.tool_making.tool is None
    assert answer.spent["usd"] == strong.billed["usd"] + cheap.billed["usd"]
    check_answer(answer)


def test_a_maker_that_cannot_be_reached_costs_nobody_the_answer(tmp_path: Path) -> None:
    agent, _, _ = workshop(tmp_path, *[BackendUnavailable("strong", "gone")] * 9)
    assert agent.run_sync(task("planet"), budget=UNLIMITED).text.endswith("unsure")


def test_a_making_that_fails_is_not_repeated_for_ever(tmp_path: Path) -> None:
    agent, _, strong = workshop(tmp_path, *["no code"] * 9, rounds=0)
    for word in ("planet", "silver", "marble"):
        answer = agent.run_sync(task(word), budget=UNLIMITED)
    assert len(strong.requests) == 2
    assert answer.tool_making and answer.tool_making.reason == "2 makings gave no tool"


def test_a_stable_draft_is_one_that_the_maker_would_not_change(tmp_path: Path) -> None:
    other = RIGHT.replace("word[::-1]", "''.join(reversed(word))")
    agent, _, strong = workshop(tmp_path, other, CALLS, RIGHT, RIGHT, until="stable")
    assert agent.run_sync(task("planet"), budget=UNLIMITED).text == "tenalp"
    assert len(strong.requests) == 4
    assert "It passes its tests" in strong.requests[2].messages[-1].text
    (kept,) = ToolStore(tmp_path).tools()
    assert "word[::-1]" in kept.code


def test_a_revision_that_breaks_a_working_draft_is_not_taken(tmp_path: Path) -> None:
    agent, _, _ = workshop(tmp_path, RIGHT, CALLS, WRONG, until="stable")
    assert agent.run_sync(task("planet"), budget=UNLIMITED).text == "tenalp"


def test_at_the_limit_a_draft_that_passes_is_good_enough(tmp_path: Path) -> None:
    agent, _, strong = workshop(
        tmp_path, RIGHT, CALLS, RIGHT.replace("word[::-1]", "str(word)[::-1]"), until="stable"
    )
    answer = agent.run_sync(task("planet"), budget="usd=1,tool_calls=3")  # of which a making takes one
    assert answer.text.startswith("tenalp") and len(strong.requests) == 3


def test_calls_that_do_not_fit_are_asked_for_again(tmp_path: Path) -> None:
    agent, _, strong = workshop(tmp_path, RIGHT, CALLS.replace("word", "wort"), RIGHT, CALLS)
    assert agent.run_sync(task("planet"), budget=UNLIMITED).text == "tenalp"
    assert len(strong.requests) == 4


def test_where_it_has_to_pay_a_making_waits_until_direct_answers_cost_as_much(tmp_path: Path) -> None:
    agent, cheap, strong = workshop(tmp_path, RIGHT, CALLS, when="pays")
    uses = [agent.run_sync(task("planet"), budget=UNLIMITED).tool_making for _ in range(12)]
    direct = [made for made in uses if made and made.tool is None]
    per_direct = cheap.bill[0].cost(cheap.card.price)["usd"]
    assert 1 < len(direct) < 12 and "is expected to cost" in direct[0].reason
    assert ToolStore(tmp_path).economics("reversing").direct == len(direct) * per_direct
    last = uses[-1]
    assert (
        last
        and last.economics
        and last.economics.break_even == -(-strong.billed["usd"] // int(last.economics.saving or 1))
    )


def test_a_tool_that_does_not_pay_is_given_up(tmp_path: Path) -> None:
    store = ToolStore(tmp_path)
    store.note("reversing", "failed", nano_usd("0.0001"))  # so that another making is expected to cost as much
    for _ in range(10):
        store.note("reversing", "direct", nano_usd("0.00001"))
    agent, _, _ = workshop(tmp_path, RIGHT, CALLS, when="pays")
    used = [agent.run_sync(task("planet"), budget=UNLIMITED).tool_making for _ in range(4)]
    assert [made.tool for made in used if made] == ["backwards"] * 3 + [None]
    assert used[3] and "does not pay" in used[3].reason


def test_another_agent_finds_the_tool_in_the_store(tmp_path: Path) -> None:
    workshop(tmp_path, RIGHT, CALLS)[0].run_sync(task("planet"), budget=UNLIMITED)
    agent, _, strong = workshop(tmp_path)
    assert agent.run_sync(task("silver"), budget=UNLIMITED).text == "revlis"
    assert strong.requests == []


def test_a_store_that_cannot_be_written_costs_no_answer(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    agent, _, strong = workshop(tmp_path / "store", RIGHT, CALLS)
    answer = agent.run_sync(task("planet"), budget=UNLIMITED)
    assert answer.text == "tenalp" and len(strong.requests) == 2
    told = [s.event.error for s in answer.trace if isinstance(s.event, Failed)]
    assert len(told) == 2 and all("cannot be written" in message for message in told)


def test_a_tool_that_was_altered_on_disk_is_refused(tmp_path: Path) -> None:
    workshop(tmp_path, RIGHT, CALLS)[0].run_sync(task("planet"), budget=UNLIMITED)
    (path,) = tmp_path.glob("*.json")
    row = json.loads(path.read_text())
    path.write_text(json.dumps({**row, "code": row["code"].replace("::-1", "::1")}))
    with pytest.raises(ConfigError, match="is not the tool that was kept"):
        workshop(tmp_path)[0].run_sync(task("silver"), budget=UNLIMITED)


def test_a_task_of_another_kind_is_none_of_its_business(tmp_path: Path) -> None:
    agent, _, strong = workshop(tmp_path, RIGHT, CALLS)
    answer = agent.run_sync("How far is it to Rome?", budget=UNLIMITED)
    assert answer.tool_making and answer.tool_making.family is None
    assert strong.requests == [] and not list(tmp_path.iterdir())


def test_a_name_that_is_taken_stays_with_its_tool(tmp_path: Path) -> None:
    agent, _, _ = workshop(tmp_path, RIGHT, CALLS)

    @tool
    def backwards(word: str) -> str:
        "Say that it is ours."
        return "ours"

    mine = Agent(next(iter(agent.backends.values())), tools=[backwards], tool_making=agent.tool_making)
    answer = mine.run_sync(task("planet"), budget=UNLIMITED)
    assert answer.text == "ours" and answer.tool_making and "another tool named" in answer.tool_making.reason


async def _two_at_once(tmp_path: Path) -> None:
    agent, _, strong = workshop(tmp_path, RIGHT, CALLS)
    async with anyio.create_task_group() as group:
        for word in WORDS[:2]:
            group.start_soon(partial(agent.run, task(word), budget=UNLIMITED))
    assert len(strong.requests) == 2


def test_two_runs_at_once_make_one_tool(tmp_path: Path) -> None:
    anyio.run(_two_at_once, tmp_path)


def test_time_for_a_making_is_a_share_too(tmp_path: Path) -> None:
    agent, _, strong = workshop(tmp_path, RIGHT, CALLS, share=0.2)
    strong.delay = 5.0
    answer = run_virtually(lambda: agent.run(task("planet"), budget="usd=1,seconds=6"))
    assert answer.status == "complete" and answer.text.endswith("unsure")


def test_a_making_that_nothing_bounds_is_not_begun(tmp_path: Path) -> None:
    class Searching(ScriptedBackend):
        def bound(self, request: Request) -> Unbounded:  # type: ignore[override]
            return Unbounded("its provider bills for searches")

    agent, _, strong = workshop(tmp_path, when="pays")
    smith = Agent(Searching("never", card=card("strong")), name="smith")
    agent.tool_making = ToolMaking(smith, (FAMILY,), tmp_path, sandbox=BOX)
    answer = agent.run_sync(task("planet"), budget=UNLIMITED)
    assert answer.status == "complete" and not strong.requests
    assert answer.tool_making and "bills for searches" in answer.tool_making.reason


def test_the_makers_tools_are_held_to_the_policy_of_the_run(tmp_path: Path) -> None:
    published: list[str] = []

    @tool
    async def publish(text: str) -> str:
        "Publish."
        published.append(text)
        return "published"

    agent, _, strong = workshop(tmp_path, calls(("publish", {"text": "x"})), RIGHT, CALLS)
    smith = Agent(strong, name="smith", tools=[publish])
    agent.tool_making = ToolMaking(smith, (FAMILY,), tmp_path, when="always", sandbox=BOX)
    agent.policy = Policy({"publish": Rule("write", max_calls=0), "backwards": Rule("read")})
    answer = agent.run_sync(task("planet"), budget=UNLIMITED)
    assert answer.text == "tenalp" and not published
