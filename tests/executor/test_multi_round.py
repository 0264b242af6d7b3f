"""Multi-round routing and panels live: every call on a receipt, within the budget, and always an answer."""

from collections.abc import Sequence

import pytest

from agentkit.backends.fake import Reply, ScriptedBackend, calls
from agentkit.backends.retry import RetryPolicy
from agentkit.budgets import Ledger
from agentkit.costs import Budget
from agentkit.errors import BackendUnavailable
from agentkit.executor.resilience import Resilience
from agentkit.routers.fusion import FusionRouter
from agentkit.routers.multi_round import MultiRoundRouter
from agentkit.routers.votes import VoteRouter
from agentkit.trace import Routed
from agentkit.types import Completion
from tests.scenario import agent, card, check_answer, check_books

pytestmark = pytest.mark.anyio

ONCE = Resilience(retry=RetryPolicy.never())
POOL = {"small": "facts", "large": "everything"}
ASK_SMALL = "<think>I lack the year.</think><search>small: When did the bridge open?</search>"
ASK_LARGE = "<think>Make sure.</think><search>large: Did it open in 1932?</search>"
DONE = "<think>Both agree.</think><answer>1932</answer>"


def talk(
    turns: Sequence[Reply], small: Reply = "In 1932.", large: Reply = "Yes, in 1932."
) -> tuple[ScriptedBackend, ...]:
    models = {"lead": list(turns), "small": small, "large": large}
    prices = {"lead": "2", "small": "1", "large": "10"}
    return tuple(ScriptedBackend(models[name], card=card(name, prices[name])) for name in models)


async def test_rounds_of_questions_and_an_answer() -> None:
    lead, small, large = talk([ASK_SMALL, ASK_LARGE, DONE])
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        router = MultiRoundRouter("lead", POOL)
        made = agent([lead, small, large], tools=(), router=router, instructions="Answer with a year.")
        answer = await made.run("When did it open?", budget=Budget(usd=1), scope=scope)
        await check_books(ledger, scope, lead, small, large, exact=True)
    check_answer(answer)
    assert (answer.status, answer.text) == ("complete", "1932")
    assert [receipt.what for receipt in answer.receipts if receipt.charged] == [
        "model:lead", "model:small", "model:lead", "model:large", "model:lead"
    ]  # fmt: skip
    assert small.requests[0].messages[0].text == "When did the bridge open?"  # and nothing of the conversation
    assert lead.requests[0].messages[0].text == "Answer with a year."
    assert "- small: facts ($1 in, $4 out" in lead.requests[0].messages[-1].text
    assert lead.requests[2].messages[-1].text == "<information>Yes, in 1932.</information>"
    assert lead.requests[0].stop == ("</search>", "</answer>") and small.requests[0].stop == ()
    reasons = [e.event.reason for e in answer.trace if isinstance(e.event, Routed)]
    assert reasons[1] == "round 1 of 4: When did the bridge open?" and reasons[-1] == "answered after 2 rounds"


async def test_fallbacks_leave_sub_queries_to_the_router() -> None:
    lead, small, large = talk([ASK_SMALL, DONE], small=BackendUnavailable("small", "down"))
    router = MultiRoundRouter("lead", POOL)
    made = agent([lead, small, large], tools=(), router=router, resilience=ONCE, fallbacks={"any": ["large"]})
    assert (await made.run("When?", budget=Budget(usd=1))).text == "1932"
    assert not large.requests and "small gave no answer" in lead.requests[1].messages[-1].text


async def test_the_rounds_are_limited() -> None:
    lead, small, large = talk([ASK_SMALL, ASK_SMALL, ASK_SMALL, ASK_SMALL])
    router = MultiRoundRouter("lead", POOL, rounds=1)
    answer = await agent([lead, small, large], tools=(), router=router).run("When?", budget=Budget(usd=1))
    asked = [request.messages[-1].text for request in small.requests]
    assert asked == ["When did the bridge open?", "When?"]  # in the end it is asked as usual
    assert answer.text == "In 1932."
    assert "You can ask nobody any more" in lead.requests[1].messages[-1].text


@pytest.mark.parametrize(
    ("turns", "text"),
    [
        (["It is 1932.", DONE], "1932"),  # it is told what is wrong, and does better
        (["<search>small: x?</search>", ASK_SMALL, DONE], "1932"),
        (["It is 1932.", "It is 1932!", "It is 1932."], "It is 1932."),  # it never will
        ([BackendUnavailable("lead", "down")], "In 1932."),  # the pool is asked as usual
    ],
)
async def test_there_is_always_an_answer(turns: list[Reply], text: str) -> None:
    made = agent(talk(turns), tools=(), router=MultiRoundRouter("lead", POOL), resilience=ONCE)
    answer = await made.run("When?", budget=Budget(usd=1))
    check_answer(answer)
    assert (answer.status, answer.text) == ("complete", text)


