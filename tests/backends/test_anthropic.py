"""What the Anthropic dialect sends: golden requests, and what a fake reader understands of any."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.backends.anthropic import IMAGE_TOKENS, Anthropic
from agentkit.backends.anthropic_reply import ANSWER
from agentkit.messages import Image, Message, Native, ToolCall, ToolResult, assistant, system, tool_message, user
from agentkit.types import Capabilities, ModelCard, Request, ToolSpec

DIALECT = Anthropic()
CAN = Capabilities(json_schema=True, reasoning_effort=True)
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
SEARCH = ToolSpec(
    "search", "Search <the> web & more.", {"type": "object", "properties": {"ü": {"type": "string"}}}
)
CALL = ToolCall("toolu_1", "search", '{"ü": "x"}')
RESULT = tool_message(ToolResult("toolu_1", "search", "found"))
SIGNED = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}


def card(model: str = "claude-sonnet-4-5", **capabilities: bool) -> ModelCard:
    return ModelCard("m", "anthropic", model, capabilities=replace(CAN, **capabilities))


def ask(*messages: Message, **more: Any) -> Request:
    return Request(messages=messages or (user("hi"),), **{"max_output_tokens": 4_000, **more})


def body(request: Request, model: ModelCard | None = None, *, version: str = "2023-06-01") -> dict[str, Any]:
    return Anthropic(version).build_request(request, model or card())


def texts(*lines: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": line} for line in lines]


# ---------------------------------------------------------------- golden requests
def test_everything_is_sent() -> None:
    request = ask(
        system("Be brief."),
        user("hi"),
        tools=(SEARCH,),
        tool_choice="required",
        temperature=0.0,
        top_p=0.9,
        seed=3,
        stop=("END", "\n"),
        logprobs=True,
        output_schema=SCHEMA,
    )
    assert DIALECT.build_request(request, card(), stream=True) == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 4_000,
        "system": texts("Be brief."),
        "messages": [{"role": "user", "content": texts("hi")}],
        "tools": [{"name": "search", "description": SEARCH.description, "input_schema": SEARCH.parameters}],
        "tool_choice": {"type": "any"},
        "temperature": 0.0,  # top_p beside it is refused
        "stop_sequences": ["END"],  # white space is refused
        "output_config": {
            "format": {"type": "json_schema", "schema": {**SCHEMA, "additionalProperties": False}},
        },
        "stream": True,
    }


def test_the_least_is_sent() -> None:
    bare = Capabilities(tools=False, temperature=False, system=False, stop=False)
    request = ask(
        system("s"), user("u"), tools=(SEARCH,), temperature=0.5, stop=("x",), output_schema=SCHEMA,
        reasoning_effort="high",
    )  # fmt: skip
    assert body(request, ModelCard("m", "anthropic", "claude-sonnet-4-5", capabilities=bare)) == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 4_000,
        "messages": [{"role": "user", "content": texts("s", "u")}],
    }


def test_headers_and_path() -> None:
    assert DIALECT.headers("k") == {"anthropic-version": "2023-06-01", "x-api-key": "k"}
    assert Anthropic("2026-10-21").headers(None) == {"anthropic-version": "2026-10-21"}
    assert DIALECT.path(card(), stream=True) == DIALECT.path(card(), stream=False) == "messages"


def test_tool_results_are_the_users_and_turns_alternate() -> None:
    calls = (CALL, ToolCall("call:2.x", "now", ""))
    request = ask(
        user("a"),
        user("b"),
        assistant("Looking.", calls),
        RESULT,
        tool_message(ToolResult("call:2.x", "now", "")),
        system("Hurry."),
        assistant("", ()),
        user(" "),
        assistant("So."),
        assistant("Done."),
    )
    assert body(request)["messages"] == [
        {"role": "user", "content": texts("a", "b")},
        {
            "role": "assistant",
            "content": [
                *texts("Looking."),
                {"type": "tool_use", "id": "toolu_1", "name": "search", "input": {"ü": "x"}},
                {"type": "tool_use", "id": "call_2_x", "name": "now", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "found"},
                {"type": "tool_result", "tool_use_id": "call_2_x", "content": ""},
                *texts("Hurry."),
            ],
        },
        {"role": "assistant", "content": texts("So.", "Done.")},
    ]


@pytest.mark.parametrize("messages", [(system("s"),), (system("s"), assistant("Hello! ")), (user(""),)])
def test_a_conversation_begins_with_the_user(messages: tuple[Message, ...]) -> None:
    first, *rest = body(ask(*messages))["messages"]
    assert first == {"role": "user", "content": texts("Continue.")}
    assert rest in ([], [{"role": "assistant", "content": texts("Hello!")}])


@pytest.mark.parametrize("written", ["[1", "[1]", '{"x": NaN}', "[" * 9_999], ids=["cut", "list", "nan", "deep"])
def test_arguments_that_are_no_object_are_wrapped(written: str) -> None:
    (_, said) = body(ask(user("x"), assistant("", (ToolCall("c", "search", written),))))["messages"]
    assert said["content"][0]["input"] == {"malformed": written}


def test_images_by_bytes_and_by_address_come_before_the_text() -> None:
    images = (Image("image/png", b"\x89PNG"), Image(url="https://example.org/a.jpg"))
    (turn,) = body(ask(Message("user", "What?", images=images)))["messages"]
    assert turn["content"] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.jpg"}},
        *texts("What?"),
    ]


# ---------------------------------------------------------------- turns in the provider's own form
def thought(model: str = "claude-sonnet-4-5", dialect: str = "anthropic") -> Message:
    used = {"type": "tool_use", "id": CALL.id, "name": CALL.name, "input": {"ü": "x"}}
    return Message("assistant", "", (CALL,), native=Native(dialect, model, (SIGNED, used)))


def test_thinking_goes_back_as_it_came_to_the_model_that_thought() -> None:
    said = body(ask(user("x"), thought(), RESULT))["messages"][1]["content"]
    assert said[0] == SIGNED
    assert said[1]["type"] == "tool_use"


@pytest.mark.parametrize("other", [thought(model="claude-opus-4-5"), thought(dialect="gemini")])
def test_thinking_of_others_is_dropped(other: Message) -> None:
    assert [block["type"] for block in body(ask(user("x"), other, RESULT))["messages"][1]["content"]] == [
        "tool_use"
    ]


def test_what_a_beginning_loses_stays_in_the_native_form() -> None:
    """The last turn is sent without the white space at its end; the turn itself keeps it."""
    said = {"type": "text", "text": "So "}
    native = Native("anthropic", "claude-sonnet-4-5", (SIGNED, said))
    assert body(ask(user("x"), Message("assistant", "So ", native=native)))["messages"][1]["content"][1] == {
        "type": "text",
        "text": "So",
    }
    assert native.content == (SIGNED, {"type": "text", "text": "So "})


def test_a_turn_whose_calls_were_changed_is_written_anew() -> None:
    changed = replace(thought(), tool_calls=(replace(CALL, id="toolu_9"),))
    (block,) = body(ask(user("x"), changed))["messages"][1]["content"]
    assert block["id"] == "toolu_9"


# ---------------------------------------------------------------- structured output and choice
def test_without_a_format_the_answer_is_asked_for_as_a_tool() -> None:
    alone = body(ask(output_schema=SCHEMA), card(json_schema=False))
    assert alone["tools"] == [{"name": ANSWER, "description": "Give the final answer.", "input_schema": SCHEMA}]
    assert alone["tool_choice"] == {"type": "tool", "name": ANSWER}
    among = body(ask(output_schema=SCHEMA, tools=(SEARCH,)), card(json_schema=False))
    assert [tool["name"] for tool in among["tools"]] == ["search", ANSWER]
    assert among["tool_choice"] == {"type": "any"}
    assert "output_config" not in alone | among


def test_a_schema_that_no_format_can_say_is_asked_for_as_a_tool() -> None:
    open_object = {"type": "object", "properties": {}, "additionalProperties": {"type": "integer"}}
    assert body(ask(output_schema=open_object))["tools"][0]["input_schema"] == open_object


@pytest.mark.parametrize(
    ("model", "schema", "choice"),
    [
        ("claude-sonnet-5-5", SCHEMA, "auto"),  # a tool cannot be forced there
        ("claude-sonnet-4-5", {"type": "array", "items": {}}, "auto"),  # no input of a tool
        ("claude-sonnet-4-5", SCHEMA, "required"),  # a call is wanted now, no answer
    ],
)
def test_where_no_tool_can_be_the_answer_the_prompt_must_do(model: str, schema: Any, choice: Any) -> None:
    sent = body(ask(output_schema=schema, tools=(SEARCH,), tool_choice=choice), card(model, json_schema=False))
    assert [tool["name"] for tool in sent["tools"]] == ["search"]


@pytest.mark.parametrize(
    ("model", "choice", "sent"),
    [
        ("claude-sonnet-4-5", "auto", "auto"),
        ("claude-sonnet-4-5", "none", "none"),
        ("claude-sonnet-4-5", "required", "any"),
        ("claude-sonnet-5-5", "required", "auto"),
    ],
)
def test_choices_of_tools(model: str, choice: Any, sent: str) -> None:
    assert body(ask(tools=(SEARCH,), tool_choice=choice), card(model))["tool_choice"] == {"type": sent}


# ---------------------------------------------------------------- sampling
@pytest.mark.parametrize(
    ("model", "version", "asked", "sent"),
    [
        ("claude-sonnet-4-5", "2023-06-01", {"temperature": 1.5}, {"temperature": 1.0}),
        ("claude-sonnet-4-5", "2023-06-01", {"top_p": 0.5}, {"top_p": 0.5}),
        ("claude-sonnet-4-5", "2023-06-01", {"temperature": 0.5, "reasoning_effort": "high"}, {}),
        ("claude-sonnet-4-5", "2026-10-21", {"temperature": 0.5}, {}),
        ("claude-opus-4-7", "2023-06-01", {"temperature": 0.5, "top_p": 0.5}, {}),
        ("kimi-k3", "2023-06-01", {"temperature": 0.5}, {"temperature": 0.5}),
    ],
)
def test_sampling_is_sent_where_it_is_taken(
    model: str, version: str, asked: dict[str, Any], sent: dict[str, float]
) -> None:
    made = body(ask(**asked), card(model), version=version)
    assert {name: made[name] for name in ("temperature", "top_p") if name in made} == sent


# ---------------------------------------------------------------- what a reader understands
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
ROUND = st.builds(
    lambda text, calls: (
        assistant(text, calls),
        *(tool_message(ToolResult(call.id, call.name, text + call.name)) for call in calls),
    ),
    TEXT,
    st.lists(st.sampled_from("abc"), unique=True, max_size=3).map(
        lambda names: tuple(ToolCall(f"id-{name}", name, json.dumps({"of": name})) for name in names)
    ),
)
SAID = st.lists(
    TEXT.map(lambda text: (user(text),)) | TEXT.map(lambda text: (system(text),)) | ROUND, max_size=8
).map(lambda rounds: tuple(message for messages in rounds for message in messages))


def understood(sent: dict[str, Any]) -> tuple[str, list[tuple[str, object]]]:
    """What a reader of the interface takes from a request: the system prompt, and who said what."""
    roles = [turn["role"] for turn in sent["messages"]]
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"] * (len(roles) % 2)
    heard: list[tuple[str, object]] = []
    for turn in sent["messages"]:
        for block in turn["content"]:
            if block["type"] == "text":
                assert block["text"].strip()
                heard.append((turn["role"], block["text"]))
            elif block["type"] == "tool_use":
                heard.append(("call", (block["id"], block["name"], json.dumps(block["input"]))))
            else:
                assert turn["role"] == "user"
                heard.append(("result", (block["tool_use_id"], block["content"])))
    return "".join(block["text"] for block in sent.get("system", ())), heard


@given(SAID)
def test_a_reader_understands_what_was_said(messages: tuple[Message, ...]) -> None:
    instructions = ""
    said: list[tuple[str, object]] = []
    for message in messages:
        if message.role == "system" and not any(kind for kind, _ in said):
            instructions += message.text if message.text.strip() else ""
        elif message.role == "tool":
            said.append(("result", (message.call_id, message.text)))
        else:
            role = "assistant" if message.role == "assistant" else "user"
            if role == "assistant" and not said and (message.text.strip() or message.tool_calls):
                said.append(("user", "Continue."))
            if message.text.strip():
                said.append((role, message.text))
            said += [("call", (call.id, call.name, call.arguments)) for call in message.tool_calls]
    if said and said[-1][0] == "assistant":
        said[-1] = ("assistant", str(said[-1][1]).rstrip())
    assert understood(body(Request(messages=messages, max_output_tokens=1))) == (
        instructions,
        said or [("user", "Continue.")],
    )


# ---------------------------------------------------------------- the bound
def test_the_bound_covers_every_byte_that_is_sent() -> None:
    request = ask(system("ü" * 100), user("é" * 100), thought(), RESULT, tools=(SEARCH,) * 3, output_schema=SCHEMA)
    for model in (card(), card(json_schema=False)):
        sent = body(request, model)
        prompt = {name: sent.get(name) for name in ("system", "messages", "tools", "output_config")}
        assert DIALECT.input_bound(request, model) >= len(json.dumps(prompt, ensure_ascii=False).encode())


def test_an_image_counts_what_is_billed_at_most_not_its_bytes() -> None:
    picture = Image("image/png", base64.b64encode(b"x" * 1_000_000))
    plain = DIALECT.input_bound(ask(user("What?")), card())
    seen = ask(Message("user", "What?", images=(picture, picture)))
    assert DIALECT.input_bound(seen, card()) == plain + 2 * IMAGE_TOKENS
    assert DIALECT.input_bound(seen, replace(card(), image_tokens=7)) == plain + 14
