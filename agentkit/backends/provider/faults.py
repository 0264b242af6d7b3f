"""What goes wrong between a provider and its caller: twelve kinds of fault, drawn by seed, played on the socket.

A reply is laid out as an `Exchange`, the steps that put it on the wire; a fault is a change of these steps. What
is refused with a status is not billed. Everything else is, in full: the provider has done the work.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Any, Literal, get_args

from agentkit.backends.provider.face import Problem, Sse

Fault = Literal[
    "rate_limited",  # 429
    "rate_limited_with_pause",  # 429 with Retry-After, or as the provider says it
    "server_error",  # 500
    "overloaded",  # 503, or 529 at Anthropic
    "reset",  # the connection is reset: at once, or in the middle of a stream
    "stall_first",  # nothing comes, for ever
    "stall_middle",  # half of it comes, then nothing, for ever
    "truncated_json",  # the body, or one event, is half a JSON text
    "truncated_stream",  # the body ends in the middle
    "wrong_content_type",  # a page of HTML under status 200
    "duplicated_chunk",  # an event, or the whole body, comes twice
    "missing_usage",  # no usage record
    "doubled_usage",  # the usage record comes twice
]
FAULTS: tuple[Fault, ...] = get_args(Fault)
"""The kinds: twelve, of which the 429 comes with and without a pause."""

REFUSALS: Mapping[Fault, Problem] = {
    "rate_limited": "rate",
    "rate_limited_with_pause": "rate",
    "server_error": "broken",
    "overloaded": "overloaded",
}
_PAGE = b"<!doctype html><title>Sign in</title><p>Please sign in to this network."
_USAGE = ("usage", "usageMetadata")


class Act(Enum):
    """What a provider does to the connection besides sending."""

    STALL = "send nothing more, until the caller hangs up"
    RESET = "reset the connection"
    CUT = "close the connection"


Step = bytes | float | Act


@dataclass(frozen=True, slots=True)
class Exchange:
    """A reply on the wire: bytes to send, seconds to wait, and acts; `length` is announced if it is given."""

    steps: tuple[Step, ...]
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None


def at_random(share: float, *, seed: int = 0, kinds: Sequence[Fault] = FAULTS) -> Iterator[Fault | None]:
    """Yield without end what goes wrong with each call, which is nothing for all but `share` of them."""
    random = Random(seed)
    while True:
        yield random.choice(kinds) if random.random() < share else None


def whole(body: Mapping[str, Any], wait: float, fault: Fault | None = None) -> Exchange:
    """Lay out the reply `body`, with `fault`; it takes `wait` seconds to make."""
    text = json.dumps(without_usage(body) if fault == "missing_usage" else body, ensure_ascii=False).encode()
    half, length = text[: len(text) // 2], len(text)
    match fault:
        case "reset":
            return Exchange((wait, Act.RESET))
        case "stall_first":
            return Exchange((Act.STALL,))
        case "stall_middle":
            return Exchange((wait, half, Act.STALL), length=length)
        case "truncated_json":
            return Exchange((wait, half), length=len(half))
        case "truncated_stream":
            return Exchange((wait, half, Act.CUT), length=length)
        case "wrong_content_type":
            return Exchange((wait, _PAGE), content_type="text/html", length=len(_PAGE))
        case "duplicated_chunk":
            return Exchange((wait, text * 2), length=2 * length)
        case "doubled_usage":
            again = json.dumps({name: body[name] for name in _USAGE if name in body}).encode()
            text = text[:-1] + b", " + again[1:]
    return Exchange((wait, text), length=len(text))


def streamed(
    events: Sequence[Sse], wait: float, pace: float, random: Random, fault: Fault | None = None
) -> Exchange:
    """Lay out the reply of `events`, with `fault` at a random place after the first event.

    The first event comes after `wait` seconds, one that is a token after `pace`.
    """
    if fault == "missing_usage":
        events = [Sse(without_usage(event.data), event.name, event.is_token) for event in events]
    steps = [(pace if event.is_token else 0.0, event.encode()) for event in events]
    place = min(random.randrange(1, max(2, len(steps) - 1)), len(steps) - 1)
    before, (_, there), after = _flat(steps[:place]), steps[place], _flat(steps[place + 1 :])
    match fault:
        case "stall_first":
            made: tuple[Step, ...] = (b"", Act.STALL)
        case "reset" | "stall_middle":
            made = (wait, *before, Act.RESET if fault == "reset" else Act.STALL)
        case "truncated_stream":
            made = (wait, *before, there[: len(there) // 2])
        case "truncated_json":
            data = there.decode().partition("data: ")[2]
            broken = events[place].encode(data[: len(data) // 2])
            made = (wait, *before, broken, *after)
        case "duplicated_chunk":
            made = (wait, *before, there, there, *after)
        case "doubled_usage":
            last = max((at for at, event in enumerate(events) if _has_usage(event.data)), default=0)
            made = (wait, *_flat(steps[: last + 1]), *_flat(steps[last:]))
        case "wrong_content_type":
            return Exchange((wait, _PAGE), content_type="text/html")
        case _:
            made = (wait, *_flat(steps))
    return Exchange(made, content_type="text/event-stream")


def without_usage(value: Any) -> Any:
    """Return a JSON value without its usage records, at any depth."""
    if isinstance(value, Mapping):
        return {name: without_usage(item) for name, item in value.items() if name not in _USAGE}
    return [without_usage(item) for item in value] if isinstance(value, list) else value


def _has_usage(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any((name in _USAGE and item) or _has_usage(item) for name, item in value.items())
    return False


def _flat(steps: Sequence[tuple[float, bytes]]) -> list[Step]:
    return [part for pause, data in steps for part in ((pause, data) if pause else (data,))]
