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
from agentkit.budgets import Hold, Ledger, Scope
from agentkit.costs import Budget, Cost
from agentkit.errors import BackendUnavailable, ConfigError, RoutingError
from agentkit.executor.resilience import Resilience
from agentkit.messages import Message, ToolCall, assistant, user
from agentkit.routers import Call, Decision, Outcome, Query, RuleRouter, Stop
from agentkit.routers.base import Ask, Router, Votes
from agentkit.routers.cascade_routing import CascadeRouter
from agentkit.routers.estimators.fitting import Material
from agentkit.routers.estimators.recorded import Stage
from agentkit.routers.estimators.table import OutcomeTable, Voted, join
from agentkit.routers.estimators.table_traces import read_traces
from agentkit.routers.estimators.verified import Verified, fit_verified
from agentkit.routers.lessons import RunReader, read_lessons
from agentkit.routers.self_verification import SelfVerifyingRouter, verification_prompt
from agentkit.routers.self_verification import with_votes as with_votes_on
from agentkit.routers.vote_reading import read_vote
from agentkit.trace import JsonlSink, Routed
from agentkit.trace import Verified as Checked
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
    return [said("small", text, asked=True, about=about, right=read_vote(text)) for text in texts]


# ---------------------------------------------------------------- what is asked, and when
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


def test_nobody_goes_on_to_ask_a_voter_that_says_nothing() -> None:
    router, reply = SelfVerifyingRouter(ByVotes(), "small"), said("small", "4")
    failed = Outcome("small", None, Cost(), ("down",), "down", asked=True, about=0)
    for mute in ([failed, failed], votes("Hm.", "Hm."), votes(NO, "Hm.", "Hm.")):
        assert isinstance(on := after(router, reply, *mute[:-1]), Call) and on.ask
        on = after(router, reply, *mute)
        assert isinstance(on, Stop) or on.ask is None
    assert isinstance(on := after(router, reply, *votes("Hm.", NO, "Hm.")), Call) and on.ask
    everything = SelfVerifyingRouter(ByVotes(), "small", always=True)
    assert isinstance(on := after(everything, reply, *votes("Hm.", "Hm.")), Call) and on.ask


def test_only_whole_votes_count() -> None:
    cut = replace(votes(NO)[0], problems=("the reply was cut at the output cap",))
    assert with_votes_on([said("small", "4"), cut, *votes(YES)], 0, "small").votes == Votes("small", 1, 1)


def test_only_one_router_asks_about_replies() -> None:
    with pytest.raises(ConfigError, match="take the inner SelfVerifyingRouter out"):
        SelfVerifyingRouter(SelfVerifyingRouter(ByVotes(), "small"), "large")

    class Asking(ByVotes):
        def next(
            self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
        ) -> Decision:
            return Call("small", "is it?", Ask((user("Is it right?"),), 10, about=0))

    with pytest.raises(RoutingError, match="asks about a reply itself"):
        after(SelfVerifyingRouter(Asking(), "small"), said("small", "4"))


def test_a_vote_is_cheap_beside_the_reply() -> None:
    first = after(SelfVerifyingRouter(ByVotes(), "small"), said("small", "4" * 10_000))
    assert isinstance(first, Call) and first.ask is not None
    assert first.ask.share == 0.25 and first.ask.messages[-1].text.count("4") < 2_500


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


class Crowded(ScriptedBackend):
    """A model with a cache: while that is asked about a vote, another run takes the room."""

    scope: Scope
    taken: Hold | None = None
    spends: bool = False

    async def kept(self, request: Request) -> None:
        if request.messages[-1].text.startswith("Judge whether") and self.taken is None:
            room = Cost(tokens=self.scope.view().available["tokens"] - 5)
            self.taken = await self.scope.reserve(room, what="another run", dispatch=True)
            if self.spends:
                await self.taken.settle(room)


