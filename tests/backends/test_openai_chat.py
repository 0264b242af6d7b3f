"""The chat-completions dialect without a network: what is sent, what is read, what is refused."""

from __future__ import annotations

import json
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.backends import Assembler, RemoteBackend
from agentkit.backends.openai_chat import OpenAIChat
from agentkit.errors import BackendError, BackendUnavailable, BadResponse, ContentRefused, RateLimited
from agentkit.messages import Image, Message, ToolCall, ToolResult, assistant, system, tool_message, user
from agentkit.sse import ServerEvent
from agentkit.types import Capabilities, Completion, ModelCard, Request, ToolSpec
from agentkit.usage import Price, Usage

CHAT = OpenAIChat()
CARD = ModelCard("m", "openai", "wire-model", price=Price(Decimal(2), Decimal(8), cache_write=Decimal("2.5")))
PROPERTIES = MappingProxyType({"ü": {"type": "string"}})
TOOL = ToolSpec("search", "Search <the> web & more.", {"type": "object", "properties": PROPERTIES})
EVERYTHING = Request(
    messages=(system("be brief"), user("hi")),
    max_output_tokens=9,
    tools=(TOOL,),
    tool_choice="required",
    temperature=0.5,
    top_p=0.9,
    seed=3,
    stop=("\n",),
    logprobs=True,
    output_schema={"type": "object", "properties": {"a": {"type": "integer"}}},
)
NOTHING = Capabilities(
    tools=False, temperature=False, system=False, seed=False, stop=False, logprobs=False, json_schema=False
)


def card(**capabilities: bool) -> ModelCard:
    return ModelCard("m", "openai", "wire-model", capabilities=Capabilities(**capabilities))


def replay(*chunks: dict[str, Any] | str) -> Completion:
    stream, reply = CHAT.stream(CARD), Assembler()
    for chunk in chunks:
        data = chunk if isinstance(chunk, str) else json.dumps(chunk)
        for delta in stream.feed(ServerEvent(data)):
            reply.add(delta)
    reply.add(stream.last())
    return reply.partial()


def text_chunk(text: str | None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}], **more}


def call_chunk(*pieces: dict[str, Any]) -> dict[str, Any]:
    return {"id": "r1", "choices": [{"index": 0, "delta": {"tool_calls": list(pieces)}, "finish_reason": None}]}


# ---------------------------------------------------------------- requests
def test_everything_the_card_allows_is_sent() -> None:
    body = CHAT.build_request(EVERYTHING, card(json_schema=True, logprobs=True), stream=True)
    assert body["max_tokens"] == 9
    assert {k: body[k] for k in ("temperature", "top_p", "seed", "stop", "logprobs", "tool_choice")} == {
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 3,
        "stop": ["\n"],
        "logprobs": True,
        "tool_choice": "required",
    }
    assert body["response_format"]["json_schema"]["schema"] == EVERYTHING.output_schema
    assert body["stream"] is True


def test_nothing_the_card_excludes_is_sent() -> None:
    body = CHAT.build_request(EVERYTHING, ModelCard("m", "openai", "wire-model", capabilities=NOTHING))
    assert set(body) == {"model", "messages", "max_tokens"}
    assert [message["role"] for message in body["messages"]] == ["user", "user"]


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        ({"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}, True),
        ({"type": "object", "properties": {"a": {}}, "required": ["a"]}, False),
        ({"type": "object", "properties": {"a": {}}, "required": [], "additionalProperties": False}, False),
        ({"anyOf": [{"type": "object", "properties": {"a": {}}}]}, False),
        ({"type": "integer"}, True),
    ],
)
def test_strict_is_asked_only_for_schemas_that_servers_take_strictly(schema: dict[str, Any], strict: bool) -> None:
    request = Request(messages=(user("x"),), max_output_tokens=1, output_schema=schema)
    assert (
        CHAT.build_request(request, card(json_schema=True))["response_format"]["json_schema"]["strict"] is strict
    )


