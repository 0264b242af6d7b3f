"""Azure's OpenAI deployments: chat completions under a path, a version and a key header of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import quote

from agentkit.backends.openai_chat import OpenAIChat, TokenCapField
from agentkit.types import ModelCard

API_VERSION = "2024-10-21"
"""The newest version that is generally available for deployment paths."""


@dataclass(frozen=True, slots=True)
class AzureChat(OpenAIChat):
    """POST openai/deployments/MODEL/chat/completions, where `ModelCard.model` is the name of the deployment.

    The base URL is that of the resource, such as https://NAME.openai.azure.com. Azure's newer `…/openai/v1` paths
    are spoken to with `OpenAIChat` and `OpenAIResponses`.
    """

    token_cap_field: TokenCapField = "max_completion_tokens"
    api_version: str = API_VERSION
    name: ClassVar[str] = "azure"

    def headers(self, api_key: str | None) -> dict[str, str]:
        """Return the api-key header, if there is a key."""
        return {"api-key": api_key} if api_key else {}

    def path(self, card: ModelCard, *, stream: bool) -> str:
        """Return the path of the deployment."""
        query = f"api-version={quote(self.api_version, safe='')}"
        return f"openai/deployments/{quote(card.model, safe='')}/chat/completions?{query}"
