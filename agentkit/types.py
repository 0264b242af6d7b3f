"""The vocabulary every layer shares: models, requests, completions, receipts.

Frozen, slotted dataclasses over the amounts of `costs.py` and `usage.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from agentkit.costs import Cost
from agentkit.messages import Message, Native
from agentkit.usage import Price, Usage


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model and its server can do; nothing is sent that is refused.

    `stop_ends_billing`: a disconnect ends the bill. `streams_every_billed_token`: each billed output token
    is seen in the stream. `cache_control`: prompt-cache breakpoints are sent, since the provider caches only what
    it is told to. `prefill`: a conversation that ends with an assistant turn is gone on with inside that turn.
    """

    tools: bool = True
    streaming: bool = True
    temperature: bool = True
    system: bool = True
    seed: bool = True
    stop: bool = True
    logprobs: bool = False
    json_schema: bool = False
    images: bool = True
    reasoning_effort: bool = False
    cache_control: bool = False
    prefill: bool = False
    stop_ends_billing: bool = False
    streams_every_billed_token: bool = False

    @property
    def metered(self) -> bool:
        """Whether a call that is cut short is billed what its deltas' usage said last."""
        return self.stop_ends_billing and self.streams_every_billed_token


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model as routers and the catalog see it.

    `quality` is a prior in 0..1 of answering a typical step well, None when unknown. `image_tokens` is the most
    input tokens one image is billed as; None leaves it to the dialect. `usd_per_call` is the most dollars that one
    call is said to cost where nothing else bounds them; such a call is charged that much, or its usage at a price.
    """

    name: str
    backend: str
    model: str
    price: Price | None = None
    context_window: int = 128_000
    max_output_tokens: int = 4_096
    quality: float | None = None
    capabilities: Capabilities = field(default_factory=Capabilities)
    image_tokens: int | None = None
    usd_per_call: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a model sees it; `parameters` is a JSON schema of type object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


Effort = Literal["none", "minimal", "low", "medium", "high"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One model call. `max_output_tokens` is always sent, so that the bound is real; it includes reasoning."""

    messages: tuple[Message, ...]
    max_output_tokens: int
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: Literal["auto", "none", "required"] = "auto"
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: bool = False
    output_schema: Mapping[str, Any] | None = None
    reasoning_effort: Effort | None = None


FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A sampled token's text and natural-log probability.

    `margin` is how far the likeliest token stood before the second likeliest, in natural log; None where unknown.
    """

    text: str
    logprob: float
    margin: float | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A model's whole reply; `usage` is None when the provider sent no usage record."""

    message: Message
    finish_reason: FinishReason
    usage: Usage | None = None
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of the `index`-th tool call; id and name come once, arguments concatenate."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)  # frozen, it would take three times as long to make, which a stream does for every token
class Delta:
    """A piece of a streamed reply; the last one carries the finish reason, usage and `native` if there are any.

    `thinking` is reasoning text that the provider shows; it is no part of the answer. Nobody changes one.
    """

    text: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    thinking: str = ""
    native: Native | None = None


HoldState = Literal["reserved", "dispatched", "settled", "voided", "charged_full"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """The final record of a hold: what was held, what was charged, and how it ended.

    `estimated` says that no usage record came and the full hold was charged; `overrun` is what the
    provider billed above the hold.
    """

    id: str
    scope: str
    what: str
    state: HoldState
    held: Cost
    charged: Cost
    estimated: bool = False
    overrun: Cost = field(default_factory=Cost)


class ScopeView(NamedTuple):
    """The state of a scope at one instant, by resource; resources absent from `limits` have none.

    `available` is what a new hold could take here and in every ancestor, for limited resources only.
    """

    name: str
    limits: Mapping[str, int]
    held: Cost
    allotted: Cost
    spent: Cost
    available: Mapping[str, int]
    frozen: bool = False


Status = Literal["complete", "degraded", "exhausted", "infeasible"]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A finished conversation and the tools it was offered: what a model can be trained on."""

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
