"""What an agent definition may say about calls that fail, are late, or come too fast."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from agentkit.spec_parts import PositiveCount, Seconds, Spec, number

Share = Annotated[float, Field(gt=0, le=1), BeforeValidator(number)]


class LimitsSpec(Spec):
    """What the provider of a model allows; calls wait for it before they hold any of the budget."""

    requests_per_minute: PositiveCount | None = None
    tokens_per_minute: PositiveCount | None = None
    """Input and output tokens together."""
    concurrency: PositiveCount | None = None
    """Calls at once at most; after refusals there are fewer, whether this is given or not."""


class BreakerSpec(Spec):
    """When a model that keeps failing is left alone."""

    share: Share = 0.5
    """Failed calls among the last ones that open the circuit."""
    least_calls: PositiveCount = 5
    """Calls that must have been seen for that."""
    window: Annotated[Seconds, Field(gt=0)] = 30.0
    """Seconds that count as the last ones."""
    cool_down: Annotated[Seconds, Field(gt=0)] = 5.0
    """Seconds until one call is let through again; twice as long each time that one fails."""
    longest_cool_down: Annotated[Seconds, Field(gt=0)] = 60.0


class RetrySpec(Spec):
    """How often a failed call is made again, and after which pauses, in seconds."""

    attempts: PositiveCount = 3
    """Calls of a model in a turn, the first one included."""
    first_pause: Seconds = 0.5
    """Doubled with every attempt."""
    longest_pause: Seconds = 8.0
    longest_wait: Seconds = 60.0
    """A provider that asks for more (Retry-After) is given up."""
    patience: Seconds = 5.0
    """So is one that asks for more than this while another model could be asked."""


class HedgeSpec(Spec):
    """A second call where the first is late; both are charged."""

    quantile: Annotated[float, Field(gt=0, lt=1), BeforeValidator(number)] = 0.95
    """Late is slower than this share of the calls before."""
    least_calls: PositiveCount = 20
    """Calls that must have been seen for that."""
