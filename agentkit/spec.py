"""What an agent definition may say: the pydantic models of the YAML.

`AppSpec` is the whole file. `definition.read_definition` fills it from YAML, `schema.json_schema` describes it
to editors. Whether the names of other entries (a model, a budget, …) exist is checked in `references`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    SecretStr,
    StringConstraints,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError

from agentkit.costs import MAX_AMOUNT, NANO, Budget
from agentkit.usage import Price
from agentkit.yaml_reader import NUMBER

BuiltinTool = Literal["calculate"]
BUILTIN_TOOLS = get_args(BuiltinTool)
NAME = r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$"
TOOL_NAME = r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"
FUNCTION = r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$"
SPELLING = {
    NAME: "should be a name: letters, digits, '_', '.' and '-', at most 64, a letter first",
    TOOL_NAME: "should be a name: letters, digits, '_' and '-', at most 64, a letter first",
    FUNCTION: "should look like package.module:function",
}
"""What each pattern asks for, in words."""


# ---------------------------------------------------------------- scalars
def _number(value: object) -> object:
    """Refuse what pydantic would quietly turn into a number: booleans, and text such as 20_000."""
    if isinstance(value, bool):
        raise PydanticCustomError("number_expected", "should be a number, not true or false")
    if isinstance(value, float) and not math.isfinite(value):
        raise PydanticCustomError("number_expected", "should be a finite number")
    if isinstance(value, int | float | Decimal) or isinstance(value, str) and re.fullmatch(NUMBER, value):
        return value
    hint = "write 20000, not 20_000: YAML 1.2 reads the latter as text" if "_" in str(value) else ""
    raise PydanticCustomError("number_expected", "should be a number", {"hint": hint})


def _flag(value: object) -> object:
    """Take only true and false: YAML 1.2 reads yes, no, on and off as text."""
    if isinstance(value, bool) or value in ("true", "false"):
        return value
    raise PydanticCustomError("flag_expected", "should be true or false")


def _address(value: str) -> str:
    """Take an http(s) address that names a host and carries no credentials."""
    try:
        parts = urlsplit(value)
    except ValueError:  # its text would quote the address
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PydanticCustomError("address_expected", "should start with http:// or https:// and name a host")
    if parts.username or parts.password:
        raise PydanticCustomError("address_credentials", "should not carry credentials", {"hint": "use api_key"})
    return value


Name = Annotated[str, StringConstraints(pattern=NAME)]
ToolName = Annotated[str, StringConstraints(pattern=TOOL_NAME)]
Text = Annotated[str, StringConstraints(min_length=1)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Count = Annotated[int, Field(ge=0, le=MAX_AMOUNT), BeforeValidator(_number)]
PositiveCount = Annotated[int, Field(ge=1, le=MAX_AMOUNT), BeforeValidator(_number)]
Seconds = Annotated[float, Field(ge=0, le=MAX_AMOUNT // 10**6), BeforeValidator(_number)]
Dollars = Annotated[
    Decimal,
    Field(ge=0, le=MAX_AMOUNT // NANO),
    BeforeValidator(_number),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": MAX_AMOUNT // NANO}),
]


# ---------------------------------------------------------------- maps
class _Spec(BaseModel):
    """A map of the file: frozen, unknown keys refused with what the known ones are."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )
    one_of: ClassVar[tuple[str, ...]] = ()
    """Keys of which exactly one must be given."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: object) -> object:
        # pydantic's own error for an extra key does not say which keys there are
        if isinstance(data, Mapping):
            for key in data:
                if key not in cls.model_fields:
                    known = list(cls.model_fields)
                    raise PydanticCustomError("unknown_key", "unknown key", {"key": str(key), "known": known})
        return data

    @model_validator(mode="after")
    def _require_one(self) -> Self:
        given = [key for key in self.one_of if getattr(self, key) is not None]
        if self.one_of and not given:
            raise PydanticCustomError("none_given", "needs {keys}", {"keys": " or ".join(self.one_of)})
        if len(given) > 1:
            both = " and ".join(given)
            raise PydanticCustomError("several_given", "takes one of {both}", {"both": both, "key": given[-1]})
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core)
        if cls.one_of:
            handler.resolve_ref_schema(schema)["oneOf"] = [{"required": [key]} for key in cls.one_of]
        return schema


class PriceSpec(_Spec):
    """Dollars per million tokens."""

    input: Dollars
    output: Dollars
    cache_read: Dollars | None = None
    """Input tokens read from the provider's cache; as `input` if not given."""
    cache_write: Dollars | None = None
    """Input tokens written to the provider's cache; as `input` if not given."""

    def to_price(self) -> Price:
        """Return the price as the ledger computes with it."""
        return Price(self.input, self.output, self.cache_read, self.cache_write)


class _ModelSpec(_Spec):
    price: PriceSpec | None = None
    """Dollars per million tokens; without it the price table is asked."""
    quality: Annotated[float, Field(ge=0, le=1), BeforeValidator(_number)] | None = None
    """Prior probability, 0 to 1, of answering a typical step well."""


