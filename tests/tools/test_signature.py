"""Schemas: what they say, that they agree with the parser, and what cannot have one."""

import inspect
import json
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import Field, TypeAdapter, ValidationError

from agentkit.errors import ConfigError
from agentkit.tools.context import Context
from agentkit.tools.signature import Signature
from tests.tools.cases import FUNCTIONS, Item, Point

PRICES = st.decimals(min_value=-9, max_value=9, places=3)
LEAVES = st.builds(Item, title=st.text(), price=PRICES)
st.register_type_strategy(Item, st.builds(Item, title=st.text(), price=PRICES, parts=st.lists(LEAVES, max_size=2)))
DECIMAL = [{"type": "number"}, {"type": "string"}]  # pydantic's, though only digits parse
SIGNATURES = [(function, Signature.of(function, {})) for function in FUNCTIONS]


def schema_of(function: Callable[..., Any]) -> dict[str, Any]:
    return Signature.of(function, {}).schema()


@st.composite
def calls(draw: st.DrawFn) -> tuple[Signature, dict[str, Any], str]:
    """A signature, values of its annotated types, and their JSON text; optional ones are left out at times."""
    _, signature = draw(st.sampled_from(SIGNATURES))
    members, values = [], {}
    for field, name in signature.names.items():
        info = signature.model.model_fields[field]
        if info.is_required() or draw(st.booleans()):
            hint: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
            values[name] = draw(st.from_type(hint).filter(_has_json_form))
            members.append(f"{json.dumps(name)}:{TypeAdapter(hint).dump_json(values[name]).decode()}")
    return signature, values, "{" + ",".join(members) + "}"


def _has_json_form(value: object) -> bool:
    return not any(word in repr(value).lower() for word in ("inf", "nan", "\\ud"))


@given(calls())
def test_values_of_the_types_survive_the_trip_and_satisfy_the_schema(
    call: tuple[Signature, dict[str, Any], str],
) -> None:
    signature, values, text = call
    Draft202012Validator(signature.schema()).validate(json.loads(text))
    parsed = signature.parse(text)
    assert {name: parsed[name] for name in values} == values
    assert set(parsed) == set(signature.names.values())


