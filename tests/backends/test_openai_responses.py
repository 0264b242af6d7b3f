"""The responses dialect without a network: what is sent, what is read, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.backends.dialect import Dialect
from agentkit.backends.openai_chat import OpenAIChat
from agentkit.backends.openai_responses import OpenAIResponses
from agentkit.errors import BackendError, BackendUnavailable, BadResponse, ContentRefused, Overloaded, RateLimited
from agentkit.messages import Image, Message, Native, ToolCall, ToolResult, assistant, system, tool_message, user
from agentkit.sse import ServerEvent
from agentkit.types import Capabilities, ModelCard, Request, ToolSpec
from agentkit.usage import Usage
from tests.backends.streams import replay

RESPONSES = OpenAIResponses()
CARD = ModelCard("m", "openai-responses", "gpt-5-mini", capabilities=Capabilities(reasoning_effort=True))
SEARCH = ToolSpec("search", "Search the web.", {"type": "object", "properties": {"q": {"type": "string"}}})
SCHEMA = {"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}
CALL = {"id": "fc_1", "type": "function_call", "call_id": "c1", "name": "search", "arguments": '{"q": 1}'}
THOUGHT = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "sealed"}
TEXT = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Noon."}]}
REFUSAL = {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
COUNTS = {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14}


def card(**capabilities: bool) -> ModelCard:
    return ModelCard("m", "openai-responses", "gpt-4o", capabilities=Capabilities(**capabilities))


def body(*output: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "resp_1", "status": "completed", "error": None, "output": list(output), "usage": COUNTS} | more


def said(*messages: Message, of: ModelCard = CARD) -> Any:
    return RESPONSES.build_request(Request(messages=messages, max_output_tokens=9), of)["input"]


# ---------------------------------------------------------------- requests
def test_a_request_as_it_is_sent() -> None:
    request = Request(
        messages=(system("Be brief."), user("When is high tide?")),
        max_output_tokens=900,
        tools=(SEARCH,),
        tool_choice="required",
        temperature=0.5,
        top_p=0.9,
        seed=1,
        stop=("x",),
        output_schema=SCHEMA,
        reasoning_effort="low",
    )
    can = Capabilities(temperature=False, reasoning_effort=True, json_schema=True)
    assert RESPONSES.build_request(request, ModelCard("m", "", "gpt-5-mini", capabilities=can), stream=True) == {
        "model": "gpt-5-mini",
        "input": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "When is high tide?"},
        ],
        "max_output_tokens": 900,
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "low"},
        "stream": True,
        "tools": [
            {
                "type": "function",
                "name": "search",
                "description": "Search the web.",
                "parameters": SEARCH.parameters,
                "strict": False,
            }
        ],
        "tool_choice": "required",
        "text": {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True}},
    }
    sampled = RESPONSES.build_request(request, card(logprobs=True))
    assert (sampled["temperature"], sampled["top_p"]) == (0.5, 0.9)
    assert not {"include", "reasoning", "text", "seed", "stop"} & set(sampled)


def test_nothing_the_card_excludes_is_sent() -> None:
    request = Request(
        messages=(system("s"),), max_output_tokens=9, tools=(SEARCH,), temperature=1.0, logprobs=True
    )
    sent = RESPONSES.build_request(request, card(tools=False, temperature=False, system=False))
    assert set(sent) == {"model", "input", "max_output_tokens", "store"}
    assert sent["input"] == [{"role": "user", "content": "s"}]
    with_logprobs = RESPONSES.build_request(request, card(logprobs=True))
    assert with_logprobs["include"] == ["message.output_text.logprobs"]


def test_images_go_beside_the_text() -> None:
    pictures = Image("image/png", b"\x89P"), Image(url="https://example.org/a.jpg")
    (turn,) = said(Message("user", "What is this?", images=pictures))
    assert turn["content"] == [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": "data:image/png;base64,iVA=", "detail": "auto"},
        {"type": "input_image", "image_url": "https://example.org/a.jpg", "detail": "auto"},
    ]


ROUND = tool_message(ToolResult("c1", "search", "found"))
ANSWERED = {"type": "function_call_output", "call_id": "c1", "output": "found"}
PLAIN_CALL = {key: CALL[key] for key in ("type", "call_id", "name", "arguments")}


def test_a_turn_goes_back_to_its_model_as_it_came() -> None:
    turn = RESPONSES.parse_response(body(THOUGHT, CALL), CARD).message
    assert said(turn, ROUND) == [THOUGHT, CALL, ANSWERED]


@pytest.mark.parametrize("case", ["another model", "another dialect", "other calls", "none"])
def test_reasoning_goes_to_no_other_model_and_with_no_other_calls(case: str) -> None:
    native = {
        "another model": Native("openai-responses", "gpt-5", (THOUGHT, CALL)),
        "another dialect": Native("anthropic", CARD.model, (THOUGHT, CALL)),
        "other calls": Native("openai-responses", CARD.model, (THOUGHT, CALL, {**CALL, "call_id": "c2"})),
        "none": None,
    }[case]
    turn = Message("assistant", "Looking.", (ToolCall("c1", "search", '{"q": 1}'),), native=native)
    assert said(turn, ROUND) == [{"role": "assistant", "content": "Looking."}, PLAIN_CALL, ANSWERED]


def test_half_a_reply_has_no_native_form() -> None:
    cut = body(THOUGHT, status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    reply = RESPONSES.parse_response(cut, CARD)
    assert (reply.finish_reason, reply.message.native, reply.usage) == ("length", None, Usage(9, output_tokens=5))


@pytest.mark.parametrize(
    ("model", "asked", "sent"),
    [
        ("o3", "none", "low"),
        ("gpt-5-mini", "none", "minimal"),
        ("gpt-5-mini", "minimal", "minimal"),
        ("gpt-5.4", "minimal", "low"),
        ("openai/gpt-5.4", "none", "none"),
        ("somebodys", "minimal", "minimal"),
    ],
)
def test_the_nearest_effort_the_model_takes_is_asked_for(model: str, asked: Any, sent: str) -> None:
    request = Request(messages=(user("x"),), max_output_tokens=99, reasoning_effort=asked)
    its = ModelCard("m", "", model, capabilities=CARD.capabilities)
    assert RESPONSES.build_request(request, its)["reasoning"] == {"effort": sent}


# ---------------------------------------------------------------- replies
@pytest.mark.parametrize(
    ("reply", "finish"),
    [
        (body(TEXT), "stop"),
        (body(TEXT, CALL), "tool_calls"),
        (body(REFUSAL), "content_filter"),
        (body(TEXT, status="incomplete", incomplete_details={"reason": "max_output_tokens"}), "length"),
        (body(TEXT, status="incomplete", incomplete_details={"reason": "content_filter"}), "content_filter"),
        (body(TEXT, status="incomplete", incomplete_details=None), "length"),
        (body(TEXT, status=None), "stop"),
    ],
)
def test_how_replies_end_whole_and_streamed(reply: dict[str, Any], finish: str) -> None:
    whole = RESPONSES.parse_response(reply, CARD)
    assert whole.finish_reason == finish
    assert whole.message.text in ("Noon.", "No.")
    # a terminal event alone says all of it, as some servers leave out the rest
    assert replay(RESPONSES, {"type": "response.completed", "response": reply}, card=CARD) == whole


def test_logprobs_are_read() -> None:
    token = {"token": "Noon.", "logprob": -0.25, "top_logprobs": []}
    part = {"type": "output_text", "text": "Noon.", "logprobs": [token]}
    reply = body({"type": "message", "content": [part]})
    (whole,) = RESPONSES.parse_response(reply, CARD).logprobs
    delta = {"type": "response.output_text.delta", "output_index": 0, "delta": "Noon.", "logprobs": [token]}
    streamed = replay(RESPONSES, delta, {"type": "response.completed", "response": reply}, card=CARD)
    assert (whole.text, whole.logprob) == ("Noon.", -0.25)
    assert streamed.logprobs == (whole,)


def test_what_the_terminal_event_leaves_out_is_what_the_items_said() -> None:
    done = [
        {"type": "response.output_item.done", "output_index": i, "item": item}
        for i, item in enumerate([TEXT, CALL])
    ]
    reply = replay(RESPONSES, *done, {"type": "response.completed", "response": body()}, "[DONE]", card=CARD)
    assert reply == RESPONSES.parse_response(body(TEXT, CALL), CARD)
    assert reply.message.native == Native("openai-responses", CARD.model, (TEXT, CALL))


def test_a_call_whose_end_was_not_streamed_is_made_whole() -> None:
    events = [
        {"type": "response.output_item.added", "output_index": 0, "item": {**CALL, "arguments": ""}},
        {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": '{"q"'},
        {"type": "response.completed", "response": body(CALL, {**CALL, "call_id": "c2"})},
    ]
    reply = replay(RESPONSES, *events, card=CARD)
    assert reply.message.tool_calls == (ToolCall("c1", "search", '{"q": 1}'), ToolCall("c2", "search", '{"q": 1}'))


# ---------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("server_error", BackendUnavailable),
        ("rate_limit_exceeded", RateLimited),
        ("server_is_overloaded", Overloaded),
        ("invalid_prompt", ContentRefused),
    ],
)
def test_errors_of_every_form(code: str, kind: type[BackendError]) -> None:
    error = {"code": code, "message": "sorry"}
    failed = body(status="failed", error=error)
    with pytest.raises(BackendError) as whole:
        RESPONSES.parse_response(failed, CARD)
    streams: list[dict[str, Any]] = [
        {"type": "response.failed", "response": failed},
        {"type": "error", "sequence_number": 3, "param": None, **error},
        {"type": "error", "error": error},
    ]
    for event in streams:
        with pytest.raises(BackendError) as streamed:
            replay(RESPONSES, event, card=CARD)
        assert type(streamed.value) is type(whole.value) is kind
        assert streamed.value.may_be_billed and "sorry" in str(streamed.value)


@pytest.mark.parametrize("status", ["failed", "cancelled", "queued", "in_progress"])
def test_a_reply_that_is_none_is_a_bad_response(status: str) -> None:
    with pytest.raises(BadResponse, match=status):
        RESPONSES.parse_response(body(TEXT, status=status), CARD)


def test_a_stream_without_an_end_is_an_error() -> None:
    with pytest.raises(BackendUnavailable):
        replay(RESPONSES, {"type": "response.output_text.delta", "output_index": 0, "delta": "half"}, card=CARD)


KINDS = (
    "response.created response.output_text.delta response.refusal.delta response.output_item.added error "
    "response.function_call_arguments.delta response.output_item.done response.completed response.failed "
    "response.reasoning_text.delta function_call message output_text refusal reasoning"
).split()
FIELDS = (
    "type response output content text refusal item delta output_index call_id name arguments status error usage "
    "logprobs token logprob incomplete_details reason input_tokens output_tokens code message"
).split()
JSON = st.recursive(
    st.none() | st.integers(-1, 3) | st.floats() | st.text(max_size=5) | st.sampled_from(KINDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6),
    max_leaves=25,
)


@given(JSON, st.sampled_from(KINDS))
def test_any_json_is_read_or_refused_by_a_typed_error(value: Any, kind: str) -> None:
    for given_body in (value, body() | {"output": value}, body() | {"output": [value], "usage": value}):
        try:
            assert isinstance(RESPONSES.parse_response(given_body, CARD).message.text, str)
        except BackendError:
            pass
        event = {"response": given_body, **(value if isinstance(value, dict) else {}), "type": kind}
        try:
            assert isinstance(replay(RESPONSES, json.dumps(event), card=CARD).message.text, str)
        except BackendError:
            pass


# ---------------------------------------------------------------- the bound
def test_the_bound_covers_every_byte_that_is_said() -> None:
    turn = Message("assistant", "ü" * 50, (ToolCall("c1", "search", "{}"),))
    native = RESPONSES.parse_response(body({**THOUGHT, "encrypted_content": "s" * 999}, CALL), CARD).message
    for messages in ((user("ü" * 500),), (turn, ROUND), (native, ROUND), (assistant("a"),)):
        request = Request(messages=messages, max_output_tokens=9, tools=(SEARCH,), output_schema=SCHEMA)
        items = RESPONSES.build_request(request, CARD)["input"]
        tools = json.dumps([SEARCH.parameters, SEARCH.name, SEARCH.description, SCHEMA], indent=4)
        least = len(json.dumps(items, ensure_ascii=False).encode()) + len(tools)
        assert RESPONSES.input_bound(request, CARD) >= least


@pytest.mark.parametrize("dialect", [RESPONSES, OpenAIChat()], ids=["responses", "chat"])
@pytest.mark.parametrize(("known", "tokens"), [(None, 50_000), (700, 700)])
def test_images_are_bounded_by_their_number_not_their_bytes(
    dialect: Dialect, known: int | None, tokens: int
) -> None:
    its = ModelCard("m", "", "gpt-5", image_tokens=known)
    pictures = (Image("image/png", b"\x00" * 90_000), Image(url="https://example.org/a.jpg"))
    with_images = Request(messages=(Message("user", "x", images=pictures),), max_output_tokens=9)
    without = Request(messages=(user("x"),), max_output_tokens=9)
    assert dialect.input_bound(with_images, its) == dialect.input_bound(without, its) + 2 * tokens


def test_an_event_that_comes_again_is_read_once_and_pieces_that_are_alike_are_not() -> None:
    def said(again: int | None, *, numbered: bool = True) -> str:
        stream, text = OpenAIResponses().stream(CARD), ""
        for number, piece in enumerate(("ha", "ha", "ha"), start=1):
            count = number if numbered else -1
            event = {"type": "response.output_text.delta", "delta": piece, "sequence_number": count}
            for _ in range(2 if number == again else 1):
                text += "".join(delta.text for delta in stream.feed(ServerEvent(json.dumps(event))))
        return text

    assert [said(again) for again in (None, 1, 2, 3)] == ["hahaha"] * 4
    assert said(None, numbered=False) == "hahaha"
