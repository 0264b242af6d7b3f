# mypy: ignore-errors
# (its packages are in another environment)
"""Inspect: children that generate within one `token_limit`, nested limits included."""

from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version

from inspect_ai.model import GenerateConfig, ModelAPI, ModelOutput, ModelUsage, get_model, modelapi
from inspect_ai.util import LimitExceededError, token_limit
from tenacity import wait_none

from agentkit.evals.conformance.provider import Child, Provider, ProviderDown
from agentkit.evals.conformance.subject import Recorded, Work


class Adapter:
    """The subject."""

    title = f"Inspect {version('inspect-ai')}"
    lacks = {"holds": "nothing is reserved before a call"}

    async def run(self, provider: Provider, limit: int | None, work: Work) -> Recorded:
        """Do the work within the limit, whose usage is the record; it counts no requests."""
        with token_limit(limit) as tokens:
            await work(_Account(provider))
        return Recorded(int(tokens.usage))


@dataclass(frozen=True, slots=True)
class _Account:
    provider: Provider

    async def call(self, child: Child) -> None:
        config = GenerateConfig(max_tokens=child.cap, max_retries=1)
        scripted = {"provider": self.provider, "child": child}
        model = get_model("conformance/scripted", config=config, memoize=False, **scripted)
        with suppress(LimitExceededError):
            await model.generate(f"Report on part {child.number}.")

    async def nested(self, limit: int, work: Work) -> None:
        with token_limit(limit):
            await work(self)


@modelapi(name="conformance")
class _Api(ModelAPI):
    """A model whose replies come from the provider."""

    def __init__(self, model_name, base_url, api_key, config, provider: Provider, child: Child) -> None:
        super().__init__(model_name, base_url, api_key, [], config)
        self._provider, self._child = provider, child

    async def generate(self, input, tools, tool_choice, config) -> ModelOutput:
        reply = await self._provider.reply(self._child, config.max_tokens)
        output = ModelOutput.from_content(self.model_name, reply.text)
        if reply.has_usage:
            tokens = {"input_tokens": reply.input_tokens, "output_tokens": reply.output_tokens}
            output.usage = ModelUsage(total_tokens=sum(tokens.values()), **tokens)
        return output

    def should_retry(self, ex: Exception) -> bool:
        return isinstance(ex, ProviderDown)

    def retry_wait(self) -> wait_none:
        return wait_none()