def values_for(schema: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[Any]:
    """JSON values that satisfy `schema`: the part of JSON schema that tools use."""
    if "$ref" in schema:
        return st.deferred(lambda: values_for(root["$defs"][schema["$ref"].rpartition("/")[2]], root))
    if schema.get("anyOf") == DECIMAL:
        return st.floats(allow_nan=False, allow_infinity=False) | PRICES.map(str)
    if "anyOf" in schema:
        return st.one_of([values_for(branch, root) for branch in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "object" if "properties" in schema:
            parts = {name: values_for(part, root) for name, part in schema["properties"].items()}
            required = {name: parts.pop(name) for name in schema.get("required", [])}
            return st.fixed_dictionaries(required, optional=parts)
        case "object":
            return st.dictionaries(st.text(), values_for(schema["additionalProperties"], root), max_size=3)
        case "array" if "prefixItems" in schema:
            return st.tuples(*(values_for(part, root) for part in schema["prefixItems"])).map(list)
        case "array":
            return st.lists(values_for(schema["items"], root), max_size=2)
        case "string" if schema.get("format") == "date":
            return st.dates().map(str)
        case "string":
            return st.text()
        case "integer":
            return st.integers(schema.get("minimum"), schema.get("maximum"))
        case "number":
            low, high = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
            within = st.floats(low, high, allow_nan=False, allow_infinity=False)
            return within.filter(lambda number: number not in (low, high))
        case kind:
            return {"boolean": st.booleans(), "null": st.none()}[kind]


@given(st.data())
def test_whatever_the_schema_allows_is_parsed(data: st.DataObject) -> None:
    _, signature = data.draw(st.sampled_from(SIGNATURES))
    schema = signature.schema()
    value = data.draw(values_for(schema, schema))
    Draft202012Validator(schema).validate(value)
    assert set(value) <= set(signature.parse(json.dumps(value)))


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_schemas_are_valid_stable_and_closed(function: Callable[..., Any]) -> None:
    schema = schema_of(function)
    Draft202012Validator.check_schema(schema)
    assert json.dumps(schema) == json.dumps(schema_of(function))
    assert schema["type"] == "object" and schema["additionalProperties"] is False
    assert list(schema["properties"]) == list(inspect.signature(function).parameters)


def test_titles_of_pydantic_go_and_names_and_data_stay() -> None:
    def shop(title: str, item: Item, properties: int, default: dict[str, Any] = {"title": "x"}) -> None: ...  # noqa: B006

    schema = schema_of(shop)
    assert schema["properties"]["title"] == {"type": "string"}
    assert schema["properties"]["properties"] == {"type": "integer"}
    assert schema["properties"]["default"] == {
        "additionalProperties": True, "default": {"title": "x"}, "type": "object"
    }  # fmt: skip
    assert "title" in schema["$defs"]["Item"]["properties"] and "title" not in schema["$defs"]["Item"]


def test_a_whole_schema() -> None:
    def search(
        query: Annotated[str, Field(description="What to find.")],
        limit: Annotated[int, Field(ge=1)] = 5,
        kind: Literal["news", "web"] = "web",
        region: str | None = None,
    ) -> None: ...

    described = Signature.of(search, {"query": "unused", "limit": "How many."})
    assert described.schema() == {
        "type": "object",
        "additionalProperties": False,
        "required": ["query"],
        "properties": {
            "query": {"type": "string", "description": "What to find."},
            "limit": {"type": "integer", "minimum": 1, "default": 5, "description": "How many."},
            "kind": {"type": "string", "enum": ["news", "web"], "default": "web"},
            "region": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        },
    }


def test_a_mutable_default_is_not_shared_between_calls() -> None:
    def collect(names: list[str] = []) -> None: ...  # noqa: B006

    signature = Signature.of(collect, {})
    signature.parse("{}")["names"].append("left over")
    assert signature.parse("{}") == {"names": []}


@pytest.mark.parametrize("hint", [Context, Context[int], Context[Point]])
def test_context_parameters_are_not_in_the_schema(hint: Any) -> None:
    def lookup(key: str, context: Any) -> None: ...

    lookup.__annotations__["context"] = hint
    signature = Signature.of(lookup, {})
    assert signature.contexts == ("context",)
    assert list(signature.schema()["properties"]) == ["key"]
    with pytest.raises(ValidationError, match="context"):  # the model cannot bring its own
        signature.parse('{"key": "a", "context": {"value": 1}}')


def unannotated(first: int, second) -> None: ...  # type: ignore[no-untyped-def]  # what the test is about
def starred(*values: int) -> None: ...
def keywords(**values: int) -> None: ...
def positional(first: int, /) -> None: ...
def formless(first: int, second: Callable[[], int]) -> None: ...
def opaque(first: object, second: ValidationError) -> None: ...
def unresolved(first: "Missing") -> None: ...  # type: ignore[name-defined]  # noqa: F821  # what the test is about


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (unannotated, r"tool 'unannotated': parameter 'second' has no type annotation.*annotate it"),
        (starred, r"tool 'starred': parameter 'values' takes any number of arguments.*list them"),
        (keywords, r"tool 'keywords': parameter 'values' takes any number of arguments.*list them"),
        (positional, r"tool 'positional': parameter 'first' is positional-only.*remove the '/'"),
        (formless, r"tool 'formless': parameter 'second' cannot come from JSON .*pydantic models"),
        (opaque, r"tool 'opaque': parameter 'second' cannot come from JSON .*pydantic models"),
        (unresolved, r"tool 'unresolved': name 'Missing' is not defined.*module level"),
    ],
)
def test_a_parameter_json_cannot_fill_is_refused(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Signature.of(function, {})
