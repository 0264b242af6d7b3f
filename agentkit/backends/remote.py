"""A model behind HTTP: one class for every dialect."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from urllib.parse import quote

import anyio

from agentkit.backends.base import assemble, whole
from agentkit.backends.dialect import Dialect
from agentkit.errors import BackendError, BadRequest, BadResponse, ConfigError, ContextOverflow
from agentkit.http import Endpoint, Timeouts, Transport
from agentkit.redaction import hide, hide_named
from agentkit.sse import ServerEvent
from agentkit.types import Completion, Delta, ModelCard, Request
from agentkit.usage import Bound

_DRAIN_SECONDS = 0.1
_LONGEST_TOKEN = 256  # bytes; twice the runs of spaces that are the longest tokens in use


class RemoteBackend:
    """The model of `card` at `base_url`, which speaks `dialect`.

    Without `api_key` no key is sent. `headers` go with every call, over those of the dialect. A prompt that is too
    long is the provider's to refuse, since tokens are not counted here; one that no tokenizer could fit into the
    context window is refused without a call.
    """

    def __init__(
        self,
        card: ModelCard,
        dialect: Dialect,
        *,
        base_url: str,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.card, self.dialect, self.base_url = card, dialect, base_url
        sent = sent_headers(dialect, api_key, headers)
        self._endpoint = Endpoint(card, base_url, headers=sent, timeouts=timeouts, transport=transport)

    async def complete(self, request: Request) -> Completion:
        """Return the whole reply."""
        body = self._body(request, stream=False)
        answer = await self._endpoint.post(self.dialect.path(self.card, stream=False), body)
        return self.dialect.parse_response(answer, self.card)

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Yield the reply in pieces; errors carry what had arrived.

        A connection that breaks after the finish reason loses only the usage record: the reply is whole.
        """
        if not self.card.capabilities.streaming:
            yield whole(await self.complete(request))
            return
        reply, sofar = self.dialect.stream(self.card), list[Delta]()
        body, path = self._body(request, stream=True), self.dialect.path(self.card, stream=True)
        try:
            async with aclosing(self._endpoint.events(path, body)) as batches:
                async for events in batches:
                    for event in events:
                        for delta in reply.feed(event):
                            sofar.append(delta)
                            yield delta
                        if reply.done:
                            break
                    if reply.done:
                        await _drain(batches)
                        break
            reply.last()  # raises if the reply was cut
        except BackendError as error:
            if not reply.finished:
                error.partial = assemble(sofar)
                raise
        yield reply.last()

    async def check(self) -> bool:
        """Ask for the provider's list of models, which is never billed, and tell whether it has this one.

        One that is not on it, being an alias or on a further page, is asked for by name; a list without names
        counts as having it. Raises BackendError.
        """
        names, model = _listed(await self._endpoint.get("models")), self.card.model.removeprefix("models/")
        if not names or model in names:
            return True
        try:
            await self._endpoint.get(f"models/{quote(model, safe='/:')}")
        except (BadRequest, BadResponse):
            return False
        return True

    def bound(self, request: Request) -> Bound:
        """Return the dialect's bound of the input at the card's dearest prices."""
        return Bound.at_price(self.dialect.input_bound(request, self.card), self.card.price)

    async def aclose(self) -> None:
        """Close the connections; a later call opens new ones."""
        await self._endpoint.aclose()

    def _body(self, request: Request, *, stream: bool) -> Mapping[str, object]:
        if not self.card.capabilities.images and any(message.images for message in request.messages):
            detail = "it takes no images; leave them out, or choose a model whose capabilities include images"
            raise BadRequest(self.card.name, detail)
        least = sum(len(message.text) for message in request.messages) // _LONGEST_TOKEN
        if least >= self.card.context_window:
            raise ContextOverflow(self.card.name, least, self.card.context_window)
        return self.dialect.build_request(request, self.card, stream=stream)


def sent_headers(dialect: Dialect, api_key: str | None, headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return the headers of every call, those of the caller over those of `dialect`.

    What a header cannot carry is refused here, without being quoted: the HTTP library would quote it.
    """
    key = (api_key or "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError("api_key has characters that a header cannot carry; copy it again")
    hide(key)
    for name, value in (headers or {}).items():
        if not (value.isascii() and value.isprintable()):
            raise ConfigError(f"header {name!r} has characters that a header cannot carry; copy it again")
        hide_named(name, value)
    own = {name.lower(): value for name, value in (headers or {}).items()}
    return {**dialect.headers(key or None), **own}


def _listed(answer: object) -> set[str]:
    """Return the names in a list of models, which is OpenAI's and Anthropic's `data` or Google's `models`."""
    fields = answer if isinstance(answer, Mapping) else {}
    rows = fields.get("data") or fields.get("models")
    names = (
        [row.get("id") or row.get("name") for row in rows if isinstance(row, Mapping)]
        if isinstance(rows, list)
        else []
    )
    return {name.removeprefix("models/") for name in names if isinstance(name, str)}


async def _drain(batches: AsyncGenerator[list[ServerEvent], None]) -> None:
    """Read to the end of the body, briefly, which lets the connection be used again."""
    with anyio.move_on_after(_DRAIN_SECONDS):
        async for _ in batches:
            pass
