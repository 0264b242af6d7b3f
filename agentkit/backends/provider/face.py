"""How a provider's interface looks from its own side: what it reads, and what it says back.

A face is the inverse of a dialect: pure functions from a body to `Asked`, and from a `Turn` to a body or to the
events of a stream. A new one is one module, and its line in `server.py`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, cast, get_args

from agentkit.backends.provider.script import Turn, words
from agentkit.messages import Image, Role
from agentkit.types import Request

CAP = 4_096
"""Output tokens of a request that sets no cap."""

Problem = Literal["rate", "overloaded", "broken", "invalid", "unknown", "context"]


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the prompt that is cached whole; `is_breakpoint` asks for what ends with it to be cached."""

    text: str
    is_breakpoint: bool = False

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Part:
        """Return the stretch that a block of the body is."""
        plain = {name: item for name, item in value.items() if name != "cache_control"}
        return cls(json.dumps(plain), bool(value.get("cache_control")))

    @property
    def tokens(self) -> int:
        """Its length."""
        return words(self.text)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says. `forced` is the one tool that has to be called."""

    model: str
    request: Request
    parts: tuple[Part, ...]
    stream: bool = False
    reports_usage: bool = True
    forced: str = ""


@dataclass(frozen=True, slots=True)
class Sse:
    """One event of a stream, its data as JSON or text; `is_token` says that making it takes time."""

    data: Mapping[str, Any] | str
    name: str = ""
    is_token: bool = False

    def encode(self, data: str | None = None) -> bytes:
        """Return its bytes, with other data when that is given."""
        if data is None:
            data = self.data if isinstance(self.data, str) else json.dumps(self.data, ensure_ascii=False)
        head = f"event: {self.name}\n" if self.name else ""
        return f"{head}data: {data}\n\n".encode()


class Face(Protocol):
    """One provider's interface."""

    name: ClassVar[str]
    statuses: ClassVar[Mapping[Problem, int]]
    caches_only_what_is_marked: ClassVar[bool]

    def read(self, body: Mapping[str, Any], path: Mapping[str, str], headers: Mapping[str, str]) -> Asked:
        """Return what is asked; raises one of `UNREADABLE` for a body that says nothing."""
        ...

    def whole(self, turn: Turn, asked: Asked) -> dict[str, Any]:
        """Return the body of the whole reply."""
        ...

    def events(self, turn: Turn, asked: Asked) -> Iterator[Sse]:
        """Yield the events of the streamed reply."""
        ...

    def error(self, problem: Problem, message: str, pause: float | None) -> dict[str, Any]:
        """Return the body of an error; `pause` is how long to wait, in seconds, where the body says that."""
        ...

    def too_long(self, tokens: int, window: int) -> str:
        """Return how it says that a prompt of `tokens` is too long for the context window."""
        ...

    def pause_headers(self, pause: float) -> dict[str, str]:
        """Return the headers that ask for a pause, in seconds."""
        ...


STATUSES: Mapping[Problem, int] = {
    "rate": 429,
    "overloaded": 503,
    "broken": 500,
    "invalid": 400,
    "unknown": 404,
    "context": 400,
}


REASONS: Mapping[Problem, str] = {
    "rate": "Rate limit reached.",
    "overloaded": "The model is overloaded. Please try again later.",
    "broken": "An internal error has occurred.",
}

UNREADABLE = (AttributeError, LookupError, TypeError, ValueError)
"""What reading a body of the wrong shape raises."""


def unreadable(error: Exception) -> str:
    """Return what is wrong with a body, by the error that reading it raised."""
    return (
        f"the field {error} is missing" if isinstance(error, KeyError) else f"the request cannot be read: {error}"
    )


def text_of(content: object) -> str:
    """Return the text of a content: a string, a list of parts, or nothing."""
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in _parts(content))


def role_of(name: str) -> Role:
    """Return the role that an interface of OpenAI calls `name`; raises ValueError for none."""
    role = "system" if name == "developer" else name
    if role not in get_args(Role):
        raise ValueError(f"there is no role {name!r}")
    return cast(Role, role)


def image_at(url: str) -> Image:
    """Return the picture of an address, or of a data URL."""
    if not url.startswith("data:"):
        return Image(url=url)
    head, _, data = url.partition(",")
    return Image(head.removeprefix("data:").removesuffix(";base64"), base64.b64decode(data))


def _parts(content: object) -> Sequence[Mapping[str, Any]]:
    if content is None:
        return ()
    if not isinstance(content, list):
        raise TypeError(f"content is {type(content).__name__}, not text or a list of parts")
    return content
