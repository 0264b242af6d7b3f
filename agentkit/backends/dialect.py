"""A dialect: how one provider's interface says a request, and how its replies are read.

Pure functions and one state machine a stream; `RemoteBackend` does the input and output. A new dialect is one
module here and one line in `agentkit/models.py`. The functions below are what dialects share.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from agentkit.errors import BadResponse
from agentkit.provider_errors import provider_error
from agentkit.redaction import excerpt
from agentkit.sse import ServerEvent
from agentkit.types import Completion, Delta, ModelCard, Request

WRONG_SHAPE = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What reading a JSON value of the wrong shape raises."""


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
        """Return the headers of every call, the key among them if there is one; it is free of line ends."""
        ...

    def path(self, card: ModelCard, *, stream: bool) -> str:
        """Return the path of a call below the base URL, with its query."""
        ...

    def build_request(self, request: Request, card: ModelCard, *, stream: bool = False) -> Mapping[str, Any]:
        """Return the JSON body of `request`; what the card's capabilities exclude is left out.

        Images come only where the card allows them: `RemoteBackend` has refused the rest.
        """
        ...

    def parse_response(self, body: Any, card: ModelCard) -> Completion:
        """Return the completion of a JSON body; raises BadResponse, or what an error body means."""
        ...

    def stream(self, card: ModelCard) -> ReplyStream:
        """Return the state machine of one streamed reply."""
        ...

    def input_bound(self, request: Request, card: ModelCard) -> int:
        """Return an upper bound of the input tokens of `request`; an image counts `card.image_tokens`.

        Where the card does not say, it counts the most that the provider's interface bills for one.
        """
        ...


def raise_error(body: Any, card: ModelCard) -> None:
    """Raise what `body["error"]`, sent under status 200, means; the work had begun, so it may be billed."""
    if isinstance(body, dict) and body.get("error"):
        failure = provider_error(card, None, body)
        failure.may_be_billed = True
        raise failure


def unreadable(body: Any, card: ModelCard, error: Exception) -> BadResponse:
    """Return the error for an answer that a dialect cannot read."""
    return BadResponse(
        card.name, f"the answer has a shape its interface does not have ({error!r}): {excerpt(str(body))}"
    )


def json_object(arguments: str) -> dict[str, Any]:
    """Return the arguments of a call as the object that servers insist on, text that is none wrapped in one."""
    try:
        value = json.loads(arguments or "{}", parse_constant=_refuse)
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {"malformed": arguments}


def is_strict(schema: object) -> bool:
    """Whether a server may enforce `schema`: strict modes refuse open objects and optional properties."""
    if isinstance(schema, Mapping):
        properties = schema.get("properties")
        if isinstance(properties, Mapping) and schema.get("type") == "object":
            closed = schema.get("additionalProperties") is False
            if not closed or set(schema.get("required", ())) != set(properties):
                return False
        return all(is_strict(part) for part in schema.values())
    return all(is_strict(part) for part in schema) if isinstance(schema, list) else True


def most_text_tokens(value: Any) -> int:
    """Return an upper bound of the tokens of conversation that `value` says, found without a tokenizer.

    A byte-level BPE starts from single bytes and only merges, so text has at most as many tokens as UTF-8
    bytes; writing it as JSON only adds bytes.
    """
    return len(json.dumps(value, default=dict, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def most_schema_tokens(value: Any) -> int:
    """Return an upper bound of the tokens of a schema as servers write it into the prompt at its longest.

    That is indented and in ASCII.
    """
    return len(json.dumps(value, default=dict, indent=4))


def _refuse(constant: str) -> None:
    """Refuse NaN and the infinities, which Python reads and no server does."""
    raise ValueError(f"{constant} is not JSON")
