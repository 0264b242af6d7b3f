"""What the Gemini dialect sends: golden requests, and what a fake reader understands of any."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.backends.gemini import IMAGE_TOKENS, Gemini
from agentkit.messages import Image, Message, Native, ToolCall, ToolResult, assistant, system, tool_message, user
from agentkit.types import Capabilities, Effort, ModelCard, Request, ToolSpec

DIALECT = Gemini()
CAN = Capabilities(json_schema=True, reasoning_effort=True, logprobs=True)
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
SEARCH = ToolSpec(
    "search", "Search <the> web & more.", {"type": "object", "properties": {"ü": {"type": "string"}}}
)
CALL = ToolCall("r1-0", "search", '{"ü": "x"}')
RESULT = tool_message(ToolResult("r1-0", "search", "found"))


def card(model: str = "gemini-2.5-flash", **capabilities: bool) -> ModelCard:
    return ModelCard("m", "gemini", model, capabilities=replace(CAN, **capabilities))


def ask(*messages: Message, **more: Any) -> Request:
    return Request(messages=messages or (user("hi"),), **{"max_output_tokens": 4_000, **more})


def body(request: Request, model: ModelCard | None = None) -> dict[str, Any]:
    return DIALECT.build_request(request, model or card())


def said(role: str, *parts: str | dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}


# ---------------------------------------------------------------- golden requests
def test_everything_is_sent() -> None:
    request = ask(
        system("Be brief."),
        user("hi"),
        tools=(SEARCH,),
        tool_choice="required",
        temperature=0.0,
        top_p=0.9,
        seed=2**31 + 3,
        stop=tuple("abcdef"),
        logprobs=True,
        output_schema={**SCHEMA, "$schema": "https://json-schema.org/draft/2020-12/schema"},
        reasoning_effort="medium",
    )
    assert body(request, card("gemini-3-flash-preview")) == {
        "contents": [said("user", "hi")],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "search",
                        "description": SEARCH.description,
                        "parametersJsonSchema": SEARCH.parameters,
                    }
                ]
            }
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {
            "maxOutputTokens": 4_000,
            "temperature": 0.0,
            "topP": 0.9,
            "seed": 3,
            "stopSequences": ["a", "b", "c", "d", "e"],
            "responseLogprobs": True,
            "thinkingConfig": {"thinkingLevel": "MEDIUM", "includeThoughts": True},
            "responseMimeType": "application/json",
            "responseJsonSchema": SCHEMA,
        },
    }


def test_the_least_is_sent() -> None:
    bare = Capabilities(tools=False, temperature=False, system=False, seed=False, stop=False)
    request = ask(
        system("s"), user("u"), tools=(SEARCH,), temperature=0.5, top_p=0.5, seed=1, stop=("x",), logprobs=True,
        output_schema=SCHEMA, reasoning_effort="high",
    )  # fmt: skip
    assert body(request, ModelCard("m", "gemini", "gemma-3-27b-it", capabilities=bare)) == {
        "contents": [said("user", "s", "u")],
        "generationConfig": {"maxOutputTokens": 4_000},
    }


def test_headers_and_paths() -> None:
    assert DIALECT.headers("k") == {"x-goog-api-key": "k"}
    assert DIALECT.headers(None) == {}
    assert DIALECT.path(card(), stream=False) == "models/gemini-2.5-flash:generateContent"
    assert DIALECT.path(card("tunedModels/t"), stream=True) == "tunedModels/t:streamGenerateContent?alt=sse"


def test_results_stand_by_themselves_and_go_by_the_name_of_their_tool() -> None:
    calls = (CALL, ToolCall("r1-1", "now", ""))
    request = ask(
        user("a"),
        user("b"),
        assistant("Looking.", calls),
        RESULT,
        Message("tool", "", call_id="r1-1"),  # without a name, as a history written by hand may have it
        system("Hurry."),
        assistant(""),
        user("c"),
        assistant("Done."),
    )
    assert body(request)["contents"] == [
        said("user", "a", "b"),
        said(
            "model",
            "Looking.",
            {"functionCall": {"name": "search", "args": {"ü": "x"}}},
            {"functionCall": {"name": "now", "args": {}}},
        ),
        said(
            "user",
            {"functionResponse": {"name": "search", "response": {"result": "found"}}},
            {"functionResponse": {"name": "now", "response": {"result": ""}}},
        ),
        said("user", "Hurry.", "c"),
        said("model", "Done."),
    ]


@pytest.mark.parametrize("messages", [(system("s"),), (system("s"), assistant("Hello!")), (user(""),)])
def test_a_conversation_begins_with_the_user(messages: tuple[Message, ...]) -> None:
    first, *rest = body(ask(*messages))["contents"]
    assert first == said("user", "Continue.")
    assert rest in ([], [said("model", "Hello!")])


@pytest.mark.parametrize("written", ["[1", "[1]", '{"x": NaN}'])
def test_arguments_that_are_no_object_are_wrapped(written: str) -> None:
    (_, turn) = body(ask(user("x"), assistant("", (ToolCall("c", "search", written),))))["contents"]
    assert turn["parts"][0]["functionCall"]["args"] == {"malformed": written}


def test_images_by_bytes_and_by_address() -> None:
    images = (
        Image("image/png", b"\x89PNG"),
        Image(url="https://example.org/a.jpg"),
        Image("image/webp", url="https://example.org/b"),
        Image(url="https://example.org/c"),
    )
    (turn,) = body(ask(Message("user", "What?", images=images)))["contents"]
    assert turn["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}},
        {"fileData": {"fileUri": "https://example.org/a.jpg", "mimeType": "image/jpeg"}},
        {"fileData": {"fileUri": "https://example.org/b", "mimeType": "image/webp"}},
        {"fileData": {"fileUri": "https://example.org/c"}},
        {"text": "What?"},
    ]


def test_schemas_are_cut_to_what_is_taken() -> None:
    schema = {**SCHEMA, "additionalProperties": False, "patternProperties": {"^x": {}}, "$schema": "x"}
    cut = {**SCHEMA, "additionalProperties": False}
    sent = body(ask(tools=(ToolSpec("t", "", schema),), output_schema=schema), card("gemini-3-pro"))
    assert sent["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == cut
    assert sent["generationConfig"]["responseJsonSchema"] == cut


def test_a_tool_without_arguments_has_no_parameters() -> None:
    sent = body(ask(tools=(ToolSpec("now", "", {"type": "object", "properties": {}}),)))
    assert sent["tools"][0]["functionDeclarations"] == [{"name": "now", "description": ""}]


def test_a_form_of_the_answer_beside_tools_waits_for_version_3() -> None:
    request = ask(tools=(SEARCH,), output_schema=SCHEMA)
    assert "responseJsonSchema" not in body(request)["generationConfig"]
    assert "responseJsonSchema" in body(request, card("gemini-3.5-flash"))["generationConfig"]
    assert "responseJsonSchema" in body(request, card(tools=False))["generationConfig"]
    assert "responseMimeType" not in body(ask(output_schema=SCHEMA), card(json_schema=False))["generationConfig"]


# ---------------------------------------------------------------- turns in the provider's own form
SIGNED = {"functionCall": {"name": "search", "args": {"ü": "x"}, "id": "r1-0"}, "thoughtSignature": "c2ln"}


def thought(model: str = "gemini-3-pro", dialect: str = "gemini") -> Message:
    return Message("assistant", "", (CALL,), native=Native(dialect, model, (SIGNED,)))


def test_signatures_and_ids_go_back_as_they_came_to_the_model_that_thought() -> None:
    _, turn, result = body(ask(user("x"), thought(), RESULT), card("gemini-3-pro"))["contents"]
    assert turn == said("model", SIGNED)
    assert result["parts"] == [
        {"functionResponse": {"id": "r1-0", "name": "search", "response": {"result": "found"}}}
    ]


@pytest.mark.parametrize("other", [thought(model="gemini-3-flash"), thought(dialect="anthropic")])
def test_calls_of_others_are_marked_as_such_where_a_signature_is_demanded(other: Message) -> None:
    other = replace(other, tool_calls=(CALL, ToolCall("r1-1", "now", "{}")))
    _, turn, result = body(ask(user("x"), other, RESULT), card("gemini-3-pro"))["contents"]
    first, second = turn["parts"]
    assert first["thoughtSignature"] == "skip_thought_signature_validator"
    assert "thoughtSignature" not in second
    assert "id" not in first["functionCall"] and "id" not in result["parts"][0]["functionResponse"]
    _, older, _ = body(ask(user("x"), other, RESULT))["contents"]
    assert "thoughtSignature" not in older["parts"][0]


def test_a_turn_whose_calls_were_changed_is_written_anew() -> None:
    changed = replace(thought(), tool_calls=(replace(CALL, name="find"),))
    _, turn = body(ask(user("x"), changed), card("gemini-3-pro"))["contents"]
    assert turn["parts"][0]["functionCall"]["name"] == "find"


def test_the_native_form_is_not_changed_by_what_follows() -> None:
    request = ask(user("x"), thought(), assistant("So."), RESULT)
    assert body(request, card("gemini-3-pro")) == body(request, card("gemini-3-pro"))


# ---------------------------------------------------------------- thinking
def budget(tokens: int) -> dict[str, Any]:
    return {"thinkingBudget": tokens, "includeThoughts": True}


def level(name: str) -> dict[str, Any]:
    return {"thinkingLevel": name, "includeThoughts": True}


@pytest.mark.parametrize(
    ("model", "effort", "cap", "config"),
    [
        ("gemini-2.5-flash", "none", 4_000, {"thinkingBudget": 0}),
        ("gemini-2.5-flash", "low", 4_000, budget(800)),
        ("gemini-2.5-flash", "high", 100_000, budget(24_576)),
        ("gemini-2.5-flash-lite", "minimal", 4_000, budget(512)),
        ("gemini-2.5-flash-lite", "high", 600, {"thinkingBudget": 0}),
        ("gemini-2.5-pro", "none", 4_000, {"thinkingBudget": 128}),
        ("gemini-2.5-pro", "minimal", 1_000, budget(128)),
        ("gemini-2.5-pro", "high", 100, {"thinkingBudget": 128}),
        ("gemini-2.5-pro", "high", 100_000, budget(32_768)),
        ("gemini-3-pro-preview", "none", 4_000, {"thinkingLevel": "LOW"}),
        ("gemini-3-pro-preview", "medium", 4_000, level("HIGH")),
        ("gemini-3.1-pro-preview", "medium", 4_000, level("MEDIUM")),
        ("gemini-3.5-flash", "none", 4_000, {"thinkingLevel": "MINIMAL"}),
        ("gemini-flash-latest", "minimal", 4_000, level("MINIMAL")),
        ("gemini-2.0-flash", "high", 4_000, None),
        ("gemma-4-27b-it", "high", 4_000, None),
        ("gemini-3.5-flash", None, 4_000, None),
        ("gemini-3.5-flash", None, 1_000, {"thinkingLevel": "MINIMAL"}),  # else it may not come to its answer
        ("gemini-2.5-flash", None, 1_000, {"thinkingBudget": 0}),
    ],
)
def test_effort_by_family(model: str, effort: Effort | None, cap: int, config: Any) -> None:
    request = ask(reasoning_effort=effort, max_output_tokens=cap)
    assert body(request, card(model))["generationConfig"].get("thinkingConfig") == config
    assert "thinkingConfig" not in body(request, card(model, reasoning_effort=False))["generationConfig"]


@given(st.sampled_from(["gemini-2.5-flash", "gemini-2.5-pro", "gemini-2.5-flash-lite"]), st.integers(1, 200_000))
def test_a_budget_leaves_room_for_the_answer(model: str, cap: int) -> None:
    config = body(ask(reasoning_effort="high", max_output_tokens=cap), card(model))["generationConfig"]
    assert config["maxOutputTokens"] == cap
    if "includeThoughts" in config["thinkingConfig"]:
        assert config["thinkingConfig"]["thinkingBudget"] <= 0.8 * cap


# ---------------------------------------------------------------- what a reader understands
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
ROUND = st.builds(
    lambda text, calls: (
        assistant(text, calls),
        *(tool_message(ToolResult(call.id, call.name, text + call.name)) for call in calls),
    ),
    TEXT,
    st.lists(st.sampled_from("abc"), max_size=3).map(
        lambda names: tuple(ToolCall(f"id-{i}", n, json.dumps({"of": n})) for i, n in enumerate(names))
    ),
)
SAID = st.lists(
    TEXT.map(lambda text: (user(text),)) | TEXT.map(lambda text: (system(text),)) | ROUND, max_size=8
).map(lambda rounds: tuple(message for messages in rounds for message in messages))


def understood(sent: dict[str, Any]) -> tuple[str, list[tuple[str, object]]]:
    """What a reader of the interface takes from a request: the instruction, and who said what."""
    contents = sent["contents"]
    assert contents[0]["role"] == "user"
    heard: list[tuple[str, object]] = []
    for before, content in zip([None, *contents], contents, strict=False):
        parts = content["parts"]
        results = ["functionResponse" in part for part in parts]
        assert all(results) or not any(results)
        if any(results):
            assert before is not None and before["role"] == "model"
            assert len(parts) == sum("functionCall" in part for part in before["parts"])
        for part in parts:
            (kind,) = part
            if kind == "text":
                assert part["text"]
                heard.append((content["role"], part["text"]))
            else:
                what = part[kind]
                heard.append((kind, (what["name"], json.dumps(what.get("args") or what.get("response")))))
    return "".join(part["text"] for part in sent.get("systemInstruction", {}).get("parts", ())), heard


@given(SAID)
def test_a_reader_understands_what_was_said(messages: tuple[Message, ...]) -> None:
    instructions = ""
    told: list[tuple[str, object]] = []
    for message in messages:
        if message.role == "system" and not told:
            instructions += message.text
        elif message.role == "tool":
            told.append(("functionResponse", (message.name, json.dumps({"result": message.text}))))
        else:
            role = "model" if message.role == "assistant" else "user"
            if role == "model" and not told and (message.text or message.tool_calls):
                told.append(("user", "Continue."))
            told += [(role, message.text)] if message.text else []
            told += [("functionCall", (call.name, call.arguments)) for call in message.tool_calls]
    assert understood(body(Request(messages=messages, max_output_tokens=1))) == (
        instructions,
        told or [("user", "Continue.")],
    )


@given(SAID, SAID)
def test_a_turn_only_adds_to_what_is_cached(before: tuple[Message, ...], after: tuple[Message, ...]) -> None:
    """The provider caches by itself, any prefix that comes again."""
    before = (system("s"), user("task"), *before)
    first, second = (body(Request(messages=m, max_output_tokens=1)) for m in (before, before + after))
    parts = [
        [(c["role"], json.dumps(p)) for c in sent["contents"] for p in c["parts"]] for sent in (first, second)
    ]
    assert parts[1][: len(parts[0])] == parts[0]
    assert first["systemInstruction"] == second["systemInstruction"]


# ---------------------------------------------------------------- the bound
def test_the_bound_covers_every_byte_that_is_sent() -> None:
    request = ask(system("ü" * 100), user("é" * 100), thought(), RESULT, tools=(SEARCH,) * 3, output_schema=SCHEMA)
    model = card("gemini-3-pro")
    sent = body(request, model)
    prompt = {name: sent[name] for name in ("systemInstruction", "contents", "tools")} | {
        "schema": sent["generationConfig"]["responseJsonSchema"]
    }
    assert DIALECT.input_bound(request, model) >= len(json.dumps(prompt, ensure_ascii=False).encode())


def test_an_image_counts_what_is_billed_at_most_not_its_bytes() -> None:
    picture = Image("image/png", b"x" * 1_000_000)
    plain = DIALECT.input_bound(ask(user("What?")), card())
    seen = ask(Message("user", "What?", images=(picture, picture)))
    assert DIALECT.input_bound(seen, card()) == plain + 2 * IMAGE_TOKENS
    assert DIALECT.input_bound(seen, replace(card(), image_tokens=7)) == plain + 14
