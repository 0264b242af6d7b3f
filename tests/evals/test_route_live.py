"""The fake remote at the order desk, the recorded turns that a router is fitted on, and the bench's arithmetic."""

from collections.abc import Iterator
from zlib import crc32

import numpy as np
import pytest

from agentkit import Budget
from agentkit.evals.benches import route_live
from agentkit.evals.benches.route_live import Fitted
from agentkit.evals.suites.order_desk.agent import desk_agent, draw_questions, score
from agentkit.evals.suites.order_desk.database import Desk
from agentkit.evals.suites.order_desk.remote import desk_remote
from agentkit.evals.suites.order_desk.turns import record_turns
from agentkit.routers import RuleRouter
from agentkit.routers.estimators.fitting import Material
from agentkit.routers.estimators.verified import fit_verified
from agentkit.types import Completion
from tests.scenario import card

pytestmark = pytest.mark.anyio
WRONG = [number % 4 == 0 for number in range(97)]


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    desk = Desk.create(1, "test", size=30)
    yield desk
    desk.close()


def errs(text: str) -> bool:
    return WRONG[crc32(text.encode()) % len(WRONG)]


async def test_the_remote_errs_on_the_recorded_items_and_on_no_others(desk: Desk) -> None:
    questions = draw_questions(desk, "test", 24, 2)
    agent = desk_agent(desk, [desk_remote(card("remote"), questions, WRONG)])
    right = [(await score(agent, question, Budget.unlimited())).correct for question in questions]
    assert right == [not errs(question.text) for question in questions]
    assert 0 < sum(right) < len(right)


async def test_turns_are_recorded_with_whole_replies_and_judged(desk: Desk) -> None:
    questions = draw_questions(desk, "test", 16, 3)
    models = [desk_remote(card(name, price), questions, wrong) for name, price, wrong in (
        ("sound", "5", [False]), ("erring", "1", WRONG)
    )]  # fmt: skip
    table = await record_turns(desk, models, questions)
    assert len(table.items) == sum(len(question.steps) + 1 for question in questions)
    assert (table.score[:, 0] == 1).all()
    last = [row for row, one in enumerate(table.replies) if not one["erring"].message.tool_calls]
    assert [bool(table.score[row, 1]) for row in last] == [not errs(question.text) for question in questions]
    assert (np.delete(table.score[:, 1], last) == 1).all()
    assert table.cost[:, 0] == pytest.approx(5 * table.cost[:, 1], rel=0.2)  # replies differ a little in length
    fitted = fit_verified(Material.of(table))
    assert fitted.estimator.verifier.calls  # so that a router may judge calls of tools
    assert isinstance(table.rows([0]).replies[0]["sound"], Completion)


async def test_lines_share_one_budget_and_are_paired(desk: Desk) -> None:
    questions = draw_questions(desk, "test", 8, 4)
    models = [desk_remote(card("pico", "1"), questions, WRONG), desk_remote(card("nano", "5"), questions, [False])]
    done = {}
    for name, model in (("always_best", "nano"), ("pico", "pico"), ("cascade", "pico")):
        done[name] = await route_live._ask(desk, models, RuleRouter([model]), questions, 0.01)
    result = route_live._result(done, Fitted({}, {}, "nano", 0.01, {}), WRONG)
    share = sum(errs(question.text) for question in questions) / len(questions)
    assert result.metrics["pico_accuracy_over_always_best"] == -share
    assert result.metrics["cascade_saved_per_question_usd"] > 0
    assert result.metrics["cascade_pico_calls"] > 0 == result.metrics["cascade_nano_calls"]
    broke = await route_live._ask(desk, models, RuleRouter(["nano"]), questions, 0.0)
    assert {one.answer.status for one in broke} == {"infeasible"}
