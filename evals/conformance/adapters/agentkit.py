"""agentkit itself: a parent agent whose tool runs child agents in its own budget scope."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

import agentkit
from agentkit.agent import Agent
from agentkit.backends.base import whole
from agentkit.backends.fake import calls
from agentkit.budgets import Ledger, Scope
from agentkit.costs import Budget
from agentkit.errors import BackendUnavailable
from agentkit.evals.conformance.provider import PROMPT_TOKENS, Child, Provider, ProviderDown
from agentkit.evals.conformance.subject import Feature, Recorded, Work
from agentkit.messages import assistant
from agentkit.tools import Context, tool
from agentkit.types import Completion, Delta, ModelCard, Request
from agentkit.usage import Bound, Usage

_PARENT = Child(-1, length=5, cap=32)


class Adapter:
    """The subject."""

    title = f"agentkit {agentkit.__version__}"
    lacks: Mapping[Feature, str] = {}

    async def run(self, provider: Provider, limit: int | None, work: Work) -> Recorded:
        """Run the parent; the books are read in the scope around it, after it has ended."""
        with Ledger.open() as ledger:
            scope = ledger.scope("conformance")
            parent = Agent(_Model("parent", provider, _PARENT), tools=[fan_out], max_output_tokens=_PARENT.cap)
            task = _Task(provider, work)
            await parent.run("Fan out, then answer.", budget=Budget(tokens=limit), context=task, scope=scope)
            view = scope.view()
        return Recorded(view.spent["tokens"], view.spent["requests"], view.held["tokens"])


@dataclass(frozen=True, slots=True)
class _Task:
    provider: Provider
    work: Work


@tool(timeout=None)
async def fan_out(context: Context[_Task]) -> str:
    """Hand out the parts and collect the reports."""
    assert context.scope is not None
    await context.value.work(_Account(context.value.provider, context.scope))
    return "All parts are in."


@dataclass(frozen=True, slots=True)
class _Account:
    provider: Provider
    scope: Scope

    async def call(self, child: Child) -> None:
        models = [_Model(f"model-{place}", self.provider, child) for place in range(1 + child.failures)]
        await Agent(models, max_output_tokens=child.cap).run(f"Report on part {child.number}.", scope=self.scope)

    async def nested(self, limit: int, work: Work) -> None:
        async with self.scope.share({"tokens": limit}) as scope:
            await work(_Account(self.provider, scope))


class _Model:
    """A backend whose replies come from the provider; the parent's calls the tool first."""

    def __init__(self, name: str, provider: Provider, child: Child) -> None:
        self.card = ModelCard(name, "conformance", name)
        self._provider, self._child = provider, child

    async def complete(self, request: Request) -> Completion:
        try:
            reply = await self._provider.reply(self._child, request.max_output_tokens)
        except ProviderDown as error:
            raise BackendUnavailable(self.card.name, str(error)) from error
        usage = Usage(reply.input_tokens, output_tokens=reply.output_tokens) if reply.has_usage else None
        if request.tools and request.messages[-1].role == "user":
            return Completion(calls((fan_out.name, {})).message, "tool_calls", usage)
        return Completion(assistant(reply.text), "stop" if reply.whole else "length", usage)

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        yield whole(await self.complete(request))

    def bound(self, request: Request) -> Bound:
        return Bound.at_price(PROMPT_TOKENS, None)

    async def aclose(self) -> None:
        pass
