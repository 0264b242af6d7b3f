"""What a definition may say of routers: one class a kind, and the entry that has one of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from agentkit.model_spec import Capability
from agentkit.routers.preferences import Preferences
from agentkit.routers.self_verification import VOTES
from agentkit.spec_parts import Dollars, Name, PositiveCount, Seconds, Spec, Text, number


class RulesSpec(Spec):
    """Call the first model that fits the budget; go on to the next when its reply does not validate."""

    order: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Models, cheapest first."""


class PreferSpec(Spec):
    """What is wanted beside quality for money: a price of time, and limits on each query with all its calls."""

    quality_per_second: Annotated[float, Field(ge=0), BeforeValidator(number)] = 0.0
    """The quality, 0 to 1, that a second saved is worth."""
    usd_at_most: Dollars | None = None
    """What a query may cost at the worst."""
    seconds_at_most: Seconds | None = None
    """How long its calls may be expected to take; models of unknown latency are left out."""
    needs: tuple[Capability, ...] = ()
    """What a model must be able to do."""

    @property
    def preferences(self) -> Preferences:
        """The same for a router."""
        usd = None if self.usd_at_most is None else float(self.usd_at_most)
        return Preferences(self.quality_per_second, usd, self.seconds_at_most, frozenset(self.needs))


class FastestSpec(Spec):
    """Call the model that is likely the fastest, learned on the way; for models that are all good enough."""

    models: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Models to choose from."""
    prefer: PreferSpec | None = None
    """Limits on each query; a price of seconds changes nothing where nothing else counts."""


class SelfVerifySpec(Spec):
    """A cheap model votes on each reply whose votes could change what is called next.

    Every vote is charged, on top of what the router spends on average.
    """

    by: Name
    """Who votes: one of the router's models."""
    votes: PositiveCount = VOTES
    """Votes on a reply at most."""
    always: bool = False
    """Have all votes on every reply that calls no tools, so that the trace has votes to fit on."""


class FittedSpec(Spec):
    """Call the model whose predicted quality is worth its predicted cost; made by `agentkit eval fit`."""

    artefact: Text
    """The file that fitting wrote, relative to this one."""
    models: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Models to choose from; those the artefact does not know by name are judged by price and quality."""
    usd_per_query: Dollars | None = None
    """What a query may cost on average; by default what the best single model of the fitted ones costs."""
    quality_per_usd: Annotated[float, Field(ge=0), BeforeValidator(number)] | None = None
    """Instead: the quality, 0 to 1, that a dollar saved is worth."""
    expected_queries: Annotated[int, Field(ge=1)] | None = None
    """Instead: how many queries the dollars of the budget are for; each is worth what is left can afford."""
    prefer: PreferSpec | None = None
    """A price of time, and limits on each query."""
    self_verify: SelfVerifySpec | None = None
    """Votes on replies, for an artefact that was fitted on such votes, on top of the spend; off if not given."""

    @model_validator(mode="after")
    def _refuse_two_knobs(self) -> Self:
        knobs = ("usd_per_query", "quality_per_usd", "expected_queries")
        given = [name for name in knobs if getattr(self, name) is not None]
        if len(given) > 1:
            raise PydanticCustomError(
                "several_given", "takes one of {both}", {"both": " and ".join(given), "key": given[1]}
            )
        return self

    @model_validator(mode="after")
    def _require_a_voter(self) -> Self:
        if self.self_verify is None:
            return self
        if self.self_verify.by not in self.models:
            raise PydanticCustomError(
                "voter_not_a_model", "takes a voter that is one of its models, not '{by}'",
                {"by": self.self_verify.by, "key": "self_verify"},
            )  # fmt: skip
        at_most = None if self.prefer is None else self.prefer.usd_at_most
        for limit, given in (("usd_at_most", at_most), ("usd_per_query", self.usd_per_query)):
            if given is not None:
                raise PydanticCustomError(
                    "votes_and_limit", "takes no votes beside {limit}, which does not count what votes cost",
                    {"limit": limit, "key": "self_verify"},
                )  # fmt: skip
        return self


class PanelSpec(Spec):
    """Ask several models, or one several times, and make one answer of theirs."""

    models: Annotated[tuple[Name, ...], Field(min_length=2)]
    """Who is asked, in order; one that is named several times needs a temperature."""
    by: Literal["vote", "weighted_vote", "verifier", "fusion"] = "vote"
    """Most votes, most votes by log odds, the reply that is believed in most, or one that a model makes."""
    artefact: Text | None = None
    """For weighted votes and the verifier: the file that fitting wrote, relative to this one."""
    fuser: Name | None = None
    """For fusion: the model that merges the answers."""

    @model_validator(mode="after")
    def _require_its_parts(self) -> Self:
        for key, users in (("artefact", ("weighted_vote", "verifier")), ("fuser", ("fusion",))):
            if (self.by in users) != (getattr(self, key) is not None):
                raise PydanticCustomError(
                    "parts_of_panel", "takes {name} with by: {users}, and only then",
                    {"name": key, "users": " or ".join(users), "key": key if getattr(self, key) else "by"},
                )  # fmt: skip
        return self


class MultiRoundSpec(Spec):
    """Have a model think, route sub-queries to others, and answer (Router-R1's protocol)."""

    router: Name
    """The model that thinks and routes."""
    models: Annotated[dict[Name, Text], Field(min_length=1)]
    """By model it may ask: what it is good at."""
    rounds: PositiveCount = 4
    """Sub-queries at most."""


class RouterSpec(Spec):
    """A router; the one key it has is its kind."""

    # a new kind of router adds its class above, a field here, its name to `one_of`, and where it names models
    one_of = ("rules", "fitted", "fastest", "panel", "multi_round")

    rules: RulesSpec | None = None
    fitted: FittedSpec | None = None
    fastest: FastestSpec | None = None
    panel: PanelSpec | None = None
    multi_round: MultiRoundSpec | None = None

    @property
    def order(self) -> tuple[str, ...]:
        """The models the router may choose from."""
        return tuple(dict.fromkeys(model for _, model in self.named()))

    def named(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Yield where a model is named, and its name."""
        if self.rules:
            yield from ((("rules", "order", i), model) for i, model in enumerate(self.rules.order))
        if self.fitted:
            yield from ((("fitted", "models", i), model) for i, model in enumerate(self.fitted.models))
        if self.fastest:
            yield from ((("fastest", "models", i), model) for i, model in enumerate(self.fastest.models))
        if self.panel:
            yield from ((("panel", "models", i), model) for i, model in enumerate(self.panel.models))
            if self.panel.fuser:
                yield ("panel", "fuser"), self.panel.fuser
        if self.multi_round:
            yield ("multi_round", "router"), self.multi_round.router
            yield from ((("multi_round", "models", model), model) for model in self.multi_round.models)
