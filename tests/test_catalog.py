"""The catalog: relevance of tools to a task, and what components are expected to cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.backends.fake import ScriptedBackend
from agentkit.catalog import LEAST_RELEVANCE, MOST_SKILLS, UNKNOWN_QUALITY, Catalog, Component, Skill, key_of
from agentkit.costs import Cost
from agentkit.tools import Tool, tool
from agentkit.types import Capabilities, Request, ToolSpec
from agentkit.usage import Unbounded
from tests.scenario import agent, card, find_customer, find_order

pytestmark = pytest.mark.anyio

TEXTS = st.text(st.characters(categories=["L", "N", "Zs", "P"]), max_size=60)


def named(name: str, description: str) -> Tool:
    async def run(arguments: object, context: object) -> str:
        return ""

    return Tool(ToolSpec(name, description, {"type": "object", "properties": {}}), run)


def tools_of(task: str, *tools: Tool) -> dict[str, Component]:
    catalog = Catalog.of(task, "", tools, [card("m")])
    return {component.name: component for component in catalog.components if component.kind == "tool"}


@given(task=TEXTS, descriptions=st.lists(TEXTS, max_size=5))
def test_values_are_between_the_least_and_one(task: str, descriptions: list[str]) -> None:
    tools = [named(f"t{place}", description) for place, description in enumerate(descriptions)]
    values = [component.value for component in tools_of(task, *tools).values()]
    assert all(LEAST_RELEVANCE <= value <= 1 + 1e-12 for value in values)


@given(task=TEXTS, more=TEXTS, descriptions=st.lists(TEXTS, min_size=1, max_size=5))
def test_a_task_that_says_more_never_lowers_a_value(task: str, more: str, descriptions: list[str]) -> None:
    tools = [named(f"t{place}", description) for place, description in enumerate(descriptions)]
    before, after = tools_of(task, *tools), tools_of(f"{task} {more}", *tools)
    assert all(after[name].value >= before[name].value - 1e-12 for name in before)


def test_the_tool_that_the_task_mentions_is_worth_most() -> None:
    values = tools_of("Where is the order of Ada?", find_order, find_customer)
    assert values["find_order"].value > values["find_customer"].value
    assert tools_of("Bonjour", find_order)["find_order"].value == LEAST_RELEVANCE


def test_a_rare_word_weighs_more_than_one_that_every_tool_has() -> None:
    tools = [named("a", "find invoices"), named("b", "find parcels"), named("c", "find routes")]
    rare, common = tools_of("the invoice", *tools), tools_of("find", *tools)
    assert rare["a"].value > common["a"].value
    assert rare["b"].value == LEAST_RELEVANCE


@pytest.mark.parametrize(
    ("task", "description"),
    [("ORDERS?", "an order"), ("suche kunden für müller", "Kunden für Müller"), ("заказ", "Заказ найти")],
)
def test_words_match_without_case_and_plural_in_any_alphabet(task: str, description: str) -> None:
    assert tools_of(task, named("t1", description))["t1"].value > LEAST_RELEVANCE


def test_a_tool_costs_its_call_and_its_schema_read_on_every_turn() -> None:
    @tool(cost={"usd": "0.002"})
    async def long_one(first_argument: int, second_argument: str) -> str:
        "A tool with a long description, which is read again on every turn of the conversation."
        return ""

    costs = {name: component.cost for name, component in tools_of("x", find_order, long_one).items()}
    assert costs["long_one"]["tokens"] > costs["find_order"]["tokens"] > 0
    assert costs["long_one"]["usd"] > 2_000_000
    assert set(costs["long_one"]) == {"usd", "tokens"}


def test_models_have_their_prior_and_their_price() -> None:
    cards = [card("a", "1", quality=0.9), card("b", "10"), card("c", None)]
    a, b, c = Catalog.of("some task", "a prompt", [], cards).components
    assert (a.value, b.value) == (0.9, UNKNOWN_QUALITY)
    assert b.cost["usd"] == 10 * a.cost["usd"] > 0
    assert (a.priced, c.priced, c.cost["usd"]) == (True, False, 0)
    assert a.key == "model:a"


def test_a_tool_and_a_model_may_share_a_name() -> None:
    catalog = Catalog.of("task", "", [named("search", "")], [card("search")])
    assert {component.key for component in catalog.components} == {"model:search", "tool:search"}
    assert Catalog.of("task", "", [], []).components == ()
    assert Component("x", "tool", Cost(), 0.1).key == "tool:x"


def test_the_skills_are_the_parts_of_the_task_and_tools_cover_what_they_speak_of() -> None:
    catalog = Catalog.of(
        "Find the order of Ada. Then tell me her telephone number.", "", [find_order], [card("m")]
    )
    found = catalog.by_skill()
    assert [skill.name for skill in found.skills] == ["Find the order of Ada.", "tell me her telephone number."]
    assert sum(skill.weight for skill in found.skills) == pytest.approx(1)
    covers = {component.name: component.covers for component in found.components}
    assert covers["m"] == ()
    assert covers["find_order"][0] > covers["find_order"][1] >= LEAST_RELEVANCE
    assert found.by_skill() is found


def test_a_task_of_one_piece_is_one_skill_and_no_task_has_more_than_the_most() -> None:
    assert [skill.name for skill in Catalog.of("Bonjour", "", [], []).by_skill().skills] == ["Bonjour"]
    many = ". ".join(f"Find the order number {n}" for n in range(MOST_SKILLS + 3))
    assert len(Catalog.of(many, "", [find_order], []).by_skill().skills) == MOST_SKILLS
    assert Catalog((), task="").by_skill().skills == ()
    assert Catalog((), (Skill("s"),), "a task").by_skill().skills == (Skill("s"),)


def test_an_agent_is_a_component_that_costs_its_schema_and_its_least_answer() -> None:
    helper = agent(ScriptedBackend("x", card=card("helper")), name="helper", description="Helps.")
    (component,) = Catalog.of("Help.", "", [helper.as_tool()], []).components
    assert (component.key, key_of(helper.as_tool())) == ("agent:helper", "agent:helper")
    assert component.cost["usd"] == helper.minimum("Helps.")["usd"] > 0
    unpriced = agent(ScriptedBackend("x", card=card("helper", None)), name="helper").as_tool()
    assert not Catalog.of("Help.", "", [unpriced], []).components[0].priced


def test_tools_work_with_the_models_that_can_call_them() -> None:
    mute = card("mute", capabilities=Capabilities(tools=False))
    found = Catalog.of("Find.", "", [find_order], [card("able"), mute]).components[-1]
    assert found.works_with == frozenset({"able"})
    assert Catalog.of("Find.", "", [find_order], [card("able")]).components[-1].works_with is None


async def test_an_agent_whose_least_answer_has_no_bound_does_not_end_those_that_have_it() -> None:
    class Searching(ScriptedBackend):
        def bound(self, request: Request) -> Unbounded:  # type: ignore[override]
            return Unbounded("its provider bills for searches")

    helper = agent(Searching("x", card=card("helper")), name="helper").as_tool()
    assert not Catalog.of("Help.", "", [helper], []).components[0].priced
    assert (await agent(ScriptedBackend("Done."), tools=(helper,)).run("Help.", budget="usd=1")).text == "Done."
