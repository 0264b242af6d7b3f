"""The choice by skills against brute force, and what it says of it."""

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit import Agent, Budget
from agentkit.backends import ScriptedBackend
from agentkit.catalog import Catalog, Component, Skill
from agentkit.composer import CoverageComposer, KnapsackComposer
from agentkit.composer.bounded import by_bounds
from agentkit.composer.greedy import by_greed
from agentkit.composer.masks import by_masks
from agentkit.composer.shelf import Shelf, rents, shelves
from agentkit.costs import Cost
from tests.scenario import card, find_customer, find_order

CERTAIN = st.sampled_from((0.0, 1.0))
NOISY = st.integers(0, 8).map(lambda n: n / 8)
COSTS = st.builds(lambda usd, tokens: Cost(usd=usd, tokens=tokens), st.integers(0, 12), st.integers(0, 12))
BUDGETS: st.SearchStrategy[dict[str, int]] = st.one_of(
    st.fixed_dictionaries({"usd": st.integers(0, 40)}),
    st.fixed_dictionaries({"usd": st.integers(0, 40), "tokens": st.integers(0, 40)}),
    st.just({}),
)


@st.composite
def catalogs(draw: st.DrawFn, chances: st.SearchStrategy[float]) -> Catalog:
    skills = tuple(Skill(f"s{place}", draw(st.integers(1, 3))) for place in range(draw(st.integers(1, 4))))
    names = [f"m{place}" for place in range(draw(st.integers(0, 2)))]
    models = [Component(name, "model", draw(COSTS), draw(st.sampled_from((0.5, 1.0)))) for name in names]
    friends = st.none() if not names else st.none() | st.frozensets(st.sampled_from(names), min_size=1)
    others = [
        Component(
            f"c{place}",
            draw(st.sampled_from(("tool", "agent"))),
            draw(COSTS),
            0.0,
            covers=tuple(draw(chances) for _ in skills),
            works_with=draw(friends),
        )
        for place in range(draw(st.integers(0, 6)))
    ]
    return Catalog((*models, *others), skills)


def brute_force(shelf: Shelf) -> float:
    places = range(len(shelf.offers))
    return max(
        shelf.net(subset)
        for size in range(len(shelf.offers) + 1)
        for subset in combinations(places, size)
        if all(part <= max(whole, 0) for part, whole in zip(shelf.price(subset), shelf.room, strict=True))
    )


@pytest.mark.parametrize("chances", [CERTAIN, NOISY], ids=["certain", "noisy"])
@settings(max_examples=50)
@given(data=st.data(), available=BUDGETS)
def test_the_best_that_fits(
    chances: st.SearchStrategy[float], data: st.DataObject, available: dict[str, int]
) -> None:
    catalog = data.draw(catalogs(chances))
    selection = CoverageComposer().compose(catalog, available)
    best = max(brute_force(shelf) for shelf in shelves(catalog, available))
    assert selection.value == pytest.approx(best)
    assert selection.bound is not None and selection.bound >= selection.value - 1e-9
    chosen = [c for c in catalog.components if c.key in selection.chosen]
    models = [c for c in chosen if c.kind == "model"]
    assert len(models) == min(1, sum(c.kind == "model" for c in catalog.components))
    assert all(c.works_with is None or not models or models[0].name in c.works_with for c in chosen)
    assert selection.cost == sum((c.cost for c in chosen), Cost())
    if any(c.kind != "model" for c in chosen):
        assert all(selection.cost[name] <= room for name, room in available.items())
    assert selection.reasons.keys() == {c.key for c in catalog.components}


@settings(max_examples=50)
@given(catalog=catalogs(NOISY), available=BUDGETS, worth=st.floats(0, 3))
def test_with_a_rent_the_solvers_are_exact_or_below_their_bound(
    catalog: Catalog, available: dict[str, int], worth: float
) -> None:
    for shelf in shelves(catalog, available, rents(catalog, available, worth)):
        best = brute_force(shelf)
        places, bound = by_bounds(shelf)
        assert shelf.net(places) == pytest.approx(best)
        assert bound >= best - 1e-9
        assert by_bounds(shelf, work=0)[1] >= best - 1e-9
        assert shelf.net(by_greed(shelf)) <= best + 1e-9


@settings(max_examples=50)
@given(catalog=catalogs(CERTAIN), available=BUDGETS, worth=st.floats(0, 3))
def test_the_table_of_skill_sets_is_exact_with_a_rent_too(
    catalog: Catalog, available: dict[str, int], worth: float
) -> None:
    for shelf in shelves(catalog, available, rents(catalog, available, worth)):
        assert shelf.net(by_masks(shelf)) == pytest.approx(brute_force(shelf))


