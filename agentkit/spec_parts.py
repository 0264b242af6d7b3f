"""What the models of a definition are made of: scalars that YAML may spell, and the map they all are."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError

from agentkit.costs import MAX_AMOUNT, NANO
from agentkit.yaml_reader import NUMBER

NAME = r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$"
TOOL_NAME = r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"
FUNCTION = r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$"
HEADER = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
SPELLING = {
    NAME: "should be a name: letters, digits, '_', '.' and '-', at most 64, a letter first",
    TOOL_NAME: "should be a name: letters, digits, '_' and '-', at most 64, a letter first",
    FUNCTION: "should look like package.module:function",
    HEADER: "should be a header's name: letters, digits, '_' and '-'",
}
"""What each pattern asks for, in words."""


# ---------------------------------------------------------------- scalars
def number(value: object) -> object:
    """Refuse what pydantic would quietly turn into a number: booleans, and text such as 20_000."""
    if isinstance(value, bool):
        raise PydanticCustomError("number_expected", "should be a number, not true or false")
    if isinstance(value, float) and not math.isfinite(value):
        raise PydanticCustomError("number_expected", "should be a finite number")
    if isinstance(value, int | float | Decimal) or isinstance(value, str) and re.fullmatch(NUMBER, value):
        return value
    hint = "write 20000, not 20_000: YAML 1.2 reads the latter as text" if "_" in str(value) else ""
    raise PydanticCustomError("number_expected", "should be a number", {"hint": hint})


def flag(value: object) -> object:
    """Take only true and false: YAML 1.2 reads yes, no, on and off as text."""
    if isinstance(value, bool) or value in ("true", "false"):
        return value
    raise PydanticCustomError("flag_expected", "should be true or false")


def address(value: str) -> str:
    """Take an http(s) address that names a host and carries no credentials."""
    try:
        parts = urlsplit(value)
    except ValueError:  # its text would quote the address
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PydanticCustomError("address_expected", "should start with http:// or https:// and name a host")
    if parts.username or parts.password:
        raise PydanticCustomError("address_credentials", "should not carry credentials", {"hint": "use api_key"})
    return value


Name = Annotated[str, StringConstraints(pattern=NAME)]
ToolName = Annotated[str, StringConstraints(pattern=TOOL_NAME)]
Text = Annotated[str, StringConstraints(min_length=1)]
Flag = Annotated[bool, BeforeValidator(flag)]
Count = Annotated[int, Field(ge=0, le=MAX_AMOUNT), BeforeValidator(number)]
PositiveCount = Annotated[int, Field(ge=1, le=MAX_AMOUNT), BeforeValidator(number)]
Seconds = Annotated[float, Field(ge=0, le=MAX_AMOUNT // 10**6), BeforeValidator(number)]
Dollars = Annotated[
    Decimal,
    Field(ge=0, le=MAX_AMOUNT // NANO),
    BeforeValidator(number),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": MAX_AMOUNT // NANO}),
]


# ---------------------------------------------------------------- maps
class Spec(BaseModel):
    """A map of the file: frozen, unknown keys refused with what the known ones are."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )
    one_of: ClassVar[tuple[str, ...]] = ()
    """Keys of which exactly one must be given."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: object) -> object:
        # pydantic's own error for an extra key does not say which keys there are
        if isinstance(data, Mapping):
            for key in data:
                if key not in cls.model_fields:
                    known = list(cls.model_fields)
                    raise PydanticCustomError("unknown_key", "unknown key", {"key": str(key), "known": known})
        return data

    @model_validator(mode="after")
    def _require_one(self) -> Self:
        given = [key for key in self.one_of if getattr(self, key) is not None]
        if self.one_of and not given:
            raise PydanticCustomError("none_given", "needs {keys}", {"keys": " or ".join(self.one_of)})
        if len(given) > 1:
            both = " and ".join(given)
            raise PydanticCustomError("several_given", "takes one of {both}", {"both": both, "key": given[-1]})
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core)
        if cls.one_of:
            handler.resolve_ref_schema(schema)["oneOf"] = [{"required": [key]} for key in cls.one_of]
        return schema
