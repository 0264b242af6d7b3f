"""What an agent definition may say: the pydantic models of the YAML.

`AppSpec` is the whole file. `definition.read_definition` fills it from YAML, `schema.json_schema` describes it
to editors. Whether the names of other entries (a model, a budget, …) exist is checked in `references`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from agentkit.budgets.length import HIGHEST
from agentkit.costs import Budget
from agentkit.model_spec import Capability, ModelSpec
from agentkit.policy_spec import PolicySpec
from agentkit.resilience_spec import HedgeSpec, RetrySpec
from agentkit.routers.fallback import Trigger
from agentkit.routers.preferences import Preferences
from agentkit.spec_parts import (
    FUNCTION,
    Count,
    Dollars,
    Name,
    PositiveCount,
    Seconds,
    Spec,
    Text,
    ToolName,
    number,
)
from agentkit.tool_spec import SOURCE_FORMS, TaggedSourceEntry, ToolCost
from agentkit.types import Effort

BuiltinTool = Literal["calculate"]
BUILTIN_TOOLS = get_args(BuiltinTool)


# ---------------------------------------------------------------- tools
class PythonTool(Spec):
    """A Python function as a tool."""

    python: Annotated[str, StringConstraints(pattern=FUNCTION)]
    """`package.module:function`."""
    cost: ToolCost | None = None
    timeout: Annotated[float, Field(gt=0), BeforeValidator(number)] | None = None
    """Seconds."""


class AgentTool(Spec):
    """Another agent of this file as a tool."""

    agent: Name
    description: Text | None = None
    """What the calling model reads; the agent's own description if not given."""


def _tool_form(value: object) -> str | None:
    # in angle brackets, so that a tag in an error's location is never taken for a key
    if isinstance(value, str):
        return "<name>"
    given = value if isinstance(value, Mapping) else getattr(value, "model_fields_set", ())
    return next((f"<{form}>" for form in ("python", "agent", *SOURCE_FORMS) if form in given), None)


_TOOL_FORM = Discriminator(
    _tool_form,
    custom_error_type="tool_form",
    custom_error_message="should be a tool: a name, {python: module:function}, {agent: name}, "
    + ", ".join(f"{{{form}: …}}" for form in SOURCE_FORMS),
)
ToolEntry = Annotated[
    Annotated[BuiltinTool, Tag("<name>")]
    | Annotated[PythonTool, Tag("<python>")]
    | Annotated[AgentTool, Tag("<agent>")]
    | TaggedSourceEntry,
    _TOOL_FORM,
]
"""A value of the `tools` map; text names a built-in tool."""
ToolChoice = Annotated[
    Annotated[Name, Tag("<name>")]
    | Annotated[PythonTool, Tag("<python>")]
    | Annotated[AgentTool, Tag("<agent>")]
    | TaggedSourceEntry,
    _TOOL_FORM,
]
"""An item of an agent's `tools`; text names an entry of the `tools` map, else a built-in tool."""


# ---------------------------------------------------------------- routers, budgets, agents
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

    @model_validator(mode="after")
    def _refuse_two_knobs(self) -> Self:
        knobs = ("usd_per_query", "quality_per_usd", "expected_queries")
        given = [name for name in knobs if getattr(self, name) is not None]
        if len(given) > 1:
            raise PydanticCustomError(
                "several_given", "takes one of {both}", {"both": " and ".join(given), "key": given[1]}
            )
        return self


class RouterSpec(Spec):
    """A router; the one key it has is its kind."""

    # a new kind of router adds its class above, a field here, and its name to `one_of`
    one_of = ("rules", "fitted", "fastest")

    rules: RulesSpec | None = None
    fitted: FittedSpec | None = None
    fastest: FastestSpec | None = None

    @property
    def order(self) -> tuple[str, ...]:
        """The models the router may choose from."""
        if chosen := self.fitted or self.fastest:
            return chosen.models
        return self.rules.order if self.rules else ()


def _tool_calls_form(value: object) -> str:
    return "<by tool>" if isinstance(value, Mapping) else "<count>"


class BudgetSpec(Spec):
    """The limits of a run; what is not given is not limited."""

    usd: Dollars | None = None
    tokens: Count | None = None
    """Input and output tokens together."""
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    requests: Count | None = None
    """Model calls."""
    tool_calls: (
        Annotated[
            Annotated[Count, Tag("<count>")] | Annotated[dict[ToolName, Count], Tag("<by tool>")],
            Discriminator(_tool_calls_form),
        ]
        | None
    ) = None
    """Tool calls in all, or by tool."""
    seconds: Seconds | None = None
    """Wall time."""
    gpu_seconds: Seconds | None = None
    on_limit: Literal["answer", "raise"] = "answer"
    """At the limit: answer with what there is, or raise."""

    def to_budget(self) -> Budget:
        """Return the budget a run takes."""
        return Budget(**{name: getattr(self, name) for name in type(self).model_fields})


class BudgetAwareSpec(Spec):
    """Verify each answer before it stands; dig deeper or begin again elsewhere while the budget allows (BATS)."""

    proposals: Annotated[int, Field(ge=2, le=100), BeforeValidator(number)] | None = None
    """Answers that are proposed at most, 4 if not given."""