def test_where_greed_is_led_astray_the_search_is_not() -> None:
    # the decoy is worth most for its size and keeps out the last of the three that would fit together
    prices, chances = (6, 5, 5, 5), (0.6, 0.49, 0.49, 0.49)
    parts = tuple(
        Component(f"c{n}", "tool", Cost(usd=price), 0.0, covers=tuple(chance * (n == s) for s in range(4)))
        for n, (price, chance) in enumerate(zip(prices, chances, strict=True))
    )
    (shelf,) = shelves(Catalog(parts, tuple(Skill(f"s{place}") for place in range(4))), {"usd": 15})
    assert shelf.value(by_greed(shelf, partial=True)) == pytest.approx(1.09)
    places, bound = by_bounds(shelf)
    assert shelf.value(places) == pytest.approx(1.47) == bound
    assert by_bounds(shelf, work=0)[1] == pytest.approx(0.6 + 0.49 + 0.49 * 4 / 5)


TWO = Catalog(
    (
        Component("atlas", "tool", Cost(usd=6), 0.5, covers=(0.9, 0.0)),
        Component("ticker", "tool", Cost(usd=4), 0.5, covers=(0.0, 0.8)),
        Component("gossip", "tool", Cost(usd=1), 0.5, covers=(0.0, 0.001)),
        Component("old", "agent", Cost(usd=3), 0.5, covers=(0.9, 0.9), works_with=frozenset({"small"})),
        Component("large", "model", Cost(usd=2), 1.0),
        Component("small", "model", Cost(usd=1), 0.25),
    ),
    (Skill("maps"), Skill("stocks")),
)


def test_every_component_has_its_reason_and_more_money_its_use() -> None:
    selection = CoverageComposer().compose(TWO, {"usd": 9})
    assert selection.chosen == {"model:large", "tool:atlas", "tool:gossip"}
    assert selection.reasons == {
        "tool:atlas": "covers 'maps' 0.90 for $0.000000006 and 0 tokens",
        "tool:ticker": "would add 0.80 for $0.000000004 and 0 tokens, which no longer fits",
        "tool:gossip": "covers 'stocks' 0.00 for $0.000000001 and 0 tokens",
        "agent:old": "does not work with the model large",
        "model:large": "the best choice together with its tools: quality 1.00",
        "model:small": "another model with its tools is worth more: quality 0.25",
    }
    assert selection.more == "$0.000000004 more would add ticker (+0.80)"


def test_what_is_certain_is_not_bought_beyond_the_budget() -> None:
    parts = tuple(
        Component(f"c{n}", "tool", Cost(usd=6), 0.0, covers=(float(n == 0), float(n == 1))) for n in range(2)
    )
    catalog = Catalog(parts, (Skill("minor"), Skill("major", 2)))
    assert CoverageComposer().compose(catalog, {"usd": 11}).chosen == {"tool:c1"}
    assert CoverageComposer().compose(catalog, {"usd": 12}).value == 3


def test_a_model_is_chosen_for_what_works_with_it() -> None:
    dearer = replace(TWO, components=(*TWO.components[:-1], replace(TWO.components[-1], value=0.9)))
    assert CoverageComposer().compose(dearer, {"usd": 4}).chosen == {"agent:old", "model:small"}


def test_money_that_is_worth_something_is_not_spent_on_trifles() -> None:
    assert CoverageComposer(worth=0.1).compose(TWO, {"usd": 9}).chosen == {"model:large", "tool:atlas"}
    assert CoverageComposer(worth=5).compose(TWO, {"usd": 9}).chosen == {"model:small"}


def test_without_a_task_it_is_the_knapsack() -> None:
    bare = Catalog(tuple(replace(component, covers=()) for component in TWO.components))
    assert CoverageComposer().compose(bare, {"usd": 7}) == KnapsackComposer().compose(bare, {"usd": 7})


def test_a_large_catalog_of_certain_coverage_is_pruned_to_few() -> None:
    many = Catalog(
        tuple(
            Component(f"c{n}", "tool", Cost(usd=n % 97 + 1), 0, covers=tuple(float(n >> s & 1) for s in range(6)))
            for n in range(3_000)
        ),
        tuple(Skill(f"s{place}") for place in range(6)),
    )
    shelf = shelves(many, {"usd": 2})[0]
    singles = [(place,) for place in range(len(shelf.offers))]
    pairs = [pair for pair in combinations(range(len(shelf.offers)), 2) if shelf.price(pair) <= (2,)]
    assert CoverageComposer().compose(many, {"usd": 2}).value == max(map(shelf.value, (*singles, *pairs)))


@pytest.mark.anyio
async def test_a_run_is_equipped_by_skills() -> None:
    backends = [
        ScriptedBackend("an answer", card=card(name, quality=quality))
        for name, quality in (("poor", 0.5), ("good", 0.9))
    ]
    agent = Agent(backends, tools=[find_order, find_customer], composer=CoverageComposer())
    answer = await agent.run("Where is the order of Ada?", budget=Budget(usd="0.01"))
    assert {receipt.what for receipt in answer.receipts if receipt.what.startswith("model")} == {"model:good"}
