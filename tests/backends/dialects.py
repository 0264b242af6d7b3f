"""Every dialect as a backend on a provider; a new one gains the tests that use this by one line."""

from __future__ import annotations

from collections.abc import Mapping

from agentkit.backends import RemoteBackend
from agentkit.backends.anthropic import Anthropic
from agentkit.backends.azure import AzureChat
from agentkit.backends.dialect import Dialect
from agentkit.backends.gemini import Gemini
from agentkit.backends.openai_chat import OpenAIChat
from agentkit.backends.openai_responses import OpenAIResponses
from agentkit.backends.provider import Provider
from agentkit.backends.provider.script import PRICE
from agentkit.backends.provider.server import Dialect as Name
from agentkit.http import Timeouts
from agentkit.types import Capabilities, ModelCard

CAN = Capabilities(json_schema=True, reasoning_effort=True, cache_control=True)
DIALECTS: Mapping[Name, Dialect] = {
    "openai": OpenAIChat(),
    "openai-responses": OpenAIResponses(),
    "anthropic": Anthropic(),
    "gemini": Gemini(),
    "azure": AzureChat(),
}


def remote(
    name: Name, provider: Provider, *, model: str = "model-1", timeouts: Timeouts | None = None
) -> RemoteBackend:
    """Return the model of `provider` that `dialect` reads."""
    card = ModelCard(model, name, model, price=PRICE, capabilities=CAN)
    return RemoteBackend(card, DIALECTS[name], base_url=provider.url(name), api_key="key", timeouts=timeouts)
