# mypy: ignore-errors
# (its packages are in another environment)
"""PydanticAI: child agents that share one `RunUsage` under `UsageLimits(total_tokens_limit=…)`."""

from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version

from pydantic_ai import Agent, ModelHTTPError, UsageLimitExceeded
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models import Model
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.usage import RequestUsage, RunUsage, UsageLimits

from agentkit.evals.conformance.provider import Child, Provider, ProviderDown
from agentkit.evals.conformance.subject import Recorded, Work


class Adapter:
    """The subject."""

    title = f"PydanticAI {version('pydantic-ai-slim')}"
    lacks = {
        "nested_limits": "limits are checked against one RunUsage, and a run adds to one only",
        "holds": "nothing is reserved before a call",
    }

    async def run(self, provider: Provider, limit: int | None, work: Work) -> Recorded:
        """Do the work with one usage for all children."""
        usage = RunUsage()
        await work(_Account(provider, usage, UsageLimits(total_tokens_limit=limit, request_limit=None)))
        return Recorded(usage.total_tokens, usage.requests)


@dataclass(frozen=True, slots=True)
class _Account:
    provider: Provider
    usage: RunUsage
    limits: UsageLimits

    async def call(self, child: Child) -> None:
        model = _Model(self.provider, child)
        agent = Agent(FallbackModel(model, *[model] * child.failures), model_settings={"max_tokens": child.cap})
        with suppress(UsageLimitExceeded):
            await agent.run(f"Report on part {child.number}.", usage=self.usage, usage_limits=self.limits)


class _Model(Model):
    """A model whose replies come from the provider."""

    model_name, system = "scripted", "conformance"

    def __init__(self, provider: Provider, child: Child) -> None:
        super().__init__()
        self._bills_to, self._child = provider, child  # `_provider` is the base class's own

    async def request(self, messages, model_settings, model_request_parameters) -> ModelResponse:
        try:
            reply = await self._bills_to.reply(self._child, (model_settings or {}).get("max_tokens"))
        except ProviderDown as error:
            raise ModelHTTPError(503, self.model_name) from error
        usage = RequestUsage(unmeasured_requests=1)
        if reply.has_usage:
            usage = RequestUsage(input_tokens=reply.input_tokens, output_tokens=reply.output_tokens)
        return ModelResponse(parts=[TextPart(reply.text)], usage=usage, model_name=self.model_name)