def test_a_tool_round_is_written_as_the_server_wants_it() -> None:
    calls = (ToolCall("c1", "search", '{"q": 1}'), ToolCall("c2", "now", ""))
    result = tool_message(ToolResult("c1", "search", "found"))
    body = CHAT.build_request(Request(messages=(assistant("", calls), result), max_output_tokens=1), CARD)
    said, answered = body["messages"]
    assert said["content"] is None
    assert [call["function"]["arguments"] for call in said["tool_calls"]] == ['{"q": 1}', "{}"]
    assert answered == {"role": "tool", "tool_call_id": "c1", "content": "found"}


UNREADABLE = {"cut": '{"q": 1', "list": "[1]", "null": "null", "text": "ü", "deep": "[" * 9_999}


@pytest.mark.parametrize("written", UNREADABLE.values(), ids=UNREADABLE)
def test_arguments_a_server_could_not_read_back_are_wrapped(written: str) -> None:
    request = Request(messages=(assistant("", (ToolCall("c1", "search", written),)),), max_output_tokens=1)
    (said,) = CHAT.build_request(request, CARD)["messages"]
    assert json.loads(said["tool_calls"][0]["function"]["arguments"]) == {"malformed": written}


def test_images_go_beside_the_text() -> None:
    pictures = Image("image/png", b"\x89P"), Image(url="https://example.org/a.jpg")
    request = Request(messages=(Message("user", "What is this?", images=pictures),), max_output_tokens=1)
    (turn,) = CHAT.build_request(request, CARD)["messages"]
    assert turn["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVA="}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.jpg"}},
    ]


@pytest.mark.parametrize(("able", "sent"), [(True, "high"), (False, None)])
def test_effort_is_asked_for_only_where_there_is_one(able: bool, sent: str | None) -> None:
    request = Request(messages=(user("x"),), max_output_tokens=1, reasoning_effort="high")
    assert CHAT.build_request(request, card(reasoning_effort=able)).get("reasoning_effort") == sent


# ---------------------------------------------------------------- usage: never below the bill
USAGES: dict[str, tuple[dict[str, Any] | None, Usage | None]] = {
    "plain": ({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}, Usage(5, output_tokens=2)),
    "without total": ({"prompt_tokens": 5, "completion_tokens": 2}, Usage(5, output_tokens=2)),
    "cached, written and reasoning are parts": (
        {
            "prompt_tokens": 100,
            "completion_tokens": 40,
            "total_tokens": 140,
            "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
            "completion_tokens_details": {"reasoning_tokens": 25},
        },
        Usage(10, 60, 30, 15, 25),
    ),
    "reasoning left out of completion shows in the total": (
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 40,
            "completion_tokens_details": {"reasoning_tokens": 25},
        },
        Usage(10, output_tokens=5, reasoning_tokens=25),
    ),
    "null details": (
        {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": None},
        Usage(5, output_tokens=2),
    ),
    "more cached than prompted": (
        {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 9}},
        Usage(0, 5, 0, 2),
    ),
    "zeros are a placeholder": ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, None),
    "negative": ({"prompt_tokens": -5, "completion_tokens": 2}, None),
    "text": ({"prompt_tokens": "5", "completion_tokens": 2}, None),
    "half": ({"prompt_tokens": 5}, None),
    "absurd": ({"prompt_tokens": 10**30, "completion_tokens": 2}, None),
    "empty": ({}, None),
    "null": (None, None),
}


@pytest.mark.parametrize("name", USAGES)
def test_usage_whole_and_streamed(name: str) -> None:
    record, expected = USAGES[name]
    body = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}], "usage": record}
    assert CHAT.parse_response(body, CARD).usage == expected
    own_chunk = replay(text_chunk("hi"), text_chunk(None, "stop"), {"choices": [], "usage": record}, "[DONE]")
    last_choice = replay(text_chunk("hi"), text_chunk(None, "stop", usage=record), "[DONE]")
    assert own_chunk.usage == last_choice.usage == expected


def test_the_last_usage_wins_and_a_placeholder_never_does() -> None:
    grown = [{"prompt_tokens": 5, "completion_tokens": n} for n in (1, 2, 3)]
    zero = {"prompt_tokens": 0, "completion_tokens": 0}
    chunks = [text_chunk("w ", usage=usage) for usage in grown]
    reply = replay(*chunks, text_chunk(None, "stop", usage=grown[-1]), {"choices": [], "usage": zero}, "[DONE]")
    assert reply.usage == Usage(5, output_tokens=3)


