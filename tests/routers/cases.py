"""The situations every router must handle: a new router gains the suite by one line in ROUTERS."""

from collections.abc import Sequence
from dataclasses import dataclass

from agentkit.costs import Cost
from agentkit.evals.baselines.tiers import TierRouter
from agentkit.messages import assistant
from agentkit.routers import Estimate, FallbackRouter, Outcome, Query, Router, RuleRouter, UtilityRouter
from agentkit.routers.cascade_routing import CascadeRouter
from agentkit.routers.conservative import ConservativeRouter
from agentkit.routers.fastest import FastestRouter
from agentkit.routers.preferences import Preferences
from agentkit.routers.reservation import Likelihoods
from agentkit.routers.self_verification import SelfVerifyingRouter
from agentkit.types import Capabilities, Completion, ModelCard, ScopeView
from tests.scenario import card


class ByPrice:
    """An estimator that takes the dearer model for the better one."""

    def estimate(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome]
    ) -> Sequence[Estimate]:
        prices = [float(card.price.input) if card.price else 0.0 for card in candidates]
        return [Estimate(price / (1 + price), 0.1, Cost(usd=round(price * 1_000))) for price in prices]


class Doubtful(ByPrice):
    """Believes half of what it is told."""

    def judge(self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome]) -> list[float]:
        return [0.5 * bool(outcome.completion) for outcome in seen]

    def likelihoods(self, model: str) -> Likelihoods:
        return [(0.7, 0.3), (0.3, 0.7)]


class Simple:
    """Thinks that the middle tier does."""

    def of(self, text: str) -> list[float]:
        return [0.3, 0.7, 1.0]


SMALL, MEDIUM, LARGE = card("small", "1"), card("medium", "3"), card("large", "10")
ALL = (LARGE, SMALL, MEDIUM)
BOUNDS = {"small": Cost(usd=100), "medium": Cost(usd=300), "large": Cost(usd=1_000)}

ROUTERS: dict[str, Router] = {
    "rules": RuleRouter(),
    "rules in order": RuleRouter(["large", "small", "medium"]),
    "rules with fallbacks": FallbackRouter(RuleRouter(), {"down": ["large"], "any": ["small"]}),
    "utility": UtilityRouter(ByPrice()),
    "utility, thrifty": UtilityRouter(ByPrice(), 1e6),
    "utility, with preferences": UtilityRouter(
        ByPrice(), 1.0, preferences=Preferences(0.1, usd=1.0, needs=frozenset({"streaming"}))
    ),
    "fastest": FastestRouter(),
    "conservative": ConservativeRouter(
        RuleRouter(), ByPrice(), {"medium"}, lambda query, outcome: 0.5, most_loss=0.5
    ),
    "conservative, all new": ConservativeRouter(RuleRouter(), ByPrice(), BOUNDS, lambda query, outcome: 1.0),
    "tiers": TierRouter(Simple(), ["small", "medium", "large"], 0.6),
    "cascade routing": CascadeRouter(Doubtful()),
    "cascade routing, thrifty": CascadeRouter(Doubtful(), 1e6),
    "self-verifying": SelfVerifyingRouter(CascadeRouter(Doubtful()), "small"),
}


@dataclass(frozen=True)
class Case:
    """What a router sees, before any outcome of this turn."""

    candidates: tuple[ModelCard, ...] = ALL
    bounds: tuple[tuple[str, Cost], ...] = tuple(BOUNDS.items())
    room: int | None = None
    needs_tools: bool = False
    weak: frozenset[str] = frozenset()

    @property
    def query(self) -> Query:
        return Query("task", dict(self.bounds), self.needs_tools, 0, self.weak)

    @property
    def view(self) -> ScopeView:
        limits = {} if self.room is None else {"usd": self.room}
        return ScopeView("scope", limits, Cost(), Cost(), Cost(), limits)

    @property
    def callable(self) -> set[str]:
        """The models that can be called at all: bounded, affordable, able."""
        bounds = dict(self.bounds)
        return {
            card.name
            for card in self.candidates
            if card.name in bounds
            and (self.room is None or bounds[card.name]["usd"] <= self.room)
            and (card.capabilities.tools or not self.needs_tools)
        }


PLAIN = card("small", "1", capabilities=Capabilities(tools=False))

CASES = {
    "all fit": Case(),
    "one model": Case((SMALL,), (("small", BOUNDS["small"]),)),
    "only the cheapest fits": Case(room=100),
    "two fit": Case(room=999),
    "none fits": Case(room=99),
    "none can be bounded": Case(bounds=()),
    "one cannot be bounded": Case(bounds=(("medium", BOUNDS["medium"]), ("large", BOUNDS["large"]))),
    "the cheapest takes no tools": Case((PLAIN, MEDIUM, LARGE), needs_tools=True),
    "no tools are needed": Case((PLAIN, MEDIUM, LARGE)),
    "one was weak": Case(weak=frozenset({"small"})),
    "all were weak": Case(weak=frozenset(BOUNDS)),
    "the only one that fits was weak": Case(room=100, weak=frozenset({"small"})),
    "no candidates": Case((), ()),
}

VALID, INVALID, FAILED = "valid", "invalid", "failed"


def outcome(model: str, kind: str) -> Outcome:
    """An outcome of `model`: a valid reply, one with a problem, or an error."""
    reply = None if kind == FAILED else Completion(assistant(f"{model} says"), "stop")
    return Outcome(model, reply, Cost(usd=1), () if kind == VALID else ("it is wrong",))
