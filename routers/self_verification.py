"""Self-verification (AutoMix, arXiv 2310.12963): a cheap model is asked several times whether a reply is right.

y of the n votes that can be read say so, and the reply's own logit in the verifier becomes

    a·own + b·ln((y + ½) / (n − y + ½)) + c            a, b, c by voter and model, fitted on recorded votes

(`agentkit.routers.estimators.verifier`). A vote is a call with a prompt of the router's own: held, settled and on
a receipt like any other. As in AutoMix it is drawn at temperature 1 behind a few worked examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agentkit.errors import ConfigError, RoutingError
from agentkit.messages import user
from agentkit.routers.base import Ask, Call, Decision, Outcome, Query, Router, Stop, Votes
from agentkit.routers.vote_reading import read_vote
from agentkit.types import Completion, ModelCard, ScopeView

VOTES = 8
"""Votes on a reply when nobody says; AutoMix's number."""
VOTE_TOKENS = 96
_SHARE = 0.25  # of what is left that a vote may hold: judging must not eat what answering needs
_MOST_SHOWN = 2_400  # characters of a reply that a voter reads: 600 tokens or so
_MOST_UNREAD = 2  # votes in a row that say nothing: the voter is down, or cannot judge

_EXAMPLES = """\
Context: The bridge over the fjord opened in 1932, after eight years of work.
Question: When did work on the bridge begin?
AI generated answer: 1932
Evaluation: It opened in 1932, and the work before that took eight years. The AI generated answer is incorrect.

Context: A ticket costs 12 dollars, and children under six travel free.
Question: What do two adults and a child of four pay?
AI generated answer: 24 dollars
Evaluation: Two tickets at 12 dollars are 24, and the child is free. The AI generated answer is correct.

Context: Hall B seats 300, hall C seats 450.
Question: Which hall has more seats?
AI generated answer: Hall B
Evaluation: Hall C has 150 seats more. The AI generated answer is incorrect.
"""


class SelfVerifyingRouter:
    """Has the model `by` vote on each valid reply before `router` goes on, and tells `router` the votes with it.

    At most `votes` are asked for, and no further ones once the rest cannot change what `router` does next, or two
    in a row could not be read: a router that does not look at votes, or has learnt that they say nothing, never
    pays for one. With `always` each reply that is no call of tools gets all of them, so that there are votes in
    the trace to fit on. Only the latest reply is voted on. `router` is also asked what it would do if the votes
    went either way, so nothing in it may change by that: a `ConservativeRouter` goes around this one.

    Raises ConfigError for fewer than one vote, and around another of its kind: the votes of one would be replies
    to the other. RoutingError where another router inside asks about a reply.
    """

    def __init__(self, router: Router, by: str, *, votes: int = VOTES, always: bool = False) -> None:
        if votes < 1:
            raise ConfigError(f"self-verification takes 1 vote or more, not {votes}")
        if isinstance(router, SelfVerifyingRouter):
            raise ConfigError("a router votes by one model only; take the inner SelfVerifyingRouter out")
        self.router, self.by, self.votes, self.always = router, by, votes, always

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Return a call for a vote, or what the router says with the votes so far."""
        places = [place for place, outcome in enumerate(seen) if outcome.about is None]
        told = [with_votes(seen, place, self.by) for place in places]
        decision = self.router.next(query, candidates, told, view)
        if isinstance(decision, Call) and decision.ask is not None and decision.ask.about is not None:
            raise RoutingError("the router that is voted for asks about a reply itself; only one of both can")
        made = [outcome for outcome in seen if outcome.about is not None and outcome.about == places[-1]]
        rest = self.votes - len(made)
        mute = len(made) >= _MOST_UNREAD and not any(_counts(vote) for vote in made[-_MOST_UNREAD:])
        able = any(card.name == self.by for card in candidates) and (self.always or not mute)
        if told and rest > 0 and able and _votable(told[-1]):

            def then(yes: int) -> tuple[str, str | int | None]:
                supposed = [*told[:-1], _supposing(told[-1], self.by, yes, rest)]
                return _what(self.router.next(query, candidates, supposed, view))

            if (self.always and not _calls_tools(told[-1])) or then(0) != then(rest):
                return self._vote(query, seen, places[-1], len(made))
        if isinstance(decision, Stop) and decision.answer is not None:
            return replace(decision, answer=places[decision.answer])
        return decision

    def _vote(self, query: Query, seen: Sequence[Outcome], place: int, made: int) -> Call:
        judged = seen[place]
        assert judged.completion is not None
        prompt = user(verification_prompt(query.text, judged.completion))
        ask = Ask((prompt,), VOTE_TOKENS, True, share=_SHARE, temperature=1.0, about=place, read=read_vote)
        return Call(self.by, f"vote {made + 1} of {self.votes} on the reply of {judged.model}", ask)


def verification_prompt(question: str, reply: Completion) -> str:
    """Return what a voter is asked, behind the conversation that the reply goes on with."""
    return (
        f"Judge whether the answer of an AI is right. Examples:\n\n{_EXAMPLES}\n"
        "Context: the conversation above.\n"
        f"Question: {question}\n"
        f"AI generated answer: {_shown(reply)}\n"
        "Say in one sentence why it is correct or incorrect by its context, and end with either "
        '"The AI generated answer is correct." or "The AI generated answer is incorrect."\n'
        "Evaluation:"
    )


def with_votes(seen: Sequence[Outcome], place: int, by: str) -> Outcome:
    """Return the outcome at `place` with the votes on it among `seen`, and with what they cost."""
    outcome = seen[place]
    on_it = [other for other in seen if other.about == place]
    if not on_it:
        return outcome
    read = [bool(vote.right) for vote in on_it if _counts(vote)]
    cost, seconds = outcome.cost, outcome.seconds or 0.0
    for vote in on_it:
        cost, seconds = cost + vote.cost, seconds + (vote.seconds or 0.0)
    return replace(outcome, votes=Votes(by, sum(read), len(read)), cost=cost, seconds=seconds)


def _counts(vote: Outcome) -> bool:
    """Tell whether a vote is whole and says something."""
    return vote.valid and vote.right is not None


def _supposing(outcome: Outcome, by: str, yes: int, rest: int) -> Outcome:
    """Return the outcome as if `rest` votes more were in, `yes` of them for it."""
    so_far = outcome.votes or Votes(by, 0, 0)
    return replace(outcome, votes=Votes(by, so_far.yes + yes, so_far.count + rest))


def _what(decision: Decision) -> tuple[str, str | int | None]:
    """Return what a decision does, without its reason."""
    return ("call", decision.model) if isinstance(decision, Call) else ("stop", decision.answer)


def _votable(outcome: Outcome) -> bool:
    return outcome.completion is not None and outcome.valid and not outcome.asked


def _calls_tools(outcome: Outcome) -> bool:
    return outcome.completion is not None and bool(outcome.completion.message.tool_calls)


def _shown(reply: Completion) -> str:
    calls = [f"call {call.name}({call.arguments})" for call in reply.message.tool_calls]
    return "; ".join(calls) or reply.message.text.strip()[:_MOST_SHOWN]
