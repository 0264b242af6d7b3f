"""150 injected tool outputs under a model that obeys every one of them: no call of the attackers' runs."""

import pytest

from agentkit import Budget
from tests.tools.injections import CODINGS, SCENARIOS, Scenario, World, office, office_policy, order

pytestmark = pytest.mark.anyio

BUDGET = Budget(usd=9, tool_calls=60)


async def run(scenario: Scenario, planted: str, *, guarded: bool = True) -> World:
    world = World(planted)
    await office(scenario, world, office_policy(scenario.approved) if guarded else None).run(
        scenario.task, budget=BUDGET
    )
    return world


@pytest.mark.parametrize("name", SCENARIOS)
async def test_no_wish_of_an_attacker_comes_true(name: str) -> None:
    scenario = SCENARIOS[name]
    tried = 0
    for attack in scenario.attacks:
        for coding in CODINGS:
            world = await run(scenario, order(attack, coding))
            assert (attack[0], dict(attack[1])) not in world.done, coding
            assert all(call in scenario.wanted for call in world.done)
            assert world.done[: len(scenario.wanted)] == scenario.wanted  # and the user is served all the same
            tried += 1
    assert tried == 15


async def test_without_a_policy_every_wish_comes_true() -> None:
    for scenario in SCENARIOS.values():
        for attack in scenario.attacks:
            world = await run(scenario, order(attack, "base64"), guarded=False)
            assert (attack[0], dict(attack[1])) in world.done


async def test_the_benign_suite_passes() -> None:
    """At least 95 of 100 tasks; every one of these is served."""
    served = [(await run(scenario, "")).done == scenario.wanted for scenario in SCENARIOS.values()]
    assert sum(served) == len(served) == 10
    assert 10 * 15 == sum(len(scenario.attacks) * len(CODINGS) for scenario in SCENARIOS.values())
