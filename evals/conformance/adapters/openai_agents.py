# mypy: ignore-errors
# (its packages are in another environment)
"""OpenAI Agents: child agents that share one run context, which adds up their usage."""

from dataclasses import dataclass
from importlib.metadata import version

from agents import (
    Agent,
    Model,
    ModelResponse,
    ModelRetrySettings,
    ModelSettings,
    RunContextWrapper,
    Runner,
    Usage,
    set_trace_processors,
)
from openai.types.responses import ResponseOutputMessage, ResponseOutputText

from agentkit.evals.conformance.provider import Child, Provider
from agentkit.evals.conformance.subject import Recorded, Work

_NO_LIMIT = "a run is limited in turns only, not in tokens or money"


class Adapter:
    """The subject."""

    title = f"OpenAI Agents {version('openai-agents')}"
    lacks = {"limit": _NO_LIMIT, "nested_limits": _NO_LIMIT, "holds": "nothing is reserved before a call"}

    async def run(self, provider: Provider, limit: int | None, work: Work) -> Recorded:
        """Do the work with one context for all children."""
        set_trace_processors([])  # its default sends traces out
        context = RunContextWrapper(context=None)
        await work(_Account(provider, context))
        return Recorded(context.usage.total_tokens, context.usage.requests)


@dataclass(frozen=True, slots=True)
class _Account:
    provider: Provider
    context: RunContextWrapper

    async def call(self, child: Child) -> None:
        retry = ModelRetrySettings(
            max_retries=child.failures, backoff={"initial_delay": 0.0}, policy=lambda context: True
        )
        settings = ModelSettings(max_tokens=child.cap, retry=retry if child.failures else None)
        agent = Agent(name="child", model=_Model(self.provider, child), model_settings=settings)
        await Runner.run(agent, f"Report on part {child.number}.", context=self.context)


class _Model(Model):
    """A model whose replies come from the provider."""

    def __init__(self, provider: Provider, child: Child) -> None:
        self._provider, self._child = provider, child

    async def get_response(self, system_instructions, input, model_settings, *args, **kwargs) -> ModelResponse:
        reply = await self._provider.reply(self._child, model_settings.max_tokens)
        text = ResponseOutputText(annotations=[], text=reply.text, type="output_text")
        message = ResponseOutputMessage(
            id="message-1", content=[text], role="assistant", status="completed", type="message"
        )
        usage = Usage()
        if reply.has_usage:
            tokens = {"input_tokens": reply.input_tokens, "output_tokens": reply.output_tokens}
            usage = Usage(requests=1, total_tokens=sum(tokens.values()), **tokens)
        return ModelResponse(output=[message], usage=usage, response_id=None)

    def stream_response(self, *args, **kwargs):
        raise NotImplementedError("the cases do not stream")
