"""A provider on loopback that speaks every dialect, plays a script, and keeps its own bill."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from agentkit.backends.provider.anthropic import AnthropicFace
from agentkit.backends.provider.bill import Billed, total
from agentkit.backends.provider.brain import Brain
from agentkit.backends.provider.embeddings import texts_of
from agentkit.backends.provider.face import UNREADABLE, Face, unreadable
from agentkit.backends.provider.faults import Fault
from agentkit.backends.provider.gemini import GeminiFace
from agentkit.backends.provider.listing import anthropic_listing, gemini_listing, openai_listing
from agentkit.backends.provider.openai_chat import ChatFace
from agentkit.backends.provider.openai_responses import ResponsesFace
from agentkit.backends.provider.script import Model, Script
from agentkit.costs import Cost
from agentkit.errors import ConfigError, MissingExtra

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from agentkit.backends.provider.wire import Played, Wire
except ImportError as error:
    raise MissingExtra("serve", "starlette") from error

Dialect = Literal["openai", "openai-responses", "anthropic", "gemini", "azure"]

_FACES: Mapping[str, Face] = {
    "/v1/chat/completions": ChatFace(),
    "/openai/deployments/{model}/chat/completions": ChatFace(),  # Azure
    "/v1/responses": ResponsesFace(),
    "/v1/messages": AnthropicFace(),
    "/v1/models/{model}:{verb}": GeminiFace(),
    "/v1beta/models/{model}:{verb}": GeminiFace(),
}


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came: its path, its headers in lower case, and the JSON of its body."""

    path: str
    headers: Mapping[str, str]
    body: Any


class Provider:
    """A fake provider for tests, in a thread of its own: `with Provider("Hello.") as provider: …`.

    `models` is a script that answers to every name, or one for each model, which are then all there are. A script
    is what `ScriptedBackend` takes: a text, a `Reply`, a sequence of them, or a function of the request. `faults`
    say call by call what goes wrong, see `at_random`, and `seed` says where in a stream. Prefixes of at least
    `cache_from` tokens are cached, as the real provider of each dialect does it. `pause` is what some refused
    callers are told to wait, in seconds. `requests` and `bill` log what came in and what is charged: in full, and
    before the reply leaves, so that hanging up saves nothing. `bill_file` takes the bill as lines of JSON.
    A port that cannot be had is a ConfigError when it is entered.
    """

    def __init__(
        self,
        models: Script | Mapping[str, Script | Model],
        *,
        faults: Iterable[Fault | None] = (),
        seed: int = 0,
        cache_from: int = 1_024,
        pause: float = 1.0,
        port: int = 0,
        bill_file: Path | None = None,
    ) -> None:
        self.requests: list[Received] = []
        self._brain = Brain(models, seed=seed, cache_from=cache_from, pause=pause, bill_file=bill_file)
        self._port = port
        self._cleanup = ExitStack()
        self.expect(faults)

    def __enter__(self) -> Self:
        try:
            listener = self._cleanup.enter_context(socket.create_server(("127.0.0.1", self._port), backlog=2_048))
        except OSError as error:
            why = error.strerror
            raise ConfigError(
                f"port {self._port} cannot be served: {why}; take another, or 0 for a free one"
            ) from error
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app(), http=Wire, ws="none", lifespan="off", loop="asyncio", log_config=None,
            log_level="critical", timeout_graceful_shutdown=1,
        )  # fmt: skip
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), name="provider", daemon=True)
        thread.start()
        self._cleanup.callback(thread.join)
        self._cleanup.callback(setattr, server, "should_exit", True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    @property
    def origin(self) -> str:
        """Scheme, host and port: the base URL of clients that add the version of an interface themselves."""
        return f"http://127.0.0.1:{self._port}"

    def url(self, dialect: Dialect) -> str:
        """Return the base URL that a backend of `dialect` is given."""
        if dialect == "azure":
            return self.origin
        return f"{self.origin}/v1beta" if dialect == "gemini" else f"{self.origin}/v1"

    def expect(self, faults: Iterable[Fault | None]) -> None:
        """Let the next calls go wrong as `faults` say, and none after them."""
        self._brain.expect(faults)

    @property
    def bill(self) -> list[Billed]:
        """What is charged, a line for each call that was not refused."""
        return self._brain.bill

    @property
    def billed(self) -> Cost:
        """The sum of the bill."""
        return total(self.bill)

    def _app(self) -> Starlette:
        routes = [Route(path, self._conversing(face), methods=["POST"]) for path, face in _FACES.items()]
        routes.append(Route("/v1/embeddings", self._embed, methods=["POST"]))
        routes += [Route(f"/{version}/models", self._list_models) for version in ("v1", "v1beta")]
        return Starlette(routes=routes)

    def _conversing(self, face: Face) -> Callable[[Request], Awaitable[Any]]:
        async def converse(request: Request) -> Played:
            try:
                asked = face.read(await self._body(request), request.path_params, request.headers)
            except UNREADABLE as error:
                return Played(self._brain.refusal(face, "invalid", unreadable(error)))
            return Played(self._brain.answer(face, asked))

        return converse

    async def _embed(self, request: Request) -> Played:
        try:
            body = await self._body(request)
            return Played(self._brain.embed(ChatFace(), body, texts_of(body)))
        except UNREADABLE as error:
            return Played(self._brain.refusal(ChatFace(), "invalid", unreadable(error)))

    async def _list_models(self, request: Request) -> JSONResponse:
        names, path = list(self._brain.models), request.url.path
        if "x-goog-api-key" in request.headers or path.startswith("/v1beta"):
            return JSONResponse(gemini_listing(names))
        listing = anthropic_listing if "anthropic-version" in request.headers else openai_listing
        return JSONResponse(listing(names))

    async def _body(self, request: Request) -> Any:
        body = json.loads(await request.body())
        self.requests.append(Received(request.url.path, dict(request.headers), body))
        return body
