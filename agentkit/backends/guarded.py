"""A backend behind a gate of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Set
from typing import Protocol, runtime_checkable

from agentkit.backends.base import Backend
from agentkit.backends.breaker import Breaker
from agentkit.backends.concurrency import Concurrency
from agentkit.backends.gate import Gate
from agentkit.backends.limits import RateLimits
from agentkit.types import Completion, Delta, ModelCard, Request
from agentkit.usage import Bound, Unbounded


@runtime_checkable
class Keeper(Protocol):
    """A backend that may know a reply without its model, such as a response cache."""

    async def kept(self, request: Request) -> Backend | None:
        """Return what gives the reply that is known, None if there is none."""
        ...


class Guarded:
    """`backend` with what it can take: rate limits, calls at once, and when it is left alone after failures.

    An agent puts a gate before every model it is given. Make one yourself to declare limits, or to share what
    is learnt between agents. Calls that do not come from an agent do not pass the gate.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        limits: RateLimits | None = None,
        concurrency: Concurrency | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self.backend = backend
        self._keeper = backend if isinstance(backend, Keeper) else None
        self.gate = Gate(backend.card.name, limits=limits, concurrency=concurrency, breaker=breaker)

    @property
    def card(self) -> ModelCard:
        """The model behind the gate."""
        return self.backend.card

    def choose(self, tokens: int, failed: Set[str] = frozenset()) -> Guarded:
        """Return the endpoint of the next call, which is this one; see `Pool`."""
        return self

    def has_other(self, failed: Set[str]) -> bool:
        """Tell whether an endpoint is left besides those that `failed`."""
        return self.card.name not in failed

    async def kept(self, request: Request) -> Backend | None:
        """Return what gives a reply that is known already, for which nobody need pass the gate."""
        return None if self._keeper is None else await self._keeper.kept(request)

    async def complete(self, request: Request) -> Completion:
        """Return the whole reply."""
        return await self.backend.complete(request)

    def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Yield the reply in pieces."""
        return self.backend.stream(request)

    def bound(self, request: Request) -> Bound | Unbounded:
        """Return the bound of the backend."""
        return self.backend.bound(request)

    async def aclose(self) -> None:
        """Close the backend."""
        await self.backend.aclose()
