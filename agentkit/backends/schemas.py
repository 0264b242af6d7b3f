"""JSON schemas cut to what providers accept; what a schema loses is said in its description."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_IN_MAPS = {"properties", "$defs", "definitions"}
_IN_LISTS = {"anyOf", "oneOf", "allOf", "prefixItems"}
_IN_PLACE = {"items", "additionalProperties"}
_SAID = (
    "minimum exclusiveMinimum maximum exclusiveMaximum multipleOf minLength maxLength pattern format minItems "
    "maxItems uniqueItems minProperties maxProperties default"
).split()
_GEMINI = frozenset(
    "$id $defs $ref $anchor type format title description enum items prefixItems minItems maxItems minimum "
    "maximum anyOf oneOf properties additionalProperties required propertyOrdering".split()
)
_ANTHROPIC = frozenset(
    "$defs definitions $ref type title description enum const anyOf allOf properties required items "
    "default".split()
)
_ANTHROPIC_KINDS = {"type", "anyOf", "allOf", "enum", "const", "$ref"}
_ANTHROPIC_FORMATS = {
    "date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid",
}  # fmt: skip


def gemini_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return `schema` in the keywords Gemini knows, which refuses or ignores the rest.

    A constant becomes a choice of one, parts that all hold are laid over each other, and a reference stands alone.
    """
    whole = dict(schema)
    for part in whole.pop("allOf", ()):
        whole = _laid_over(whole, part)
    if "const" in whole:
        whole["enum"] = [whole.pop("const")]
    return _cut(_alone(whole), _GEMINI, gemini_schema)


def anthropic_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return `schema` as Claude's structured output accepts it, None if it cannot say it.

    Every object is closed there, so one with properties of any name cannot be said, nor can a value of any type, a
    tuple, or a schema within itself.
    """
    try:
        return None if _is_recursive(schema) else _closed(schema)
    except ValueError:
        return None


def _closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    whole = _alone(schema)
    if "oneOf" in whole:
        whole["anyOf"] = whole.pop("oneOf")
    if "prefixItems" in whole or not _ANTHROPIC_KINDS & set(whole):
        raise ValueError("a tuple, or any value")
    kept = _ANTHROPIC
    if whole.get("format") in _ANTHROPIC_FORMATS:
        kept |= {"format"}
    if whole.get("minItems") in (0, 1):
        kept |= {"minItems"}
    cut = _cut(whole, kept, _closed)
    if whole.get("type") == "object" or "properties" in whole:
        if whole.get("additionalProperties", False) is not False or "properties" not in whole:
            raise ValueError("an open object")
        cut["additionalProperties"] = False
    return cut


def _alone(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A reference without what stands beside it, which neither provider takes."""
    return {name: value for name, value in schema.items() if "$ref" not in schema or name.startswith("$")}


def _cut(
    schema: Mapping[str, Any], kept: frozenset[str], part: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    """Return the kept keywords of `schema`, with `part` applied to the schemas within."""
    cut: dict[str, Any] = {}
    for name, value in schema.items():
        if name not in kept:
            continue
        if name in _IN_MAPS:
            cut[name] = {key: part(inner) if isinstance(inner, Mapping) else inner for key, inner in value.items()}
        elif name in _IN_LISTS:
            cut[name] = [part(inner) if isinstance(inner, Mapping) else inner for inner in value]
        elif name in _IN_PLACE and isinstance(value, Mapping):
            cut[name] = part(value)
        else:
            cut[name] = value
    lost = "; ".join(f"{name}: {schema[name]}" for name in _SAID if name in schema and name not in kept)
    if lost and "$ref" not in cut:
        cut["description"] = f"{cut['description']} ({lost})" if cut.get("description") else lost
    return cut


def _laid_over(schema: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    laid = {**part, **schema}
    for name in ("properties", "$defs"):
        if name in part and name in schema:
            laid[name] = {**part[name], **schema[name]}
    if "required" in part and "required" in schema:
        laid["required"] = list(dict.fromkeys([*part["required"], *schema["required"]]))
    return laid


def _is_recursive(schema: Mapping[str, Any]) -> bool:
    """Whether a definition leads back to itself, or a reference to the whole."""
    definitions = {
        f"#/{place}/{name}": _references(value)
        for place in ("$defs", "definitions")
        for name, value in schema.get(place, {}).items()
    }
    if "#" in _references(schema):
        return True
    for start in definitions:
        seen, ahead = set(), set(definitions[start])
        while ahead:
            reference = ahead.pop()
            if reference == start:
                return True
            if reference not in seen:
                seen.add(reference)
                ahead |= definitions.get(reference, set())
    return False


def _references(value: object) -> set[str]:
    if isinstance(value, Mapping):
        here = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return here.union(*map(_references, value.values()))
    return set().union(*map(_references, value)) if isinstance(value, (list, tuple)) else set()
