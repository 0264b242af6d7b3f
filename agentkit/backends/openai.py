"""A model behind any server that speaks the OpenAI chat-completions dialect."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from urllib.parse import urlsplit

import anyio

from agentkit.backends.base import Assembler, whole
from agentkit.backends.openai_wire import ChatStream, TokenCapField, build_request, input_bound, parse_response
from agentkit.errors import BackendError, ConfigError
from agentkit.http import Endpoint, ServerEvent, Timeouts, Transport
from agentkit.types import Completion, Delta, ModelCard, Request
from agentkit.usage import Bound

_DRAIN_SECONDS = 0.1


class OpenAIBackend:
    """A model behind an OpenAI-compatible `base_url`.

    Without `api_key` no Authorization header is sent. `token_cap_field` names the field of the output cap;
    by default it is `max_completion_tokens` at OpenAI and Azure, whose reasoning models refuse the older
    `max_tokens`, and `max_tokens` elsewhere, which every compatible server knows: a server that skipped an
    unknown cap would break the bound.
    """

    def __init__(
        self,
        card: ModelCard,
        *,
        base_url: str = "https://api.openai.com/v1",
        api_key: str | None = None,
        token_cap_field: TokenCapField | None = None,
        timeouts: Timeouts | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.card = card
        self._token_cap_field = token_cap_field or _default_cap_field(base_url)
        self._endpoint = Endpoint(
            card, base_url, headers=_headers(api_key), timeouts=timeouts, transport=transport
        )

    async def complete(self, request: Request) -> Completion:
        """Return the whole reply."""
        body = build_request(request, self.card, token_cap_field=self._token_cap_field)
        return parse_response(await self._endpoint.post("chat/completions", body), self.card)

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Yield the reply in pieces; errors carry what had arrived.

        A connection that breaks after the finish reason loses only the usage record: the reply is whole.
        """
        if not self.card.capabilities.streaming:
            yield whole(await self.complete(request))
            return
        reply, sofar = ChatStream(self.card), Assembler()
        body = build_request(request, self.card, token_cap_field=self._token_cap_field, stream=True)
        try:
            async with aclosing(self._endpoint.events("chat/completions", body)) as events:
                async for event in events:
                    for delta in reply.feed(event):
                        sofar.add(delta)
                        yield delta
                    if reply.done:
                        await _drain(events)
                        break
            reply.last()  # raises if the reply was cut
        except BackendError as error:
            if not reply.finished:
                error.partial = sofar.partial()
                raise
        yield reply.last()

    def bound(self, request: Request) -> Bound:
        """Return the bound of `input_bound` at the card's dearest prices."""
        return Bound.at_price(input_bound(request, self.card), self.card.price)

    async def aclose(self) -> None:
        """Close the connections; a later call opens new ones."""
        await self._endpoint.aclose()


def _default_cap_field(base_url: str) -> TokenCapField:
    host = urlsplit(base_url).hostname or ""
    newer = host.endswith((".openai.com", ".openai.azure.com"))
    return "max_completion_tokens" if newer else "max_tokens"


def _headers(api_key: str | None) -> dict[str, str]:
    key = (api_key or "").strip()
    if not (key.isascii() and key.isprintable()):  # caught here, since the HTTP library would quote the key
        raise ConfigError("api_key has characters that a header cannot carry; copy it again")
    return {"authorization": f"Bearer {key}"} if key else {}


async def _drain(events: AsyncGenerator[ServerEvent, None]) -> None:
    """Read to the end of the body, briefly, which lets the connection be used again."""
    with anyio.move_on_after(_DRAIN_SECONDS):
        async for _ in events:
            pass