async def test_a_model_that_fails_is_told_to_the_routing_model() -> None:
    lead, small, large = talk([ASK_SMALL, DONE], small=BackendUnavailable("small", "down"))
    made = agent([lead, small, large], tools=(), router=MultiRoundRouter("lead", POOL), resilience=ONCE)
    assert (await made.run("When?", budget=Budget(usd=1))).text == "1932"
    assert "small gave no answer" in lead.requests[1].messages[-1].text


@pytest.mark.parametrize("tokens", [40, 120, 200, 300, 500, 900, 1_500, 4_000])
async def test_a_small_budget_is_kept_and_still_answers(tokens: int) -> None:
    lead, small, large = talk([ASK_SMALL, ASK_LARGE, *[DONE] * 8], large="Yes, in 1932. " * 40)
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        made = agent([lead, small, large], tools=(), router=MultiRoundRouter("lead", POOL))
        answer = await made.run("When?", budget=Budget(tokens=tokens), scope=scope)
        await check_books(ledger, scope, lead, small, large)
    check_answer(answer)
    assert answer.spent["tokens"] <= tokens


async def test_each_round_may_hold_its_share() -> None:
    lead, small, large = talk([ASK_LARGE, DONE], large="word " * 600)
    made = agent([lead, small, large], tools=(), router=MultiRoundRouter("lead", POOL))
    answer = await made.run("When?", budget=Budget(tokens=4_000))
    assert answer.text == "1932"
    assert large.requests[0].max_output_tokens < 4_000 / 8 + 1


async def test_turns_that_may_call_tools_go_to_the_models_as_usual() -> None:
    lead, small, large = talk([calls(("find_order", {"number": 7})), "It has shipped."])
    made = agent([lead, small, large], router=MultiRoundRouter("lead", POOL))
    assert (await made.run("Where is order 7?")).text == "It has shipped."
    assert not small.requests


# ---------------------------------------------------------------- panels
def panel(**says: Reply | list[Reply]) -> tuple[ScriptedBackend, ...]:
    return tuple(ScriptedBackend(said, card=card(name, str(n))) for n, (name, said) in enumerate(says.items(), 1))


async def test_a_vote_within_one_model_ends_when_it_is_decided() -> None:
    (small,) = panel(small=["4", "The answer is 4.0.", "5"])
    made = agent([small], tools=(), router=VoteRouter(["small"] * 3), seed=7, temperature=1.0)
    answer = await made.run("2 + 2?", budget=Budget(usd=1))
    assert answer.text == "4" and len(small.requests) == 2
    assert [request.seed for request in small.requests] == [7, 8]  # or it would say the same again
    assert answer.spent["usd"] == small.billed["usd"]


async def test_a_vote_across_models_outvotes_one() -> None:
    answer = await agent(panel(a="5", b="4", c="4"), tools=(), router=VoteRouter(["a", "b", "c"])).run("2 + 2?")
    assert answer.text == "4"


async def test_votes_count_calls_of_tools_by_name_and_arguments() -> None:
    def order(number: int) -> Completion:
        return calls(("find_order", {"number": number}))

    models = panel(a=[order(8), "Done."], b=[order(7), "Done."], c=[order(7), "Done."])
    answer = await agent(models, router=VoteRouter(["a", "b", "c"])).run("Where is order 7?")
    assert answer.messages[-2].text == "order 7 shipped"


@pytest.mark.parametrize(
    ("fused", "text"),
    [("It is 4, not 5.", "It is 4, not 5."), (BackendUnavailable("judge", "down"), "4")],
)
async def test_a_fuser_merges_what_differs_or_the_vote_decides(fused: Reply, text: str) -> None:
    models = panel(a="5", b="4", c="4", judge=fused)
    router = FusionRouter(["a", "b", "c"], "judge")
    answer = await agent(models, tools=(), router=router, resilience=ONCE).run("2 + 2?", budget=Budget(usd=1))
    check_answer(answer)
    assert answer.text == text
    asked = models[-1].requests[0].messages
    assert asked[0].text == "2 + 2?" and "Candidate 2:\n4" in asked[-1].text
    assert answer.spent["usd"] >= sum(model.billed["usd"] for model in models)  # a call that broke: in full


async def test_a_fuser_that_is_no_model_is_named_and_the_vote_decides() -> None:
    models = panel(a="4", b="5")
    answer = await agent(models, tools=(), router=FusionRouter(["a", "b"], "jugde")).run("2 + 2?")
    last = [stamped.event for stamped in answer.trace if isinstance(stamped.event, Routed)][-1]
    assert answer.text == "4" and last.reason.startswith("the vote decides: 'jugde', which merges, is no model")


async def test_there_is_nothing_to_merge_where_all_agree() -> None:
    models = panel(a="4", b="The answer is 4", judge="never asked")
    assert (await agent(models, tools=(), router=FusionRouter(["a", "b"], "judge")).run("2 + 2?")).text == "4"
    assert not models[-1].requests
