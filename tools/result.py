"""The text a model reads for what a tool returned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal

from pydantic_core import to_json


def result_text(value: object) -> str:
    """Return text as it is and anything else as compact JSON; a Decimal keeps every digit it has.

    ValueError when the value has no JSON form.
    """
    return value if isinstance(value, str) else _json(value)


def truncated(text: str, limit: int) -> str:
    """Return the first `limit` characters of `text`, with a note if there were more."""
    text = text.encode("utf-8", "replace").decode()  # a lone surrogate could not be sent to any model
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n[truncated: {limit} of {len(text)} characters shown]"


def _json(value: object) -> str:
    # Containers are written here, scalars by pydantic, which would put a Decimal in quotes.
    if (dump := getattr(type(value), "model_dump", None)) is not None:  # a pydantic model
        value = dump(value)
    elif is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_json(_key(key))}:{_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple | set | frozenset):
        return "[" + ",".join(map(_json, value)) + "]"
    if isinstance(value, Decimal) and value.is_finite():
        return str(value)
    return to_json(value).decode()


def _key(key: object) -> str:
    return key if isinstance(key, str) else _json(key).strip('"')
