"""What a router sees and says. Routers decide; they neither call nor spend.

The executor loops: it asks `next`, makes the call that is asked for, adds the outcome to `seen` and asks again
until the router stops. Single choice, cascade, votes and multi-round aggregation are all this one loop, and a
replay over recorded outcomes runs the same code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agentkit.costs import Cost
from agentkit.errors import FailureKind
from agentkit.messages import Message
from agentkit.types import Completion, ModelCard, ScopeView


@dataclass(frozen=True, slots=True)
class Query:
    """One step's next model call. `bounds` is what the call would hold, by model; absent: it cannot be made.

    `turn` counts from 0 within the step; `weak` are models whose replies did not validate earlier in it.
    """

    text: str
    bounds: dict[str, Cost]
    needs_tools: bool = False
    turn: int = 0
    weak: frozenset[str] = frozenset()

    def fits(self, model: str, view: ScopeView) -> bool:
        """Tell whether the call of `model` can be made and the budget has room for it."""
        bound = self.bounds.get(model)
        return bound is not None and all(bound[name] <= room for name, room in view.available.items())


@dataclass(frozen=True, slots=True)
class Votes:
    """Judgements of a reply by the model `by`: of `count` that could be read, `yes` say that it is right."""

    by: str
    yes: int
    count: int

    @property
    def log_odds(self) -> float:
        """The natural log of yes to no with half a vote more for each; 0 without votes."""
        return math.log((self.yes + 0.5) / (self.count - self.yes + 0.5))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one call: the reply or the error, what it cost, and what is wrong with it.

    `error` is the kind of failure when there is no reply, or none that the provider let through. `asked` tells the
    reply to a prompt of the router's own (`Call.ask`), `about` which of the outcomes seen that prompt judges, and
    `right` what a valid reply to it says of that one (`Ask.read`), None where it does not say.
    `seconds` is how long it took, None when nobody knows. `votes` are what a router has learnt of the reply.
    """

    model: str
    completion: Completion | None
    cost: Cost
    problems: tuple[str, ...] = ()
    error: FailureKind | None = None
    seconds: float | None = None
    asked: bool = False
    about: int | None = None
    right: bool | None = None
    votes: Votes | None = None

    @property
    def valid(self) -> bool:
        """Whether there is a reply and nothing is wrong with it."""
        return self.completion is not None and not self.problems


@dataclass(frozen=True, slots=True)
class Estimate:
    """Predicted quality in 0..1 and cost of a model on a query, with one standard deviation of the quality.

    `seconds` is how long a call is expected to take, None when nothing is known of it.
    """

    quality: float
    deviation: float
    cost: Cost = field(default_factory=Cost)
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """A prompt of the router's own: `messages` alone, or `in_conversation` behind it; no tools are offered.

    The call may hold at most a `share` of what is available: what that does not pay for comes back as an outcome
    without a reply. Without a `temperature` it has the agent's. `about` is the place in `seen` of the reply to be
    judged, if one is, and `read` tells of the text of a judgement whether it says that reply is right, None where
    that is unclear (`agentkit.routers.self_verification`).
    """

    messages: tuple[Message, ...]
    max_output_tokens: int
    in_conversation: bool = False
    stop: tuple[str, ...] = ()
    share: float = 1.0
    temperature: float | None = None
    about: int | None = None
    read: Callable[[str], bool | None] | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """Call `model` next, to go on with the conversation or with what is to be asked instead."""

    model: str
    reason: str
    ask: Ask | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop with outcome number `answer` of those seen, or with none when no call can be made.

    `text` is the answer where it is only a part of what the reply says.
    """

    answer: int | None
    reason: str
    text: str | None = None


Decision = Call | Stop


class Router(Protocol):
    """Decides the next model call of a step."""

    def next(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome], view: ScopeView
    ) -> Decision:
        """Return the next call, or stop; must stop once every candidate was seen."""
        ...


class Estimator(Protocol):
    """Predicts what each candidate would do on a query."""

    def estimate(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome]
    ) -> Sequence[Estimate]:
        """Return one estimate for each candidate, in order."""
        ...
