"""What an agent definition may say about models: their price, their address, and what they can do."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from agentkit.costs import MAX_AMOUNT
from agentkit.resilience_spec import BreakerSpec, LimitsSpec
from agentkit.spec_parts import HEADER, Dollars, Flag, PositiveCount, Spec, Text, address, number
from agentkit.usage import Price, Tier


class RatesSpec(Spec):
    """Dollars per million tokens; what is not given costs as `input`."""

    input: Dollars
    output: Dollars
    cache_read: Dollars | None = None
    """Input tokens read from the provider's cache."""
    cache_write: Dollars | None = None
    """Input tokens written to the provider's cache."""
    cache_write_1h: Dollars | None = None
    """Those that are kept for an hour; as `cache_write` if not given."""
    image: Dollars | None = None
    """Input tokens of pictures."""

    def to_price(self) -> Price:
        """Return the price as the ledger computes with it."""
        return Price(self.input, self.output, self.cache_read, self.cache_write, self.cache_write_1h, self.image)


class TierSpec(RatesSpec):
    """The rates of calls with a long prompt."""

    above: PositiveCount
    """Tokens of prompt, cached ones included, above which these rates hold for the whole call."""


class PriceSpec(RatesSpec):
    """Dollars per million tokens; what is not given costs as `input`."""

    tiers: tuple[TierSpec, ...] = ()
    """Rates of longer prompts, the lowest threshold first."""
    multipliers: dict[Text, Dollars] = {}
    """What a service tier such as batch, flex or priority multiplies the price with; dearer ones raise bounds."""

    @model_validator(mode="after")
    def _require_rising_tiers(self) -> Self:
        starts = [tier.above for tier in self.tiers]
        if starts != sorted(set(starts)):
            raise PydanticCustomError("tiers_order", "should begin with the lowest tier", {"key": "tiers"})
        return self

    def to_price(self) -> Price:
        """Return the price as the ledger computes with it."""
        tiers = tuple(Tier(tier.above, tier.to_price()) for tier in self.tiers)
        return replace(super().to_price(), tiers=tiers, multipliers=self.multipliers)


class _ModelSpec(Spec):
    price: PriceSpec | None = None
    """Dollars per million tokens; without it the price table is asked."""
    usd_per_call: Dollars | None = None
    """What one call costs at most, where neither price nor usage bounds it; that is what is held and charged."""
    quality: Annotated[float, Field(ge=0, le=1), BeforeValidator(number)] | None = None
    """Prior probability, 0 to 1, of answering a typical step well."""
    limits: LimitsSpec | None = None
    """What its provider allows in a minute and at once."""
    breaker: BreakerSpec | None = None
    """When it is left alone after failures."""


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


class TimeoutsSpec(Spec):
    """Limits of one call in seconds."""

    connect: PositiveSeconds = 10.0
    first_token: PositiveSeconds = 120.0
    """From the start of a stream to its first event."""
    between_chunks: PositiveSeconds = 60.0
    """From one event of a stream to the next."""
    total: PositiveSeconds = 600.0
    """Over the whole call, streamed or not."""


class CacheSpec(Spec):
    """Replies kept in a file, so that the same request is answered again for nothing."""

    path: Text
    """A SQLite file, relative to this file; models and processes may share it."""
    ttl: PositiveSeconds | None = None
    """Seconds for which a reply is good; for ever if not given."""
    max_megabytes: PositiveCount = 256
    """Beyond that the replies go that were not used for longest."""
    sampled: Flag = False
    """Whether replies to a temperature above 0 are kept too."""


class _RemoteModelSpec(_ModelSpec):
    """A model behind an address."""

    model: Text
    """The name the provider knows."""
    base_url: Annotated[str, AfterValidator(address)] | None = None
    """The provider's own address if not given."""
    api_key: SecretStr | None = None
    """Write ${env:NAME}, never the key itself; the provider's own variable if not given."""
    headers: dict[HeaderName, SecretStr] = {}
    """Sent with every call."""
    timeouts: TimeoutsSpec | None = None
    """Limits of one call in seconds."""
    cache: CacheSpec | None = None
    """Keep replies and answer the same request from them."""
    context_window: PositiveCount | None = None
    """Tokens of prompt and answer together."""
    max_output_tokens: PositiveCount | None = None
    """Largest output cap a request may ask for."""
    image_tokens: PositiveCount | None = None
    """Most input tokens that one image is billed as."""
    capabilities: dict[Capability, Flag] = {}
    """What differs from what is known of the model."""


class OpenAIModelSpec(_RemoteModelSpec):
    """A model behind an OpenAI-compatible chat completions address."""

    backend: Literal["openai"]
    token_cap_field: TokenCapField | None = None
    """Name of the request field that carries the output cap."""


class AzureModelSpec(_RemoteModelSpec):
    """A chat deployment of Azure's, by its name."""

    backend: Literal["azure"]
    api_version: Text | None = None


class MakerModelSpec(_RemoteModelSpec):
    """A model behind the OpenAI responses, Anthropic messages or Gemini interface."""

    backend: Literal["openai-responses", "anthropic", "gemini"]


Capability = Literal[
    "tools",
    "streaming",
    "temperature",
    "system",
    "seed",
    "stop",
    "logprobs",
    "json_schema",
    "images",
    "reasoning_effort",
    "cache_control",
    "prefill",
    "stop_ends_billing",
    "streams_every_billed_token",
]
TokenCapField = Literal["max_tokens", "max_completion_tokens"]
HeaderName = Annotated[str, StringConstraints(pattern=HEADER)]
PositiveSeconds = Annotated[float, Field(gt=0, le=MAX_AMOUNT // 10**6), BeforeValidator(number)]
RemoteSpec = OpenAIModelSpec | AzureModelSpec | MakerModelSpec
ModelSpec = Annotated[LocalModelSpec | RemoteSpec, Field(discriminator="backend")]
