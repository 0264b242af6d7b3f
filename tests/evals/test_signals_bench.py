"""The signals bench: its AUROC, and votes that know, that cannot be read, and what they cost."""

import random
from dataclasses import replace

import pytest
from sklearn.metrics import roc_auc_score

from agentkit.backends.fake import ScriptedBackend
from agentkit.evals.benches import signals
from agentkit.evals.statistics import auroc, bootstrap_auroc
from agentkit.evals.suites.order_desk.agent import draw_questions
from agentkit.evals.suites.order_desk.database import Desk
from agentkit.evals.suites.order_desk.remote import desk_remote
from agentkit.evals.suites.order_desk.turns import record_turns, turn_requests
from agentkit.types import Request, TokenLogprob
from tests.scenario import card


def test_the_auroc_is_the_published_one_ties_included() -> None:
    draw = random.Random(3)
    marked = [(float(draw.randrange(8)) + right, right) for right in draw.choices([True, False], k=200)]
    assert auroc(marked) == pytest.approx(roc_auc_score([r for _, r in marked], [v for v, _ in marked]))
    low, high = bootstrap_auroc(marked)
    assert low < auroc(marked) < high
    assert auroc([(1.0, True), (2.0, True)]) == 0.5


@pytest.mark.anyio
async def test_votes_are_as_good_as_the_voter_and_are_priced() -> None:
    desk = Desk.create(1, "test", size=30)
    questions = draw_questions(desk, "test", 24, 2)
    wrong = [number % 4 == 0 for number in range(97)]
    models = [desk_remote(card("pico", "1"), questions, wrong), desk_remote(card("nano", "5"), questions, [False])]
    table = await record_turns(desk, models, questions)
    requests = [request for question in questions for request in turn_requests(desk, question)]
    desk.close()
    said = zip(table.texts, (row["nano"].message.text for row in table.replies), strict=True)
    true = {f"Question: {text}\nAI generated answer: {answer}\n" for text, answer in said if answer}

    def judge(request: Request) -> str:
        shown = request.messages[-1].text
        right = "AI generated answer: call " in shown or any(one in shown for one in true)
        return "Correct." if right else "Incorrect."

    knows = ScriptedBackend(judge, card=card("knows", "1"))
    metrics, intervals = await signals._votes(knows, "pico", requests, table)
    errs = signals._right(table, "pico").count(False)
    assert errs > 2 and metrics["knows_votes_on_pico_turns"] == len(knows.requests) / 8 == 5 * errs
    assert (metrics["knows_votes_on_pico_auroc"], metrics["knows_votes_on_pico_readable_ratio"]) == (1.0, 1.0)
    assert (
        intervals["knows_votes_on_pico_auroc"] == (1.0, 1.0)
        and metrics["knows_votes_on_pico_cost_per_turn_ratio"] > 8
    )
    assert {(r.temperature, r.tools, r.logprobs) for r in knows.requests} == {(1.0, (), False)}
    mumbles, _ = await signals._votes(ScriptedBackend("Hm.", card=card("mumbles")), "pico", requests, table)
    assert (mumbles["mumbles_votes_on_pico_auroc"], mumbles["mumbles_votes_on_pico_readable_ratio"]) == (0.5, 0.0)
    rows = [{"pico": replace(row["pico"], logprobs=(TokenLogprob("a", -1, 2),))} for row in table.replies]
    (token,) = signals._without_margins(replace(table, replies=tuple(rows))).replies[0]["pico"].logprobs
    assert token == TokenLogprob("a", -1)
