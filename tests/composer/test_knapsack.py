"""The knapsack against brute force, and what its answer says about more money."""

import re
from collections.abc import Sequence
from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.catalog import Catalog, Component
from agentkit.composer import KnapsackComposer, knapsack
from agentkit.composer.knapsack import LARGEST
from agentkit.costs import NANO, Cost

# values are multiples of 1/64, so that sums are exact whatever their order
VALUES = st.integers(0, 64).map(lambda n: n / 64)
COSTS = st.builds(lambda usd, tokens: Cost(usd=usd, tokens=tokens), st.integers(0, 30), st.integers(0, 30))


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    models = draw(st.integers(1, 3))
    tools = draw(st.integers(0, 6))
    kinds = ["model"] * models + ["tool"] * tools
    return Catalog(
        tuple(
            Component(f"{kind}{place}", kind, draw(COSTS), draw(VALUES))  # type: ignore[arg-type]  # one of the two
            for place, kind in enumerate(kinds)
        )
    )


BUDGETS = st.one_of(
    st.fixed_dictionaries({"usd": st.integers(0, 120)}),
    st.fixed_dictionaries({"tokens": st.integers(0, 120)}),
    st.fixed_dictionaries({"usd": st.integers(0, 120), "tokens": st.integers(0, 120)}),
)


def brute_force(catalog: Catalog, available: dict[str, int]) -> float | None:
    """The best value of all subsets with a model that fit, None if none does."""
    components = catalog.components
    subsets = chain.from_iterable(combinations(components, size) for size in range(1, len(components) + 1))
    values = [
        sum(c.value for c in subset)
        for subset in subsets
        if any(c.kind == "model" for c in subset)
        and all(sum(c.cost[name] for c in subset) <= room for name, room in available.items())
    ]
    return max(values, default=None)


@given(catalog=catalogs(), available=BUDGETS)
def test_the_best_that_fits(catalog: Catalog, available: dict[str, int]) -> None:
    selection = KnapsackComposer().compose(catalog, available)
    chosen = [c for c in catalog.components if c.key in selection.chosen]
    assert selection.value == sum(c.value for c in chosen)
    assert selection.cost == sum((c.cost for c in chosen), Cost())
    assert any(c.kind == "model" for c in chosen)
    assert selection.reasons.keys() == {c.key for c in catalog.components}
    best = brute_force(catalog, available)
    if best is None:
        # a model all the same, the least costly: whether a call fits is for the ledger to say
        limited = sorted(available, reverse=True)  # dollars before tokens
        least = min(tuple(c.cost[name] for name in limited) for c in catalog.components if c.kind == "model")
        assert tuple(selection.cost[name] for name in limited) == least
    else:
        assert selection.value == best
        assert all(selection.cost[name] <= room for name, room in available.items())


@given(catalog=catalogs(), available=BUDGETS, extra=st.integers(0, 60))
def test_more_budget_never_buys_less(catalog: Catalog, available: dict[str, int], extra: int) -> None:
    more = {name: room + extra for name, room in available.items()}
    if brute_force(catalog, available) is not None:
        composer = KnapsackComposer()
        assert composer.compose(catalog, more).value >= composer.compose(catalog, available).value


@given(catalog=catalogs(), usd=st.integers(0, 120))
def test_more_is_the_least_that_buys_more(catalog: Catalog, usd: int) -> None:
    composer = KnapsackComposer()
    selection = composer.compose(catalog, {"usd": usd})
    if not selection.more:
        assert composer.compose(catalog, {"usd": 10_000}).value == selection.value
    elif brute_force(catalog, {"usd": usd}) is not None:
        match = re.match(r"\$([0-9.]+) more would add (.+?)(?: instead of (.+))?$", selection.more)
        assert match is not None, selection.more
        lacking = round(float(match[1]) * NANO)
        richer = composer.compose(catalog, {"usd": usd + lacking})
        assert richer.value > selection.value
        assert composer.compose(catalog, {"usd": usd + lacking - 1}).value == selection.value