class LocalModelSpec(_ModelSpec):
    """An open model on this machine's CPU or GPU: a folder in Hugging Face format, or one of the zoo."""

    one_of = ("path", "zoo")

    backend: Literal["local"]
    path: Text | None = None
    """Folder of the checkpoint, relative to this file."""
    zoo: Literal["nano", "pico"] | None = None
    """A model shipped with agentkit."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: PositiveCount | None = None
    """CPU threads the model computes with."""


class OpenAIModelSpec(_ModelSpec):
    """A model behind an OpenAI-compatible chat completions address."""

    backend: Literal["openai"]
    model: Text
    """The name the provider knows."""
    base_url: Annotated[str, AfterValidator(_address)] | None = None
    api_key: SecretStr | None = None
    """Write ${env:NAME}, never the key itself."""
    context_window: PositiveCount | None = None
    """Tokens of prompt and answer together."""
    max_output_tokens: PositiveCount | None = None
    """Largest output cap a request may ask for."""
    capabilities: dict[Capability, Flag] = {}
    """What differs from the backend's defaults."""
    token_cap_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    """Name of the request field that carries the output cap."""


Capability = Literal[
    "tools",
    "streaming",
    "temperature",
    "system",
    "seed",
    "stop",
    "logprobs",
    "json_schema",
    "stop_ends_billing",
    "streams_every_billed_token",
]
ModelSpec = Annotated[LocalModelSpec | OpenAIModelSpec, Field(discriminator="backend")]


# ---------------------------------------------------------------- tools
class ToolCost(_Spec):
    """What one call of a tool costs at most."""

    usd: Dollars


class PythonTool(_Spec):
    """A Python function as a tool."""

    python: Annotated[str, StringConstraints(pattern=FUNCTION)]
    """`package.module:function`."""
    cost: ToolCost | None = None
    timeout: Annotated[float, Field(gt=0), BeforeValidator(_number)] | None = None
    """Seconds."""


class AgentTool(_Spec):
    """Another agent of this file as a tool."""

    agent: Name
    description: Text | None = None
    """What the calling model reads; the agent's own description if not given."""


def _tool_form(value: object) -> str | None:
    # in angle brackets, so that a tag in an error's location is never taken for a key
    if isinstance(value, str):
        return "<name>"
    given = value if isinstance(value, Mapping) else getattr(value, "model_fields_set", ())
    return next((f"<{form}>" for form in ("python", "agent") if form in given), None)


_TOOL_FORM = Discriminator(
    _tool_form,
    custom_error_type="tool_form",
    custom_error_message="should be a tool: a name, {python: module:function} or {agent: name}",
)
ToolEntry = Annotated[
    Annotated[BuiltinTool, Tag("<name>")]
    | Annotated[PythonTool, Tag("<python>")]
    | Annotated[AgentTool, Tag("<agent>")],
    _TOOL_FORM,
]
"""A value of the `tools` map; text names a built-in tool."""
ToolChoice = Annotated[
    Annotated[Name, Tag("<name>")] | Annotated[PythonTool, Tag("<python>")] | Annotated[AgentTool, Tag("<agent>")],
    _TOOL_FORM,
]
"""An item of an agent's `tools`; text names an entry of the `tools` map, else a built-in tool."""


# ---------------------------------------------------------------- routers, budgets, agents
class RulesSpec(_Spec):
    """Call the first model that fits the budget; go on to the next when its reply does not validate."""

    order: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Models, cheapest first."""


class RouterSpec(_Spec):
    """A router; the one key it has is its kind."""

    # a new kind of router adds its class above, a field here, and its name to `one_of`
    one_of = ("rules",)

    rules: RulesSpec | None = None

    @property
    def order(self) -> tuple[str, ...]:
        """The models the router may choose from."""
        return self.rules.order if self.rules else ()


def _tool_calls_form(value: object) -> str:
    return "<by tool>" if isinstance(value, Mapping) else "<count>"


class BudgetSpec(_Spec):
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


class InstructionsFile(_Spec):
    """Instructions kept in a text file."""

    file: Text
    """Relative to this file; ${…} in it stays as it is."""


def _instructions_form(value: object) -> str:
    return "<file>" if isinstance(value, Mapping | InstructionsFile) else "<text>"


class AgentSpec(_Spec):
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
    max_steps: PositiveCount | None = None
    """Model calls of one run at most."""
    temperature: Annotated[float, Field(ge=0, le=2), BeforeValidator(_number)] | None = None
    seed: Count | None = None

    @model_validator(mode="after")
    def _refuse_candidates_without_router(self) -> Self:
        if self.model is not None and self.models is not None:
            raise PydanticCustomError(
                "models_without_router", "takes models only with a router", {"key": "models"}
            )
        return self


# ---------------------------------------------------------------- the whole file
class AppSpec(_Spec):
    """An agent definition, complete."""

    version: Annotated[Literal[1], BeforeValidator(_number)]
    include: tuple[Text, ...] = ()
    """Files merged below this one, relative to it: maps key by key, lists as a whole."""
    models: dict[Name, ModelSpec] = {}
    tools: dict[ToolName, ToolEntry] = {}
    routers: dict[Name, RouterSpec] = {}
    budgets: dict[Name, BudgetSpec] = {}
    agents: Annotated[dict[ToolName, AgentSpec], Field(min_length=1)]
    entry: Name
    """The agent that a task is given to."""
