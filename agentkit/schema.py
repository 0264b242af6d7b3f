"""The JSON schema of an agent definition, for editors; generated from the models that read it."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from agentkit.spec import AppSpec
from agentkit.yaml_reader import NUMBER

_VARIABLE = r"\$\{env:"
_TEXT_FORMS = {
    "integer": rf"^{NUMBER}$|{_VARIABLE}",
    "number": rf"^{NUMBER}$|{_VARIABLE}",
    "boolean": rf"^(true|false)$|{_VARIABLE}",
}
"""The text that the loader reads as a scalar of each type."""


class _Untitled(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        """Leave out titles that only repeat the field's name."""
        return False


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a definition; where a scalar is expected, `${env:NAME}` is accepted too."""
    schema = _as_loaded(AppSpec.model_json_schema(schema_generator=_Untitled))
    # what a file leaves out, those it includes may give
    schema["anyOf"] = [{"required": schema.pop("required")}, {"required": ["include"]}]
    schema["title"] = "agentkit definition"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _as_loaded(schema: dict[str, Any]) -> dict[str, Any]:
    """Rewrite a schema of pydantic's to what the loader takes: variables yes, null no."""
    schema = {key: _rewrite(key, value) for key, value in schema.items() if (key, value) != ("default", None)}
    if "patternProperties" in schema:
        schema["additionalProperties"] = False
    members = [member for member in schema.get("anyOf", ()) if member != {"type": "null"}]
    if len(members) == 1:
        del schema["anyOf"]
        schema = {**members[0], **schema}
    elif members:
        schema["anyOf"] = members
    return _with_variable(schema)


def _rewrite(key: str, value: Any) -> Any:
    if key in ("properties", "patternProperties", "$defs"):
        return {name: _as_loaded(child) for name, child in value.items()}
    if key in ("anyOf", "oneOf"):
        return [_as_loaded(child) for child in value]
    if key in ("items", "additionalProperties") and isinstance(value, dict):
        return _as_loaded(value)
    return value


def _with_variable(schema: dict[str, Any]) -> dict[str, Any]:
    kind = schema.get("type")
    if "const" in schema:
        return schema
    if kind in _TEXT_FORMS:
        text = _TEXT_FORMS[kind]
    elif kind == "string" and ("enum" in schema or "pattern" in schema):
        text = _VARIABLE
    else:
        return schema
    notes: dict[str, Any] = {key: schema[key] for key in ("description", "default") if key in schema}
    exact = {key: value for key, value in schema.items() if key not in notes}
    return {**notes, "anyOf": [exact, {"type": "string", "pattern": text}]}
