"""From a typed Python function to the JSON schema and the parser of its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints, is_typeddict

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic.fields import FieldInfo

from agentkit.errors import ConfigError
from agentkit.tools.context import Context

_NAME_MAPS = frozenset({"properties", "$defs"})
_DATA = frozenset({"default", "const", "enum", "examples"})


@dataclass(frozen=True, slots=True)
class Signature:
    """The arguments of a function, by the name of their field in `model`, where the context goes, and what it
    returns.

    Fields have names of their own because a parameter may be called `schema`, `_x` or anything else that
    a pydantic model reserves; the parameter's name is the field's alias.
    """

    model: type[BaseModel]
    names: Mapping[str, str]
    contexts: tuple[str, ...]
    returns: Any

    @classmethod
    def of(cls, function: Callable[..., Any], descriptions: Mapping[str, str]) -> Signature:
        """Read `function`; ConfigError when a parameter cannot be filled from JSON."""
        where = f"tool {getattr(function, '__name__', repr(function))!r}"
        hints = _hints(function, where)
        names: dict[str, str] = {}
        contexts: list[str] = []
        fields: dict[str, Any] = {}
        for parameter in inspect.signature(function).parameters.values():
            _check(parameter, hints, f"{where}: parameter {parameter.name!r}")
            hint = hints[parameter.name]
            if Context in (hint, get_origin(hint)):
                contexts.append(parameter.name)
                continue
            field = f"field{len(names)}"
            names[field] = parameter.name
            fields[field] = _definition(parameter, hint, descriptions.get(parameter.name))
        config = ConfigDict(extra="forbid", allow_inf_nan=False)
        model = create_model("Arguments", __config__=config, **fields)
        return cls(model, names, tuple(contexts), hints.get("return"))

    @property
    def results(self) -> tuple[str, ...]:
        """Names of what the function returns, where its annotation says."""
        return _results(self.returns)

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of the arguments, without the titles pydantic derives from names."""
        schema: dict[str, Any] = _without_titles(self.model.model_json_schema())
        return schema

    def parse(self, text: str) -> dict[str, Any]:
        """Return the keyword arguments in the JSON `text`, defaults included; pydantic's ValidationError."""
        model = self.model.model_validate_json(text, strict=True)
        return {name: getattr(model, field) for field, name in self.names.items()}


def _hints(function: Callable[..., Any], where: str) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        raise ConfigError(f"{where}: {error}; its annotations must be importable at module level") from error
    except TypeError as error:
        raise ConfigError(f"{where} is not a function; give a function or a bound method") from error


def _results(hint: Any) -> tuple[str, ...]:
    """Return the fields of a typed dictionary, a dataclass or a model, or of those in a list or beside None."""
    if is_typeddict(hint) or is_dataclass(hint) or (isinstance(hint, type) and issubclass(hint, BaseModel)):
        return tuple(get_type_hints(hint))
    return next((found for part in get_args(hint) if (found := _results(part))), ())


def _check(parameter: inspect.Parameter, hints: Mapping[str, Any], where: str) -> None:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise ConfigError(f"{where} takes any number of arguments, which no schema can name; list them")
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise ConfigError(f"{where} is positional-only, but tools are called by keyword; remove the '/'")
    if parameter.name not in hints:
        raise ConfigError(f"{where} has no type annotation, so it has no schema; annotate it")
    if Context in ((hint := hints[parameter.name]), get_origin(hint)):
        return
    try:
        TypeAdapter(hint).json_schema()
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        reason = str(error).partition("\n")[0].partition(". ")[0]  # the rest advises on pydantic models
        raise ConfigError(
            f"{where} cannot come from JSON ({reason}); use JSON types, dataclasses or pydantic models, "
            "or annotate it Context[…] if the application provides it"
        ) from error


def _definition(parameter: inspect.Parameter, hint: Any, description: str | None) -> tuple[Any, Any]:
    if parameter.default is parameter.empty:
        default, given = ..., FieldInfo.from_annotation(hint)
    else:
        default, given = parameter.default, FieldInfo.from_annotated_attribute(hint, parameter.default)
    field = Field(alias=parameter.name, description=given.description or description)
    return Annotated[hint, field], default


def _without_titles(node: Any, *, names: bool = False) -> Any:
    """Drop the `title` keyword; under `names` keys are a user's names, and values of data are left alone."""
    if isinstance(node, list):
        return [_without_titles(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: value if key in _DATA and not names else _without_titles(value, names=key in _NAME_MAPS and not names)
        for key, value in node.items()
        if names or key != "title"
    }