# ---------------------------------------------------------------- tool calls in pieces
def function(arguments: str, name: str | None = None) -> dict[str, Any]:
    return {"function": {"arguments": arguments, **({"name": name} if name else {})}}


CALLS = (ToolCall("a", "f", '{"x": 1}'), ToolCall("b", "g", "{}"))
CALL_STREAMS = {
    "interleaved": [
        call_chunk({"index": 0, "id": "a", **function("", "f")}),
        call_chunk({"index": 1, "id": "b", **function("{", "g")}),
        call_chunk({"index": 0, **function('{"x": ')}, {"index": 1, **function("}")}),
        call_chunk({"index": 0, **function("1}")}),
    ],
    "id repeated in every piece": [
        call_chunk({"index": 0, "id": "a", **function('{"x"', "f")}),
        call_chunk({"index": 0, "id": "a", **function(": 1}")}),
        call_chunk({"index": 1, "id": "b", **function("{}", "g")}),
    ],
    "one index for all": [
        call_chunk({"index": 0, "id": "a", **function('{"x": 1}', "f")}),
        call_chunk({"index": 0, "id": "b", **function("{}", "g")}),
    ],
    "no index": [
        call_chunk({"id": "a", **function('{"x": ', "f")}),
        call_chunk(function("1}")),
        call_chunk({"id": "b", **function("{}", "g")}),
    ],
}


@pytest.mark.parametrize("name", CALL_STREAMS)
def test_calls_come_together_however_they_are_cut(name: str) -> None:
    reply = replay(*CALL_STREAMS[name], text_chunk(None, "stop"), "[DONE]")
    assert reply.message.tool_calls == CALLS
    assert reply.finish_reason == "tool_calls"


def test_calls_without_an_id_get_one_of_the_reply() -> None:
    reply = replay(call_chunk({"index": 0, **function("{}", "f")}), text_chunk(None, "tool_calls"))
    whole = {"id": "r1", "choices": [{"message": {"tool_calls": [function("{}", "f")]}, "finish_reason": "stop"}]}
    assert (
        reply.message.tool_calls
        == CHAT.parse_response(whole, CARD).message.tool_calls
        == (ToolCall("r1-0", "f", "{}"),)
    )


# ---------------------------------------------------------------- ends and errors
@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("eos", "stop"),
        (None, "stop"),
    ],
)
def test_finish_reasons(reason: str | None, finish: str) -> None:
    body = {"choices": [{"message": {"content": "hi"}, "finish_reason": reason}]}
    assert CHAT.parse_response(body, CARD).finish_reason == finish


def test_a_refusal_is_a_filtered_reply_that_keeps_its_usage() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    body = {"choices": [{"message": {"content": None, "refusal": "No."}, "finish_reason": "stop"}], "usage": usage}
    piece = {"choices": [{"delta": {"refusal": "No."}, "finish_reason": None}]}
    whole, streamed = CHAT.parse_response(body, CARD), replay(piece, text_chunk(None, "stop", usage=usage))
    assert whole == streamed
    assert (whole.message.text, whole.finish_reason) == ("No.", "content_filter")
    assert whole.usage == Usage(5, output_tokens=2)


def test_logprobs_are_read() -> None:
    logprobs = {"content": [{"token": "hi", "logprob": -0.5, "bytes": None, "top_logprobs": []}]}
    body = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop", "logprobs": logprobs}]}
    (token,) = CHAT.parse_response(body, CARD).logprobs
    assert (token.text, token.logprob) == ("hi", -0.5)