@pytest.mark.anyio
@pytest.mark.parametrize("spent", [False, True])
async def test_a_vote_whose_room_is_taken_leaves_the_reply(spent: bool) -> None:
    small = Crowded("It is 5.", card=card("small", "1"))
    small.spends = spent
    with Ledger.open() as ledger:
        small.scope = scope = ledger.scope("application", limits={"tokens": 20_000})
        router = SelfVerifyingRouter(RuleRouter(["small"]), "small", always=True)
        # a vote that is dearer than the finish line will never fit once the room is spent
        made = agent([small], tools=(), router=router, instructions="Be brief. " * 600)
        answer = await made.run("What is 2 + 2?", scope=scope)
        assert small.taken is not None
    check_answer(answer)
    assert (answer.status, answer.text, len(small.requests)) == ("complete", "It is 5.", 1)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "vote", [Completion(assistant(NO), "content_filter"), Completion(assistant(f"{NO} " + "And " * 99), "length")]
)
async def test_a_vote_that_is_cut_says_nothing(vote: Completion) -> None:
    small, large = voter(["It is 5."], [vote] * 2), ScriptedBackend("It is 4.", card=card("large", "10"))
    router = SelfVerifyingRouter(ByVotes(), "small", votes=2)
    answer = await agent([small, large], tools=(), router=router).run("What is 2 + 2?", budget=Budget(usd=1))
    assert answer.text == "It is 5."
    heard = [e.event for e in answer.trace if isinstance(e.event, Checked) and e.event.about]
    assert [(event.right, len(event.problems)) for event in heard] == [(None, 1), (None, 1)]


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
    assert table.votes[0] == {"small": (Voted(Votes("small", 0, 2), 0.0),)}
    assert table.votes[1] == {"small": (Voted(Votes("small", 1, 2), 1.0),)}
    verifier = fit_verified(Material.of(table)).estimator.verifier
    assert verifier.voted["small"]["small"][1] > 1  # it believes the votes


@pytest.mark.anyio
async def test_votes_are_learnt_from_with_the_score_of_their_own_reply(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    voted: Router = SelfVerifyingRouter(RuleRouter(["small"]), "small", votes=3, always=True)
    plain = RuleRouter(["small"])
    for reply, router in (("right", voted), ("right", voted), ("wrong", voted), ("right", plain)):
        small = voter([reply], [YES if reply == "right" else NO] * 3)
        await agent([small], tools=(), router=router).run("Question?", trace=JsonlSink(file))
    table = read_traces(file, lambda task, text: text == "right")
    right, wrong = Voted(Votes("small", 3, 3), 1.0), Voted(Votes("small", 0, 3), 0.0)
    assert table.votes == ({"small": (right, right, wrong)},) and table.score.tolist() == [[0.75]]


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
            {
                m: (Voted(Votes("v", int(draw.binomial(8, c)), 8), score),)
                for m, c, score in zip(table.models, chances, table.score[row].tolist(), strict=True)
            }
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
            lambda row: test.votes[row]["algebra"][0].votes,
            lambda row: replace(test.votes[row]["algebra"][0].votes, by="another"),
        )
    )
    assert ((heard - right) ** 2).mean() < 0.6 * ((before - right) ** 2).mean()
    assert (by_another == before).all()  # whose votes mean nothing to it
    assert belief(0, Votes("v", 8, 8)) > belief(0, Votes("v", 4, 8)) > belief(0, Votes("v", 0, 8))
    assert all(belief(row, Votes("v", 0, 0)) == before[row] for row in rows)  # none of them could be read


def test_a_few_votes_are_not_fitted_on() -> None:
    table, model = with_votes(0.9, 0.3), "algebra"
    wrong = np.flatnonzero(table.score[:, table.models.index(model)] == 0)
    for count, fitted in ((11, False), (12, True)):
        left_out = set(wrong[count:].tolist())
        few = tuple({} if place in left_out else row for place, row in enumerate(table.votes))
        verifier = fit_verified(Material.of(replace(table, votes=few))).estimator.verifier
        assert (model in verifier.voted.get("v", {})) is fitted


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
