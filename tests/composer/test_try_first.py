"""Trying before buying: what verdicts add up to, which trial pays, and who pays for it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.budgets import Ledger, Scope
from agentkit.catalog import Catalog, Component, Skill
from agentkit.composer import AgentSandbox, CoverageComposer, TryFirst, Verdict
from agentkit.composer.pandora import next_trial
from agentkit.composer.shelf import Shelf, shelves
from agentkit.composer.verdicts import LEAST, MOST, Verdicts, updated
from agentkit.costs import Cost
from agentkit.errors import BudgetExceeded, ToolFailed

pytestmark = pytest.mark.anyio

HELPED, USELESS, BROKEN = Verdict.HELPED, Verdict.USELESS, Verdict.BROKEN


def part(name: str, usd: int, *covers: float) -> Component:
    return Component(name, "tool", Cost(usd=usd), 0.0, covers=covers)


class Fixed:
    """A sandbox that says of a component always the same and keeps count."""

    def __init__(self, price: int, helpful: Sequence[str] = (), broken: Sequence[str] = ()) -> None:
        self.price = Cost(usd=price)
        self.helpful, self.broken, self.asked = helpful, broken, list[str]()

    async def trial(self, component: Component, skill: Skill, number: int, scope: Scope) -> Verdict:
        hold = await scope.reserve(self.price, what=f"trial:{component.name}", dispatch=True)
        await hold.settle(self.price)
        self.asked.append(component.name)
        return BROKEN if component.name in self.broken else HELPED if component.name in self.helpful else USELESS


# ---------------------------------------------------------------- verdicts
@given(prior=st.floats(0.01, 0.99), right=st.floats(0.55, 0.99), said=st.lists(st.booleans(), max_size=6))
def test_the_posterior_is_that_of_bayes(prior: float, right: float, said: list[bool]) -> None:
    yes = no = 1.0
    for verdict in said:
        yes, no = yes * (right if verdict else 1 - right), no * (1 - right if verdict else right)
    expected = prior * yes / (prior * yes + (1 - prior) * no)
    assert updated(prior, right / (1 - right), 2 * sum(said) - len(said)) == pytest.approx(expected)


def test_a_judge_who_agrees_with_itself_is_believed_more() -> None:
    component, other = part("a", 1, 0.5), part("b", 1, 0.5)
    steady, fickle = (Verdicts(Catalog((component, other), (Skill("s"),))) for _ in range(2))
    assert steady.reliability == pytest.approx(0.8)
    for one in (component, other):
        for verdict in (HELPED,) * 6:
            steady.add(one, 0, verdict)
        for verdict in (HELPED, USELESS) * 3:
            fickle.add(one, 0, verdict)
    assert LEAST <= fickle.reliability < 0.8 < steady.reliability <= MOST
    assert steady.catalog().components[0].covers[0] > 0.99
    assert fickle.catalog().components[0].covers[0] == 0.5
    assert (steady.count(component, 0), steady.total) == (6, 12)


def test_what_is_broken_covers_nothing() -> None:
    component = part("a", 1, 0.5, 0.25)
    verdicts = Verdicts(Catalog((component,), (Skill("s"), Skill("t"))))
    verdicts.add(component, 0, HELPED)
    verdicts.add(component, 1, BROKEN)
    assert verdicts.catalog().components[0].covers == (0, 0)


# ---------------------------------------------------------------- the next trial
def shelf_of(*components: Component, room: int, skills: int = 1) -> Shelf:
    catalog = Catalog(components, tuple(Skill(f"s{place}") for place in range(skills)))
    return shelves(catalog, {"usd": room})[0]


def test_the_excess_of_a_trial_is_what_bayes_expects_of_it() -> None:
    # either costs all but one: a is bought unless the verdict on b beats it
    shelf = shelf_of(part("a", 9, 0.5), part("b", 9, 0.4), room=10)
    trial = next_trial(shelf, (1,), 0.9)
    assert trial is not None
    # one verdict on b: seen helping it is at 0.36/(0.36 + 0.06) = 6/7 and replaces a, with probability 0.42
    on_b = 0.42 * (6 / 7 - 0.5)
    # one verdict on a: seen useless it is at 0.5·0.1/0.5 = 0.1 and gives way to b, with probability 0.5
    on_a = 0.5 * (0.4 - 0.1)
    assert trial[:3] in ((0, 0, 1), (1, 0, 1))
    assert trial.excess == pytest.approx(on_a) == pytest.approx(on_b)


@pytest.mark.parametrize(
    ("components", "room", "price", "why"),
    [
        ((part("a", 5, 1.0), part("b", 5, 0.0)), 10, 1, "nothing is uncertain"),
        ((part("a", 5, 0.5),), 10, 1, "there is no other choice"),
        ((part("a", 50, 0.5),), 10, 1, "nothing can be bought"),
        ((part("a", 5, 0.5), part("b", 5, 0.4)), 5, 1, "a trial would cost the purchase"),
        ((part("a", 5, 0.5), part("b", 5, 0.4)), 10, 20, "a trial costs more than there is"),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)
def test_no_trial_pays(components: tuple[Component, ...], room: int, price: int, why: str) -> None:
    assert next_trial(shelf_of(*components, room=room), (price,), 0.9) is None, why


@pytest.mark.parametrize("price", [1, 4])
def test_one_purchase_less_pays_for_trials_of_the_others(price: int) -> None:
    # three of three at even chances, or two that are known to help: no single trial is worth a purchase
    components = [part(f"c{n}", 20, *(0.5 if n % 3 == s else 0.0 for s in range(3))) for n in range(12)]
    trial = next_trial(shelf_of(*components, room=60, skills=3), (price,), 0.95)
    assert trial is not None


# ---------------------------------------------------------------- the solver
async def test_trials_find_what_helps_and_the_ledger_has_them_all() -> None:
    catalog = Catalog(
        (part("likely", 30, 0.4), part("helpful", 30, 0.3), part("broken", 30, 0.35)), (Skill("maps"),)
    )
    sandbox = Fixed(1, helpful=["helpful"], broken=["broken"])
    with Ledger.open() as ledger:
        scope = ledger.scope("compose", limits=Cost(usd=50))
        selection = await TryFirst().solve(catalog, sandbox, scope)
        spent = scope.view().spent["usd"]
    assert selection.chosen == {"tool:helpful"}
    assert sandbox.asked.count("broken") <= 1
    assert spent == len(sandbox.asked) > 0
    assert spent + selection.cost["usd"] <= 50
    assert selection.reasons["tool:broken"] == "adds nothing to what is chosen"


async def test_with_a_worth_of_its_own_money_is_not_spent_on_trials() -> None:
    catalog = Catalog((part("a", 30, 0.4), part("b", 30, 0.3)), (Skill("maps"),))
    asked = []
    for worth in (0.0, 5.0):
        sandbox = Fixed(4, helpful=["b"])
        with Ledger.open() as ledger:
            await TryFirst(worth=worth).solve(catalog, sandbox, ledger.scope("s", limits=Cost(usd=50)))
        asked.append(len(sandbox.asked))
    assert asked[0] > 0 == asked[1]


async def test_without_a_budget_the_number_of_trials_is_limited() -> None:
    catalog = Catalog(tuple(part(f"c{n}", 1, 0.3) for n in range(9)), (Skill("maps"),))
    sandbox = Fixed(0, helpful=["c8"])
    with Ledger.open() as ledger:
        await TryFirst(trials=2).solve(catalog, sandbox, ledger.scope("s", limits=Cost(usd=1)))
    assert 0 < len(sandbox.asked) <= 2 + 2  # the last trial may ask for three verdicts


async def test_a_budget_that_the_price_does_not_name_ends_the_trials() -> None:
    class Starved(Fixed):
        async def trial(self, component: Component, skill: Skill, number: int, scope: Scope) -> Verdict:
            self.asked.append(component.name)
            raise BudgetExceeded(scope.name, "requests", 1, 0)

    catalog = Catalog((part("a", 3, 0.4), part("b", 3, 0.3)), (Skill("maps"),))
    sandbox = Starved(1)
    with Ledger.open() as ledger:
        selection = await TryFirst().solve(catalog, sandbox, ledger.scope("s", limits=Cost(usd=5)))
    assert len(sandbox.asked) == 1
    assert selection == replace(CoverageComposer(worth=0.05).compose(catalog, {"usd": 5}), bound=selection.bound)


# ---------------------------------------------------------------- attempt and judge
async def test_the_judge_sees_what_was_done_and_not_by_whom() -> None:
    seen: list[tuple[str, str]] = []

    async def attempt(component: Component, query: str, scope: Scope) -> str:
        if component.name == "broken":
            raise ToolFailed("broken", "it crashed")
        hold = await scope.reserve({"usd": 3}, dispatch=True)
        await hold.settle({"usd": 2})
        return f"did {query}"

    async def judge(query: str, done: str, scope: Scope) -> Verdict:
        seen.append((query, done))
        return HELPED

    sandbox = AgentSandbox(attempt, judge, Cost(usd=3))
    skill = Skill("maps", queries=("q0", "q1"))
    with Ledger.open() as ledger:
        scope = ledger.scope("s", limits=Cost(usd=10))
        assert await sandbox.trial(part("fine", 1, 0.5), skill, 3, scope) is HELPED
        assert await sandbox.trial(part("fine", 1, 0.5), Skill("plain"), 0, scope) is HELPED
        assert await sandbox.trial(part("broken", 1, 0.5), skill, 0, scope) is BROKEN
        assert scope.view().spent["usd"] == 4
        greedy = AgentSandbox(attempt, judge, Cost(usd=1))
        with pytest.raises(BudgetExceeded):
            await greedy.trial(part("fine", 1, 0.5), skill, 0, scope)
    assert seen == [("q1", "did q1"), ("plain", "did plain")]
