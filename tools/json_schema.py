"""Arguments checked against the JSON schema that a foreign tool came with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import InitErrorDetails, PydanticCustomError, SchemaValidator, ValidationError, core_schema

from agentkit.errors import ConfigError, MissingExtra
from agentkit.tools.tool import Parser

_OBJECT = SchemaValidator(core_schema.dict_schema(core_schema.str_schema()))
_MOST_PROBLEMS = 5


def schema_parser(schema: Mapping[str, Any]) -> Parser:
    """Return a parser that takes what `schema` allows; ConfigError when it is no JSON schema.

    So a call that the server would turn down is neither sent nor paid for. References to other documents are not
    followed: a schema is data of somebody else's. MissingExtra without jsonschema.
    """
    try:
        import jsonschema
        from referencing import Registry
    except ImportError as error:
        raise MissingExtra("openapi", "jsonschema") from error
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(dict(schema))
    except jsonschema.SchemaError as error:
        raise ConfigError(f"its arguments are no JSON schema: {error.message}") from error
    validator = kind(schema, registry=Registry())

    def parse(text: str) -> dict[str, Any]:
        arguments: dict[str, Any] = _OBJECT.validate_json(text)
        found = list(validator.iter_errors(arguments))[:_MOST_PROBLEMS]
        if found:
            raise ValidationError.from_exception_data("arguments", [_detail(error) for error in found])
        return arguments

    return parse


def _detail(error: Any) -> InitErrorDetails:
    location = tuple(error.absolute_path)
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        return InitErrorDetails(type="missing", loc=(*location, missing), input=error.instance)
    # braces would be read as places to fill in
    kind = PydanticCustomError(f"json_schema_{error.validator}", "{reason}", {"reason": error.message})
    return InitErrorDetails(type=kind, loc=location, input=error.instance)