def test_a_stream_without_an_end_is_an_error() -> None:
    with pytest.raises(BackendUnavailable):
        replay(text_chunk("half"), "[DONE]")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "slow down", "code": 429}, RateLimited),
        ({"message": "slow down", "code": "rate_limit_exceeded"}, RateLimited),
        ({"message": "broken", "code": 502}, BackendUnavailable),
        ({"message": "broken"}, BackendUnavailable),
        ("broken", BackendUnavailable),
        ({"message": "no", "code": "content_filter"}, ContentRefused),
    ],
)
def test_errors_inside_a_good_status(error: object, kind: type[BackendError]) -> None:
    with pytest.raises(kind) as whole:
        CHAT.parse_response({"error": error}, CARD)
    with pytest.raises(kind) as streamed:
        replay(text_chunk("half"), {"error": error})
    # the work had begun, so its tokens may be on the bill, rate limits included
    assert whole.value.may_be_billed and streamed.value.may_be_billed


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "choices message delta content tool_calls function name arguments index id usage error code "
                "prompt_tokens completion_tokens logprobs finish_reason refusal token logprob text reasoning "
                "reasoning_content reasoning_details".split()
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=25,
)


@given(JSON)
def test_any_json_is_read_or_refused_by_a_typed_error(value: Any) -> None:
    message = {"choices": [value] if not isinstance(value, list) else value, "usage": value}
    for body in (value, message, {"choices": [{"message": value, "delta": value, "finish_reason": value}]}):
        try:
            completion = CHAT.parse_response(body, CARD)
            assert isinstance(completion.message.text, str)
        except BackendError:
            pass
        try:
            assert isinstance(replay(json.dumps(body)).message.text, str)
        except BackendError:
            pass


@pytest.mark.parametrize("data", ["{", "", "null", "[]", "3", '"x"', "[" * 100_000])
def test_unreadable_events_are_bad_responses(data: str) -> None:
    with pytest.raises(BadResponse):
        replay(data)


# ---------------------------------------------------------------- the bound
TEXT = st.text(st.characters(exclude_categories=()), max_size=40)
MESSAGES = st.lists(
    st.builds(Message, st.sampled_from(["system", "user", "assistant"]), TEXT)
    | TEXT.map(lambda text: assistant(text, (ToolCall("c", "search", json.dumps({"q": text})),)))
    | TEXT.map(lambda text: tool_message(ToolResult("c", "search", text))),
    max_size=6,
)
PREAMBLE = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with "
    "function signatures within <tools></tools> XML tags:\n<tools>\n</tools>\n\nFor each function call, return "
    "a json object with function name and arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n"
    '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
)


def prompt(request: Request) -> bytes:
    """The prompt as servers of open models write it, in ChatML, with tools in the system turn."""
    turns = []
    if request.tools:
        tools = [json.dumps({"type": "function", "function": _spec(tool)}, indent=4) for tool in request.tools]
        turns.append(f"<|im_start|>system\n{PREAMBLE}{''.join(tools)}<|im_end|>\n")
    for message in request.messages:
        calls = "".join(
            f'<tool_call>\n{{"name": "{call.name}", "arguments": {call.arguments}}}\n</tool_call>'
            for call in message.tool_calls
        )
        turns.append(f"<|im_start|>{message.role}\n{message.text}{calls}<|im_end|>\n")
    return "".join([*turns, "<|im_start|>assistant\n"]).encode("utf-8", "surrogatepass")


def _spec(tool: ToolSpec) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description,
        "parameters": {**tool.parameters, "properties": dict(PROPERTIES)},
    }


@given(MESSAGES, st.booleans())
def test_the_bound_covers_every_byte_of_the_prompt(messages: list[Message], with_tools: bool) -> None:
    """Special tokens are spelt out here, so even a tokenizer of single bytes stays within the bound."""
    request = Request(messages=tuple(messages), max_output_tokens=1, tools=(TOOL,) * 3 if with_tools else ())
    assert CHAT.input_bound(request, CARD) >= len(prompt(request))


def test_the_bound_takes_the_dearest_prices_or_none() -> None:
    request = Request(messages=(user("hi"),), max_output_tokens=1)
    bound = RemoteBackend(CARD, CHAT, base_url="http://x/v1").bound(request)
    assert (bound.input_price, bound.output_price) == (Decimal("2.5"), Decimal(8))
    unpriced = RemoteBackend(card(), CHAT, base_url="http://x/v1").bound(request)
    assert not unpriced.priced
    assert unpriced.input_tokens == bound.input_tokens
