"""JSON schemas cut to what providers accept."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter

from agentkit.backends.schemas import anthropic_schema, gemini_schema


class Part(BaseModel):
    """A part."""

    size: Annotated[int, Field(gt=0, le=9)] = 1
    kind: Literal["a"] = "a"


class Whole(BaseModel):
    """A whole with a part."""

    name: Annotated[str, Field(pattern="^a", description="Its name.")]
    part: Part = Field(default_factory=Part, description="The part.")
    when: Annotated[str, Field(json_schema_extra={"format": "date"})]


class Tree(BaseModel):
    """A schema within itself."""

    children: list[Tree]


WHOLE = Whole.model_json_schema()


def test_gemini_keeps_what_it_knows_and_is_told_the_rest() -> None:
    assert gemini_schema({"$schema": "x", **WHOLE}) == {
        "type": "object",
        "title": "Whole",
        "description": "A whole with a part.",
        "properties": {
            "name": {"type": "string", "title": "Name", "description": "Its name. (pattern: ^a)"},
            "part": {"$ref": "#/$defs/Part"},  # nothing may stand beside a reference
            "when": {"type": "string", "title": "When", "format": "date"},
        },
        "required": ["name", "when"],
        "$defs": {
            "Part": {
                "type": "object",
                "title": "Part",
                "description": "A part.",
                "properties": {
                    "size": {
                        "type": "integer",
                        "title": "Size",
                        "maximum": 9,
                        "description": "exclusiveMinimum: 0; default: 1",
                    },
                    "kind": {"type": "string", "title": "Kind", "enum": ["a"], "description": "default: a"},
                },
            }
        },
    }


def test_gemini_has_parts_that_all_hold_laid_over_each_other() -> None:
    parts = [
        {"type": "object", "properties": {"a": {"type": "string"}, "b": {"minLength": 1}}, "required": ["a"]},
        {"properties": {"b": {"type": "integer"}}, "required": ["b", "a"]},
    ]
    assert gemini_schema({"allOf": parts, "description": "Both."}) == {
        "type": "object",
        "description": "Both.",
        "properties": {"a": {"type": "string"}, "b": {"description": "minLength: 1"}},
        "required": ["b", "a"],
    }
    assert gemini_schema({"allOf": [{"$ref": "#/$defs/A"}], "default": 1}) == {"$ref": "#/$defs/A"}


def test_properties_may_be_called_like_keywords() -> None:
    schema = {"type": "object", "properties": {"const": {"type": "string"}, "$ref": {"type": "integer"}}}
    assert gemini_schema(schema) == schema
    assert anthropic_schema(schema) == {**schema, "additionalProperties": False}


def test_claude_has_every_object_closed_and_is_told_the_rest() -> None:
    assert anthropic_schema(WHOLE) == {
        "type": "object",
        "title": "Whole",
        "description": "A whole with a part.",
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "title": "Name", "description": "Its name. (pattern: ^a)"},
            "part": {"$ref": "#/$defs/Part"},
            "when": {"type": "string", "title": "When", "format": "date"},
        },
        "required": ["name", "when"],
        "$defs": {
            "Part": {
                "type": "object",
                "title": "Part",
                "description": "A part.",
                "additionalProperties": False,
                "properties": {
                    "size": {
                        "type": "integer",
                        "title": "Size",
                        "default": 1,
                        "description": "exclusiveMinimum: 0; maximum: 9",
                    },
                    "kind": {"type": "string", "title": "Kind", "const": "a", "default": "a"},
                },
            }
        },
    }


@pytest.mark.parametrize(
    "schema",
    [
        TypeAdapter(dict[str, int]).json_schema(),
        {"type": "object", "properties": {}, "additionalProperties": {}},
        {"type": "object"},
        TypeAdapter(tuple[int, str]).json_schema(),
        TypeAdapter(list[Any]).json_schema(),
        Tree.model_json_schema(),
        {"type": "object", "properties": {"child": {"$ref": "#"}}},
    ],
)
def test_what_claude_cannot_be_told_is_none(schema: dict[str, Any]) -> None:
    assert anthropic_schema(schema) is None


def test_one_definition_used_twice_is_no_recursion() -> None:
    reference = {"$ref": "#/$defs/A"}
    definitions = {"A": {"type": "string"}, "B": {"type": "array", "items": reference}}
    schema = {"type": "object", "properties": {"a": reference, "b": {"$ref": "#/$defs/B"}}, "$defs": definitions}
    assert anthropic_schema(schema) == {**schema, "additionalProperties": False}


def test_choices_and_least_items_are_said_as_claude_takes_them() -> None:
    schema = {
        "oneOf": [
            {"type": "array", "items": {"type": "null"}, "minItems": 1},
            {"type": "string", "format": "regex"},
        ]
    }
    assert anthropic_schema(schema) == {
        "anyOf": [
            {"type": "array", "items": {"type": "null"}, "minItems": 1},
            {"type": "string", "description": "format: regex"},
        ]
    }


LEAF = st.fixed_dictionaries(
    {"type": st.sampled_from(["string", "integer", "null"])},
    optional={
        "minimum": st.integers(), "pattern": st.text(max_size=3), "default": st.none(), "const": st.integers(),
        "format": st.just("date"), "examples": st.just([1]), "$comment": st.just("x"), "description": st.just("d"),
    },
)  # fmt: skip
SCHEMA = st.recursive(
    LEAF,
    lambda inner: (
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(st.text(max_size=3), inner, max_size=3)}
        )
        | st.fixed_dictionaries(
            {"type": st.just("array"), "items": inner}, optional={"minItems": st.integers(0, 3)}
        )
        | st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)})
        | st.fixed_dictionaries({"allOf": st.lists(inner, min_size=1, max_size=2)})
    ),
    max_leaves=8,
)
REFUSED = {"$schema", "$comment", "examples", "pattern"}


def keywords(schema: dict[str, Any]) -> set[str]:
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ()), *schema.get("allOf", ())]
    inner += [schema["items"]] if "items" in schema else []
    return set(schema).union(*map(keywords, inner))


@given(SCHEMA)
def test_nothing_refused_is_sent_and_the_schema_given_is_left_alone(schema: dict[str, Any]) -> None:
    before = repr(schema)
    ours, theirs = gemini_schema(schema), anthropic_schema(schema)
    assert not keywords(ours) & (REFUSED | {"const", "allOf", "default"})
    assert theirs is not None and not keywords(theirs) & (REFUSED | {"minimum"})
    assert gemini_schema(ours) == ours
    assert repr(schema) == before
