"""Multi-round route-and-aggregate with Router-R1's protocol (arXiv 2506.09033), over any chat model.

    think → route a sub-query to a model → read its reply → … → answer

The paper trains the routing model by reinforcement; the protocol needs no training. What has been said is read
off the outcomes seen so far, so that the router keeps no state and every call, the routing model's own included,
is one of the executor's: held, settled, and on a receipt. With r rounds left a call may hold 1/(2r + 1) of what is
available, so that each round pays for a sub-query and a turn, and the last turn is always left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agentkit.errors import ConfigError
from agentkit.messages import Message, assistant, user
from agentkit.routers.base import Ask, Call, Decision, Outcome, Query, Stop
from agentkit.routers.rounds import ENDS, NotATurn, Search, read_turn, without_tags
from agentkit.routers.rules import RuleRouter
from agentkit.types import ModelCard, ScopeView
from agentkit.usage import Price

ROUNDS = 4
"""Sub-queries when nobody says."""
TURN_TOKENS, REPLY_TOKENS = 1_024, 512
_MOST_INFORMATION = 2_400  # characters of a reply that the routing model reads: 600 tokens or so
_MOST_SLIPS = 2  # turns that could not be read, after which what there is is taken
_SHOWN = 80  # characters of a sub-query in a reason

_NOW = "You can ask nobody any more. Think, and then answer in <answer>…</answer>."


class MultiRoundRouter:
    """Has the model `router` think, route up to `rounds` sub-queries to the models of `pool`, and answer.

    `pool` says in words what each model is good at; prices come from the cards. Where the routing model fails, or
    says nothing that can be read, the question goes to one model as it is: first `router`, then those of the pool.
    A turn that may call tools goes to them in that order as well. Raises ConfigError for an empty pool and fewer
    than one round.
    """

    def __init__(self, router: str, pool: Mapping[str, str], *, rounds: int = ROUNDS) -> None:
        if not pool or rounds < 1:
            raise ConfigError(
                f"a multi-round router takes a pool and 1 round or more, not {len(pool)} and {rounds}"
            )
        self.router, self.pool, self.rounds = router, dict(pool), rounds
        self._plain = RuleRouter(tuple(dict.fromkeys((router, *pool))))

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Return the routing model's turn, the sub-query it asks for, or its answer."""
        begun = any(outcome.asked for outcome in seen)
        if not begun and (seen or not self._can_begin(query, candidates, view)):
            return self._plainly(query, candidates, seen, view)
        here = {card.name for card in candidates}
        pool = [model for model in self.pool if model in here]
        talk = _Talk.of(seen, pool, self.rounds)
        if talk.answer is not None:
            return Stop(talk.place, f"answered after {talk.rounds} rounds", talk.answer)
        if talk.over:
            if talk.said:
                return Stop(talk.place, "the turn is not of the protocol; it is taken as it stands", talk.said)
            return self._plainly(query, candidates, seen, view)
        left = self.rounds - talk.rounds
        if talk.search is not None:
            ask = Ask((user(talk.search.query),), REPLY_TOKENS, share=1 / (2 * left))
            about = f"round {talk.rounds + 1} of {self.rounds}: {talk.search.query[:_SHOWN]}"
            return Call(talk.search.model, about, ask)
        said = (user(self._protocol(pool, candidates, view)), *talk.messages)
        if talk.last:
            said = (*said, user(_NOW))
        ask = Ask(said, TURN_TOKENS, True, ENDS, 1.0 if talk.last else 1 / (2 * left + 1))
        return Call(self.router, "the last turn" if talk.last else f"rounds left: {left}", ask)

    def _can_begin(self, query: Query, candidates: Sequence[ModelCard], view: ScopeView) -> bool:
        pool = any(card.name in self.pool for card in candidates)
        return pool and not query.needs_tools and query.fits(self.router, view)

    def _plainly(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Ask one model as usual, and the next if its reply is not valid."""
        plain = [place for place, outcome in enumerate(seen) if not outcome.asked]
        decision = self._plain.next(query, candidates, [seen[place] for place in plain], view)
        if isinstance(decision, Stop) and decision.answer is not None:
            return Stop(plain[decision.answer], decision.reason)
        return decision

    def _protocol(self, pool: Sequence[str], candidates: Sequence[ModelCard], view: ScopeView) -> str:
        prices = {card.name: card.price for card in candidates}
        lines = [f"- {model}: {self.pool[model]}{_price(prices[model])}" for model in pool]
        listed = "\n".join(lines)
        return (
            "Work on the question above in turns. In each turn first think in <think>…</think>, then do one "
            "thing: ask a model what you do not know, in <search>Model: question</search>, or answer in "
            "<answer>…</answer>. A model sees nothing but the question you write, so write it out in full. Its "
            "reply comes back in <information>…</information> and may be wrong. You may ask "
            f"{self.rounds} times at most; each question costs money: ask nothing that you know, and the cheapest "
            "model that can tell.\n"
            f"Models:\n{listed}"
        )


@dataclass(slots=True)
class _Talk:
    """What the outcomes so far come to: what was said, the sub-query that waits, and the answer.

    `place` is the routing model's last reply.
    """

    limit: int
    messages: list[Message] = field(default_factory=list)
    rounds: int = 0
    slips: int = 0
    lost: int = 0
    place: int | None = None
    search: Search | None = None
    answer: str | None = None
    said: str = ""

    @classmethod
    def of(cls, seen: Sequence[Outcome], pool: Sequence[str], limit: int) -> _Talk:
        """Read the outcomes one by one; calls without a prompt of ours are no part of the talk."""
        talk = cls(limit)
        for place, outcome in enumerate(seen):
            if not outcome.asked:
                continue
            if talk.search is not None:
                talk._inform(outcome)
            elif outcome.completion is None:
                talk.lost += 1 if outcome.error is None else 2
            else:
                talk.place = place
                talk._read(outcome, pool)
        return talk

    @property
    def last(self) -> bool:
        """Whether the next turn has to answer: the rounds are used up, or the budget does not pay for one."""
        return self.rounds >= self.limit or self.lost > 0

    @property
    def over(self) -> bool:
        """Whether the routing model has had its chances."""
        return self.lost > 1 or self.slips > _MOST_SLIPS

    def _inform(self, outcome: Outcome) -> None:
        told = outcome.completion.message.text.strip() if outcome.completion and outcome.valid else ""
        told = told or f"{outcome.model} gave no answer: {'; '.join(outcome.problems)}"
        self.messages.append(user(f"<information>{told[:_MOST_INFORMATION]}</information>"))
        self.rounds, self.search = self.rounds + 1, None

    def _read(self, outcome: Outcome, pool: Sequence[str]) -> None:
        assert outcome.completion is not None
        text = outcome.completion.message.text
        try:
            if outcome.problems:
                raise NotATurn("; ".join(outcome.problems))
            turn = read_turn(text, pool)
            if isinstance(turn, Search) and self.last:
                raise NotATurn("nobody can be asked any more")
        except NotATurn as error:
            self.slips += 1
            self.said = without_tags(text) or self.said
            self.messages += [assistant(text), user(f"That could not be read: {error}.")]
            return
        if isinstance(turn, str):
            self.answer = turn
        else:
            self.messages.append(assistant(_closed(text)))
            self.search = turn


def _closed(text: str) -> str:
    """Return a turn that asks, up to and with its closing tag."""
    end = ENDS[0]
    return text[: text.find(end)] + end if end in text else text + end


def _price(price: Price | None) -> str:
    return "" if price is None else f" (${price.input:g} in, ${price.output:g} out per million tokens)"