def test_a_budget_without_dollars_or_tokens_takes_everything() -> None:
    catalog = Catalog((Component("m", "model", Cost(usd=5), 0.5), Component("t", "tool", Cost(tokens=9), 0.1)))
    assert KnapsackComposer().compose(catalog, {"requests": 1}).chosen == {"model:m", "tool:t"}


SIX = Catalog(
    (
        Component("pico", "model", Cost(usd=2), 0.5),
        Component("nano", "model", Cost(usd=6), 0.75),
        Component("search", "tool", Cost(usd=3), 0.5),
        Component("orders", "tool", Cost(usd=4), 0.75),
        Component("calculator", "tool", Cost(usd=1), 0.125),
        Component("archive", "tool", Cost(usd=20), 0.25),
    )
)


def test_six_entries_compete_for_four_budgets() -> None:
    composer = KnapsackComposer()
    chosen = {usd: sorted(composer.compose(SIX, {"usd": usd}).chosen) for usd in (3, 6, 9, 16, 36)}
    assert chosen == {
        3: ["model:pico", "tool:calculator"],
        6: ["model:pico", "tool:orders"],
        9: ["model:pico", "tool:orders", "tool:search"],
        16: ["model:nano", "model:pico", "tool:calculator", "tool:orders", "tool:search"],
        36: sorted(component.key for component in SIX.components),
    }


def test_the_reasons_and_what_more_would_buy() -> None:
    selection = KnapsackComposer().compose(SIX, {"usd": 6})
    assert selection.reasons["tool:orders"] == "adds 0.75 for $0.000000004 and 0 tokens"
    assert selection.reasons["tool:search"].endswith("which no longer fits")
    assert selection.more == "$0.000000001 more would add calculator"


@pytest.mark.parametrize(("usd", "text"), [(NANO, "$1 "), (0, "$0 "), (NANO // 10, "$0.1 ")])
def test_dollars_are_written_exactly(usd: int, text: str) -> None:
    cheap = Component("cheap", "model", Cost(usd=usd), 0.5)
    dear = Component("dear", "tool", Cost(usd=5 * NANO), 0.5)
    selection = KnapsackComposer().compose(Catalog((cheap, dear)), {"usd": NANO})
    assert text in selection.reasons["model:cheap"]


def test_a_model_of_unknown_price_is_left_out_where_dollars_are_limited() -> None:
    unknown = Component("unknown", "model", Cost(), 0.9, priced=False)
    catalog = Catalog((unknown, Component("known", "model", Cost(usd=5), 0.5)))
    selection = KnapsackComposer().compose(catalog, {"usd": 100})
    assert selection.chosen == {"model:known"}
    assert selection.reasons["model:unknown"] == "its price is unknown and dollars are limited"
    assert KnapsackComposer().compose(catalog, {"tokens": 100}).chosen == {"model:known", "model:unknown"}
    assert KnapsackComposer().compose(Catalog((unknown,)), {"usd": 100}).chosen == {"model:unknown"}


def test_a_large_catalog_is_cut_to_what_can_be_solved_and_keeps_its_models(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    solve, called = knapsack._undominated, False

    def watched(components: Sequence[Component], limited: tuple[str, ...]) -> list[knapsack._State]:
        nonlocal called
        called = True
        assert len(components) == LARGEST
        for first in range(1, LARGEST + 1):  # fails at the tenth, if all the subsets are kept
            assert len(solve(components[:first], limited)) <= 8 * first**2
        return solve(components, limited)

    monkeypatch.setattr(knapsack, "_undominated", watched)
    tools = [
        Component(f"t{n}", "tool", Cost(usd=7 * n % 41 + 1, tokens=11 * n % 37 + 1), (13 * n % 64) / 64)
        for n in range(1, 3 * LARGEST)
    ]
    catalog = Catalog((*tools, Component("m", "model", Cost(usd=3, tokens=3), 0.0)))
    selection = KnapsackComposer().compose(catalog, {"usd": 90, "tokens": 90})
    assert "model:m" in selection.chosen and len(selection.chosen) > 4
    assert called
