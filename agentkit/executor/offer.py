"""What a call would cost: a request to one backend with its bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agentkit.backends.base import Backend, bound_of
from agentkit.budgets.length import OutputLengths
from agentkit.costs import Cost
from agentkit.errors import UnboundedCost
from agentkit.types import Request
from agentkit.usage import Bound

LEAST_OUTPUT = 16
"""Tokens; an answer under a smaller cap is not worth its prompt."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A request to one backend, its bound, and what it costs at most with the output cap that is wanted.

    `least` is the smallest output cap worth sending. A `further` offer is for more of a reply that was cut.
    """

    backend: Backend
    request: Request
    bound: Bound
    wanted: Cost
    least: int
    further: bool = False

    @classmethod
    def make(
        cls,
        backend: Backend,
        request: Request,
        available: Mapping[str, int],
        *,
        least: int = LEAST_OUTPUT,
        further: bool = False,
    ) -> Offer:
        """Bound the request; raises UnboundedCost when a limited resource has no bound."""
        bound = bound_of(backend, request)
        if not bound.priced and "usd" in available:
            raise UnboundedCost(backend.card.name, "its price is unknown")
        wanted = request.max_output_tokens
        return cls(backend, request, bound, bound.at(wanted), min(least, wanted), further)

    @property
    def what(self) -> str:
        """What its hold and receipt are called."""
        return f"model:{self.backend.card.name}"

    @property
    def kind(self) -> tuple[str, bool]:
        """What replies are alike in length: those of one model, with tools to call or without."""
        return self.backend.card.name, bool(self.request.tools)

    def likely(self, lengths: OutputLengths) -> int:
        """Return the output cap that few replies like it pass; a metered backend's is the wanted one."""
        wanted = self.request.max_output_tokens
        return wanted if self.backend.card.capabilities.metered else lengths.likely(self.kind, wanted)

    def cap(self, available: Mapping[str, int]) -> int:
        """Return the largest output cap that `available` affords, −1 for none."""
        return self.bound.affordable_cap(available, self.request.max_output_tokens)

    def cost(self, available: Mapping[str, int]) -> Cost:
        """Return what the call would hold: at the affordable cap, or at the least one when not even that fits."""
        if all(self.wanted[name] <= room for name, room in available.items()):
            return self.wanted
        return self.bound.at(max(self.cap(available), self.least))
