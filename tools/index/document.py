"""A tool as a document: the texts it is found by."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from agentkit.types import ToolSpec

_JOINT = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[_\-./]+")


@dataclass(frozen=True, slots=True)
class Document:
    """Three views of a tool: its name in words, what it says it does, and both with its parameters."""

    name: str
    summary: str
    whole: str


@lru_cache(maxsize=4096)
def _document(name: str, description: str, parameters: str) -> Document:
    title = spelled(name)
    summary = description or title
    return Document(title, summary, f"{title}. {summary} {parameters}".strip())


def document(spec: ToolSpec) -> Document:
    """Return the views of `spec`, kept by its texts, so that the same schema is read once."""
    return _document(spec.name, spec.description, " ".join(_parameters(spec.parameters)))


def spelled(name: str) -> str:
    """Return an identifier in words: `getHTTPStatus_code` is `get HTTP Status code`."""
    return " ".join(_JOINT.sub(" ", name).split())


def _parameters(schema: Mapping[str, Any]) -> Iterator[str]:
    """Name and description of every property, those inside others too."""
    for name, part in (schema.get("properties") or {}).items():
        if isinstance(part, Mapping):
            yield f"{spelled(name)}: {part.get('description') or ''}".strip()
            yield from _parameters(part)
            if isinstance(part.get("items"), Mapping):
                yield from _parameters(part["items"])
