"""Self-verification: what is voted on, when voting ends, and what votes do to belief, books and traces."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentkit.backends.fake import Reply, ScriptedBackend
from agentkit.backends.retry import RetryPolicy
from agentkit.budgets import Ledger
from agentkit.costs import Budget, Cost
from agentkit.errors import BackendUnavailable, ConfigError
from agentkit.executor.resilience import Resilience
from agentkit.messages import Message, ToolCall, assistant
from agentkit.routers import Call, Decision, Outcome, Query, RuleRouter, Stop
from agentkit.routers.base import Votes
from agentkit.routers.cascade_routing import CascadeRouter
from agentkit.routers.estimators.fitting import Material
from agentkit.routers.estimators.recorded import Stage
from agentkit.routers.estimators.table import OutcomeTable, join
from agentkit.routers.estimators.table_traces import read_traces
from agentkit.routers.estimators.verified import Verified, fit_verified
from agentkit.routers.lessons import RunReader, read_lessons
from agentkit.routers.self_verification import SelfVerifyingRouter, read_vote, verification_prompt
from agentkit.trace import JsonlSink, Routed
from agentkit.types import Completion, ModelCard, Request, ScopeView
from tests.routers.estimators.replies import with_replies
from tests.scenario import agent, card, check_answer, check_books

VIEW = ScopeView("scope", {}, Cost(), Cost(), Cost(), {})
CARDS = card("small", "1"), card("large", "10")
BOUNDS = {one.name: Cost(usd=1) for one in CARDS}
ONCE = Resilience(retry=RetryPolicy.never())
YES, NO = "It adds up. The AI generated answer is correct.", "It does not. The AI generated answer is incorrect."


class ByVotes:
    """Stops with a reply that half of its votes, or nobody, calls right; else goes on to the large model."""

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        if not seen:
            return Call("small", "the small one first")
        votes = seen[-1].votes
        if seen[-1].model == "large" or not votes or 2 * votes.yes >= votes.count:
            return Stop(len(seen) - 1, "enough votes")
        return Call("large", "too few votes")


def said(model: str, text: str, **changed: object) -> Outcome:
    return Outcome(model, Completion(assistant(text), "stop"), Cost(usd=2), seconds=1.0, **changed)  # type: ignore[arg-type]


def after(router: SelfVerifyingRouter, *seen: Outcome) -> Decision:
    return router.next(Query("What is 2 + 2?", BOUNDS), CARDS, seen, VIEW)


def votes(*texts: str, about: int = 0) -> list[Outcome]:
    return [said("small", text, asked=True, about=about) for text in texts]


# ---------------------------------------------------------------- what is asked, and when
@pytest.mark.parametrize(
    ("text", "vote"),
    [
        (YES, True),
        (NO, False),
        ("Yes.", True),
        ("It seems right at first, but 3 is wrong", False),
        ("That is not correct.", False),
        ("no: it is right", True),  # the last word counts
        ("I could not say. Nothing is known yet.", None),
        ("Nothing corrected.", None),
        ("", None),
    ],
)
def test_a_vote_is_read_by_its_last_word(text: str, vote: bool | None) -> None:
    assert read_vote(text) is vote


def test_voting_ends_when_the_rest_cannot_change_what_is_done() -> None:
    router, reply = SelfVerifyingRouter(ByVotes(), "small", votes=4), said("small", "4")
    first = after(router, reply)
    assert isinstance(first, Call) and first.model == "small" and first.ask is not None
    assert (first.ask.about, first.ask.temperature, first.ask.in_conversation) == (0, 1.0, True)
    assert "AI generated answer: 4\n" in first.ask.messages[-1].text
    assert isinstance(after(router, reply, *votes(YES)), Call)
    assert after(router, reply, *votes(YES, YES)) == Stop(0, "enough votes")  # two of four at the worst
    assert isinstance(ask := after(router, reply, *votes(NO, NO)), Call) and ask.ask
    on = after(router, reply, *votes(NO, NO, NO))
    assert on == Call("large", "too few votes")
    answer = after(router, reply, *votes(NO, NO, NO), said("large", "5"))
    assert answer == Stop(4, "enough votes")  # its place among all outcomes, the votes included


def test_votes_that_come_to_nothing_are_not_asked_for_again() -> None:
    router, reply = SelfVerifyingRouter(ByVotes(), "small", votes=2), said("small", "4")
    unpaid = Outcome("small", None, Cost(), ("no room",), asked=True, about=0)
    assert after(router, reply, unpaid, *votes("Who knows?")) == Stop(0, "enough votes")


def test_who_does_not_look_at_votes_never_pays_for_one() -> None:
    plain = RuleRouter(["small", "large"])
    assert isinstance(after(SelfVerifyingRouter(plain, "small"), said("small", "4")), Stop)
    router = SelfVerifyingRouter(plain, "small", votes=2, always=True)
    assert isinstance(after(router, said("small", "4"), *votes(YES)), Call)
    assert isinstance(after(router, said("small", "4"), *votes(YES, NO)), Stop)


def test_only_valid_replies_are_voted_on_and_only_by_a_model_that_is_there() -> None:
    router = SelfVerifyingRouter(RuleRouter(["small", "large"]), "small", always=True)
    for bad in (said("small", "4", problems=("no number",)), Outcome("small", None, Cost())):
        assert isinstance(on := after(router, bad), Call) and on.ask is None
    calling = Completion(Message("assistant", "", (ToolCall("1", "add", "{}"),)), "tool_calls")
    assert isinstance(after(router, Outcome("small", calling, Cost())), Stop)  # it may still be made good
    stranger = SelfVerifyingRouter(RuleRouter(["small", "large"]), "tiny", always=True)
    assert isinstance(after(stranger, said("small", "4")), Stop)
    with pytest.raises(ConfigError, match="1 vote or more"):
        SelfVerifyingRouter(RuleRouter(), "small", votes=0)


def test_a_limit_of_the_query_sees_what_votes_cost() -> None:
    told: list[Outcome] = []

    class Listening(ByVotes):
        def next(
            self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
        ) -> Decision:
            told[:] = seen
            return super().next(query, candidates, seen, view)

    after(SelfVerifyingRouter(Listening(), "small", votes=2), said("small", "4"), *votes(YES, "Hm."))
    (reply,) = told
    assert (reply.votes, reply.cost, reply.seconds) == (Votes("small", 1, 1), Cost(usd=6), 3.0)


def test_a_call_of_tools_is_shown_as_one() -> None:
    calling = Completion(Message("assistant", "", (ToolCall("1", "find", '{"n": 7}'),)), "tool_calls")
    assert 'AI generated answer: call find({"n": 7})\n' in verification_prompt("Where is 7?", calling)


# ---------------------------------------------------------------- live
def voter(replies: Sequence[str], vote: Sequence[Reply]) -> ScriptedBackend:
    """The small model: it answers, and votes in order."""
    left, votes_left = list(replies), list(vote)

    def play(request: Request) -> Reply:
        asked = request.messages[-1].text.startswith("Judge whether")
        return votes_left.pop(0) if asked else left.pop(0)

    return ScriptedBackend(play, card=card("small", "1"))


@pytest.mark.anyio
async def test_every_vote_is_held_and_charged_and_the_trace_has_it(tmp_path: Path) -> None:
    small, large = voter(["It is 5."], [NO, NO, NO]), ScriptedBackend("It is 4.", card=card("large", "10"))
    file = tmp_path / "t.jsonl"
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        made = agent(
            [small, large], tools=(), router=SelfVerifyingRouter(ByVotes(), "small", votes=4), seed=7,
            instructions="Be brief.",
        )  # fmt: skip
        answer = await made.run("What is 2 + 2?", budget=Budget(usd=1), scope=scope, trace=JsonlSink(file))
        await check_books(ledger, scope, small, large, exact=True)
    check_answer(answer)
    assert answer.text == "It is 4."
    assert [r.what for r in answer.receipts if r.charged] == [f"model:{m}" for m in ("small",) * 4 + ("large",)]
    asked = small.requests[1:]
    assert [(r.temperature, r.seed, r.tools) for r in asked] == [(1.0, 7, ()), (1.0, 8, ()), (1.0, 9, ())]
    assert [m.text for m in asked[0].messages[:-1]] == ["Be brief.", "What is 2 + 2?"]
    routed = [stamped.event for stamped in answer.trace if isinstance(stamped.event, Routed)]
    assert [(e.model, e.about) for e in routed] == [
        ("small", ""), *[("small", "small")] * 3, ("large", ""), ("", "")
    ]  # fmt: skip
    lessons = {one.model: one for one in read_lessons(file, lambda task, text: 1.0)}
    assert lessons["large"].votes is lessons["small"].votes is None  # the reply they are on is no answer
    assert lessons["large"].score == 1.0
    own = 1_000 * (small.bill[0].input_tokens + 4 * small.bill[0].output_tokens)
    assert lessons["small"].nano_usd == own  # votes are no replies


@pytest.mark.anyio
async def test_a_vote_that_fails_is_none_and_the_reply_stands() -> None:
    down = BackendUnavailable("small", "down")
    small, large = voter(["It is 5."], [down] * 99), ScriptedBackend("It is 4.", card=card("large", "10"))
    router = SelfVerifyingRouter(ByVotes(), "small", votes=2)
    answer = await agent([small, large], tools=(), router=router, resilience=ONCE).run(
        "What is 2 + 2?", budget=Budget(usd=1)
    )
    check_answer(answer)
    assert (answer.status, answer.text) == ("complete", "It is 5.")


@pytest.mark.anyio
@pytest.mark.parametrize("tokens", [120, 300, 1_200, 3_000])
async def test_a_small_budget_is_kept_and_still_answers(tokens: int) -> None:
    small, large = voter(["It is 5."], [NO] * 8), ScriptedBackend("It is 4.", card=card("large", "10"))
    with Ledger.open() as ledger:
        scope = ledger.scope("application")
        made = agent([small, large], tools=(), router=SelfVerifyingRouter(ByVotes(), "small", votes=4))
        answer = await made.run("What is 2 + 2?", budget=Budget(tokens=tokens), scope=scope)
        await check_books(ledger, scope, small, large)
    check_answer(answer)
    assert answer.status == "complete" and answer.spent["tokens"] <= tokens


@pytest.mark.anyio
async def test_traces_with_votes_are_learnt_from(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    for number in range(60):
        right = number % 3 > 0
        small = voter(["right" if right else "wrong"], [YES if right else NO, "Hm.", NO])
        router = SelfVerifyingRouter(RuleRouter(["small"]), "small", votes=3, always=True)
        await agent([small], tools=(), router=router).run(f"Question {number}?", trace=JsonlSink(file))
    table = read_traces(file, lambda task, text: text == "right")
    assert table.votes[0] == {"small": Votes("small", 0, 2)} and table.votes[1] == {"small": Votes("small", 1, 2)}
    verifier = fit_verified(Material.of(table)).estimator.verifier
    assert verifier.voted["small"]["small"][1] > 1  # it believes the votes
    again = voter(["right"], [YES, YES, YES])
    router = SelfVerifyingRouter(RuleRouter(["small"]), "small", votes=3, always=True)
    await agent([again], tools=(), router=router).run("Question 1?", trace=JsonlSink(file))
    assert read_traces(file, lambda task, text: True).votes[1] == {"small": Votes("small", 3, 3)}  # the latest


def test_votes_on_an_earlier_turn_are_not_on_the_answer() -> None:
    route: dict[str, Any] = {"kind": "route", "step": "main"}
    verify: dict[str, Any] = {"kind": "verify", "problems": []}
    reply = [
        route | {"model": "small"},
        {"kind": "settle", "hold": "h", "what": "model:small", "charged": {}, "time": 2},
    ]
    vote = [
        route | {"model": "small", "about": "small"},
        verify | {"model": "small", "about": "small", "right": True},
    ]
    stop = [route | {"model": "", "answer": "small"}]
    end = [{"kind": "answer", "status": "complete", "text": "right"}]

    def votes_of(*events: Sequence[Mapping[str, Any]]) -> Votes | None:
        reader = RunReader(lambda task, text: 1.0)
        reader.feed({"kind": "run", "run": "r", "task": "t", "time": 1})
        (lesson,) = [one for event in chain(*events) for one in reader.feed({"run": "r", **event})]
        return lesson.votes

    checked = [verify | {"model": "small"}]
    assert votes_of(reply, checked, vote, vote, stop, end) == Votes("small", 2, 2)
    assert votes_of(reply, checked, vote, stop, reply, checked, stop, end) is None


# ---------------------------------------------------------------- what the verifier makes of votes
def with_votes(chance_right: float, chance_wrong: float, seed: int = 0, queries: int = 300) -> OutcomeTable:
    """Eight votes by `v` on each reply, for it with these chances when it is right and when it is wrong."""
    table, draw = with_replies(queries, seed), np.random.default_rng(seed + 5)
    votes = []
    for row in range(queries):
        chances = [chance_right if right else chance_wrong for right in table.score[row]]
        votes.append(
            {m: Votes("v", int(draw.binomial(8, c)), 8) for m, c in zip(table.models, chances, strict=True)}
        )
    return replace(table, votes=tuple(votes))


@pytest.fixture(scope="module")
def telling() -> Verified:
    return fit_verified(Material.of(with_votes(0.9, 0.3)))


def test_a_reply_without_votes_is_judged_as_if_there_were_none_anywhere(telling: Verified) -> None:
    without = fit_verified(Material.of(with_replies())).estimator.verifier
    assert without.voted == {} and replace(telling.estimator.verifier, voted={}) == without
    stage = Stage.of(with_votes(0.9, 0.3, seed=7))
    assert all(one.votes is None for row in stage.outcomes for one in row.values())  # nobody has paid for them


def test_votes_move_the_belief_in_a_reply(telling: Verified) -> None:
    test = with_votes(0.9, 0.3, seed=7, queries=200)
    stage, place = Stage.of(test), test.models.index("algebra")

    def belief(row: int, said: Votes | None) -> float:
        outcome = replace(stage.outcomes[row]["algebra"], votes=said)
        return telling.estimator.judge(stage.queries[row], stage.cards, [outcome])[0]

    rows, right = range(200), test.score[:, place]
    before, heard, by_another = (
        np.array([belief(row, of(row)) for row in rows])
        for of in (
            lambda row: None,
            lambda row: test.votes[row]["algebra"],
            lambda row: replace(test.votes[row]["algebra"], by="another"),
        )
    )
    assert ((heard - right) ** 2).mean() < 0.6 * ((before - right) ** 2).mean()
    assert (by_another == before).all()  # whose votes mean nothing to it
    assert belief(0, Votes("v", 8, 8)) > belief(0, Votes("v", 4, 8)) > belief(0, Votes("v", 0, 8))


def asked(fitted: Verified) -> float:
    """The share of replies of the first model called whose votes are asked for."""
    test = with_replies(200, 7)
    stage, cards = Stage.of(test), (*test.cards(), card("v", "1"))
    router = SelfVerifyingRouter(CascadeRouter(fitted.estimator, 200.0), "v")
    found = []
    for query, outcomes in zip(stage.queries, stage.outcomes, strict=True):
        first = router.next(query, cards, [], VIEW)
        assert isinstance(first, Call)
        on = router.next(query, cards, [outcomes[first.model]], VIEW)
        found.append(isinstance(on, Call) and on.ask is not None)
    return sum(found) / len(found)


def test_votes_that_say_nothing_are_hardly_ever_asked_for(telling: Verified) -> None:
    silent = fit_verified(Material.of(with_votes(0.8, 0.8)))
    assert abs(silent.estimator.verifier.voted["v"]["algebra"][1]) < 0.4
    assert asked(silent) < 0.5 * asked(telling)


def test_votes_go_with_their_rows_and_models() -> None:
    table = with_votes(0.9, 0.3, queries=20)
    assert table.rows([3]).votes == (table.votes[3],)
    assert table.only(["large"]).votes[3] == {"large": table.votes[3]["large"]}
    other = with_replies(5, seed=9)
    other = replace(other, items=tuple(replace(item, id=f"o{item.id}") for item in other.items))
    joined = join([table, other]).votes
    assert joined[3] == table.votes[3] and joined[-1] == {} and len(joined) == 25