class PlanSpec(Spec):
    """Have a model plan the tool calls, and run those side by side that do not need each other."""

    when: Literal["always", "pays"] = "always"
    """Always, or where a plan is likely to be cheaper than a tool loop."""
    max_steps: PositiveCount | None = None
    """Steps of a plan at most, 32 if not given."""
    max_replans: Count | None = None
    """How often a plan is gone on with at most, once if not given."""
    concurrency: PositiveCount | None = None
    """Steps that run at a time, all that are ready if not given."""
    on_failure: Literal["isolate", "fail_fast"] = "isolate"
    """What a failed step does to the others: nothing but to those that need its result, or end them."""
    retries: Count = 0
    """Further tries of a step that fails."""


class PlannerSpec(Spec):
    """How a task is worked on; the one key it has is its kind."""

    one_of = ("budget_aware", "plan")

    budget_aware: BudgetAwareSpec | None = None
    plan: PlanSpec | None = None


class InstructionsFile(Spec):
    """Instructions kept in a text file."""

    file: Text
    """Relative to this file; ${…} in it stays as it is."""


def _instructions_form(value: object) -> str:
    return "<file>" if isinstance(value, Mapping | InstructionsFile) else "<text>"


class ToolSearchSpec(Spec):
    """How an agent with many tools finds those it offers for a task."""

    top: PositiveCount = 16
    """Tools that are offered at most."""
    by: Literal["words", "both"] = "words"
    """What is compared: words, or words and meaning (the `embed` extra)."""


def _learnable(quantile: float) -> float:
    if HIGHEST < quantile < 1:
        raise PydanticCustomError("not_learnable", f"should be {HIGHEST} at most, or 1")
    return quantile


_BETWEEN = {"exclusiveMinimum": HIGHEST, "exclusiveMaximum": 1}
Quantile = Annotated[
    float,
    Field(gt=0, le=1, json_schema_extra={"not": _BETWEEN}),
    BeforeValidator(number),
    AfterValidator(_learnable),
]


class AgentSpec(Spec):
    """An agent: a model or a router, tools, instructions and a budget."""

    model_config = ConfigDict(json_schema_extra={"dependentRequired": {"models": ["router"]}})
    one_of = ("model", "router")

    model: Name | None = None
    router: Name | None = None
    models: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """With a router: the models it may use, all of its order if not given."""
    budget: Name | None = None
    tools: tuple[ToolChoice, ...] = ()
    instructions: Annotated[
        Annotated[str, Tag("<text>")] | Annotated[InstructionsFile, Tag("<file>")],
        Discriminator(_instructions_form),
    ] = ""
    """The system prompt, or the file that holds it."""
    description: str = ""
    """What this agent is for; read by agents that have it as a tool."""
    tool_search: ToolSearchSpec | None = None
    """Without one the models are offered every tool."""
    planner: PlannerSpec | None = None
    """Without one a task is worked on in one tool loop."""
    max_steps: PositiveCount | None = None
    """Model calls of one run at most."""
    temperature: Annotated[float, Field(ge=0, le=2), BeforeValidator(number)] | None = None
    seed: Count | None = None
    reasoning_effort: Effort | None = None
    """How hard models that can think are asked to."""
    output_quantile: Quantile | None = None
    """Beside other calls that share too little, send the output cap that this share of earlier replies kept
    within; 1 waits for the whole cap instead."""
    finish_line_gate: Annotated[float, Field(ge=0), BeforeValidator(number)] | None = None
    """Typical calls that such a new one leaves room for."""
    retry: RetrySpec | None = None
    """How failed calls are made again; without it three times at most."""
    hedge: HedgeSpec | None = None
    """Make a second call where the first is late."""
    on_overflow: Literal["refuse", "trim", "summarise"] = "refuse"
    """A conversation that no model can read: end, leave out the oldest turns, or summarise those first."""
    policy: Name | None = None
    """What its tools may do."""
    fallbacks: dict[Trigger, Annotated[tuple[Name, ...], Field(min_length=1)]] = {}
    """Models that a failed call goes to, by the kind of its failure; `any` is every kind that is not listed."""

    @model_validator(mode="after")
    def _refuse_candidates_without_router(self) -> Self:
        if self.model is not None and self.models is not None:
            raise PydanticCustomError(
                "models_without_router", "takes models only with a router", {"key": "models"}
            )
        return self


class PoolSpec(Spec):
    """Several endpoints of one model; each call takes one."""

    endpoints: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Entries of `models`."""
    mode: Literal["adaptive", "cost", "capacity"] = "adaptive"
    """The cheapest endpoint, all alike, or the cheapest until it is saturated and all alike while it is."""


# ---------------------------------------------------------------- the whole file
class AppSpec(Spec):
    """An agent definition, complete."""

    version: Annotated[Literal[1], BeforeValidator(number)]
    include: tuple[Text, ...] = ()
    """Files merged below this one, relative to it: maps key by key, lists as a whole."""
    models: dict[Name, ModelSpec] = {}
    pools: dict[Name, PoolSpec] = {}
    """Models with several endpoints; named where models are."""
    tools: dict[ToolName, ToolEntry] = {}
    routers: dict[Name, RouterSpec] = {}
    budgets: dict[Name, BudgetSpec] = {}
    policies: dict[Name, PolicySpec] = {}
    agents: Annotated[dict[ToolName, AgentSpec], Field(min_length=1)]
    entry: Name
    """The agent that a task is given to."""

    @model_validator(mode="after")
    def _refuse_a_name_for_two_models(self) -> Self:
        if both := sorted(self.models.keys() & self.pools.keys()):
            raise PydanticCustomError(
                "name_taken", "has {name}, which is a model already", {"name": repr(both[0]), "key": "pools"}
            )
        return self
