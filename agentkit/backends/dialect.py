"""A dialect: how one provider's interface says a request, and how its replies are read.

Pure functions and one state machine a stream; `RemoteBackend` does the input and output. A new dialect is one
module and one line in `models.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from agentkit.http import ServerEvent
from agentkit.types import Completion, Delta, ModelCard, Request


class ReplyStream(Protocol):
    """The state of one streamed reply: feed it events, then ask for the last delta."""

    @property
    def finished(self) -> bool:
        """Whether the finish reason has arrived, so that the reply is whole."""
        ...

    @property
    def done(self) -> bool:
        """Whether nothing more is to come, so that the body need not be read further."""
        ...

    def feed(self, event: ServerEvent) -> list[Delta]:
        """Return the deltas of one event; raises BadResponse, or what an error event means."""
        ...

    def last(self) -> Delta:
        """Return the delta with finish reason, usage and native form; raises BackendUnavailable if cut."""
        ...


class Dialect(Protocol):
    """How one provider's interface is spoken."""

    @property
    def name(self) -> str:
        """The dialect's name, as `ModelCard.backend` and `Native.dialect` have it."""
        ...

    def headers(self, api_key: str | None) -> dict[str, str]:
        """Return the headers of every call, the key among them if there is one."""
        ...

    def path(self, card: ModelCard, *, stream: bool) -> str:
        """Return the path of a call below the base URL."""
        ...

    def build_request(self, request: Request, card: ModelCard, *, stream: bool = False) -> Mapping[str, Any]:
        """Return the JSON body of `request`; what the card's capabilities exclude is left out."""
        ...

    def parse_response(self, body: Any, card: ModelCard) -> Completion:
        """Return the completion of a JSON body; raises BadResponse, or what an error body means."""
        ...

    def stream(self, card: ModelCard) -> ReplyStream:
        """Return the state machine of one streamed reply."""
        ...

    def input_bound(self, request: Request, card: ModelCard) -> int:
        """Return an upper bound of the input tokens of `request`."""
        ...
