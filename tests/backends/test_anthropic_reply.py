"""What the Anthropic dialect reads: whole messages, streams, their ends and their errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.backends.anthropic import Anthropic
from agentkit.backends.anthropic_reply import ANSWER
from agentkit.errors import BackendError, BackendUnavailable, BadRequest, BadResponse, Overloaded, RateLimited
from agentkit.messages import ToolCall
from agentkit.sse import ServerEvent
from agentkit.types import Completion
from agentkit.usage import Usage
from tests.backends.streams import CARD
from tests.backends.streams import replay as replay_with

DIALECT = Anthropic()
USAGE = {"input_tokens": 5, "output_tokens": 2}
THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
SEARCH = {"type": "tool_use", "id": "toolu_1", "name": "search", "input": {"q": 1}}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def whole(*blocks: dict[str, Any], stop: str | None = "end_turn", usage: Any = USAGE) -> Completion:
    body = {"id": "msg_1", "type": "message", "content": list(blocks), "stop_reason": stop, "usage": usage}
    return DIALECT.parse_response(body, CARD)


def replay(*events: object) -> Completion:
    return replay_with(DIALECT, *events)


def started(index: int, block: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def piece(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def stopped(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ended(stop: str | None = "end_turn", **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": stop}, "usage": usage or USAGE}


def events(*blocks: dict[str, Any], stop: str = "end_turn") -> list[dict[str, Any]]:
    """A message as its events, each block in one piece."""
    made: list[dict[str, Any]] = [{"type": "message_start", "message": {"usage": USAGE}}]
    for index, block in enumerate(blocks):
        if block["type"] == "text":
            pieces = [started(index, text("")), piece(index, "text_delta", text=block["text"])]
        elif block["type"] == "thinking":
            pieces = [
                started(index, {**block, "thinking": "", "signature": ""}),
                piece(index, "thinking_delta", thinking=block["thinking"]),
                piece(index, "signature_delta", signature=block["signature"]),
            ]
        elif block["type"] == "tool_use":
            written = json.dumps(block["input"]) if block["input"] else ""
            pieces = [
                started(index, {**block, "input": {}}),
                piece(index, "input_json_delta", partial_json=written),
            ]
        else:
            pieces = [started(index, block)]
        made += [*pieces, stopped(index)]
    return [*made, ended(stop), {"type": "message_stop"}]


# ---------------------------------------------------------------- whole and streamed say the same
REPLIES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "text": ([text("Hello "), text("there.")], "end_turn"),
    "nothing": ([], "end_turn"),
    "calls": ([text("Let me see."), SEARCH, {**SEARCH, "id": "toolu_2", "input": {}}], "tool_use"),
    "thinking": ([THINKING, text(""), text("So.")], "end_turn"),
    "redacted thinking": ([{"type": "redacted_thinking", "data": "abc"}, SEARCH], "tool_use"),
    "thinking that was cut": ([THINKING, SEARCH], "max_tokens"),
    "an answer by tool": ([{**SEARCH, "name": ANSWER, "input": {"a": 1}}], "tool_use"),
    "an empty answer by tool": ([THINKING, {**SEARCH, "name": ANSWER, "input": {}}], "tool_use"),
    "an answer beside a call": ([SEARCH, {**SEARCH, "id": "toolu_2", "name": ANSWER}], "tool_use"),
}


@pytest.mark.parametrize("name", REPLIES)
def test_whole_and_streamed_say_the_same(name: str) -> None:
    blocks, stop = REPLIES[name]
    read, streamed = whole(*blocks, stop=stop), replay(*events(*blocks, stop=stop))
    assert read == streamed
    assert read.message.native == streamed.message.native


def test_what_goes_back_is_what_came_without_empty_text() -> None:
    native = whole(THINKING, text("\n"), text("So."), SEARCH).message.native
    assert native is not None
    assert (native.dialect, native.model) == ("anthropic", CARD.model)
    assert native.content == (THINKING, text("So."), SEARCH)


@pytest.mark.parametrize("name", ["text", "calls", "thinking that was cut", "an empty answer by tool"])
def test_nothing_native_is_kept_where_it_says_no_more_or_cannot_go_back(name: str) -> None:
    blocks, stop = REPLIES[name]
    assert whole(*blocks, stop=stop).message.native is None


def test_an_answer_by_tool_is_text() -> None:
    reply = whole({**SEARCH, "name": ANSWER, "input": {"a": "é"}}, stop="tool_use")
    assert (reply.message.text, reply.message.tool_calls, reply.finish_reason) == ('{"a": "é"}', (), "stop")


# ---------------------------------------------------------------- calls in pieces
def test_interleaved_calls_come_together() -> None:
    second = {**SEARCH, "id": "toolu_2", "name": "now"}
    reply = replay(
        started(0, {**SEARCH, "input": {}}),
        started(1, {**second, "input": {}}),
        piece(0, "input_json_delta", partial_json='{"q"'),
        piece(1, "input_json_delta", partial_json=""),
        piece(0, "input_json_delta", partial_json=": 1}"),
        stopped(1),
        stopped(0),
        ended("tool_use"),
    )
    assert reply.message.tool_calls == (
        ToolCall("toolu_1", "search", '{"q": 1}'),
        ToolCall("toolu_2", "now", "{}"),
    )


def test_input_that_comes_with_the_start_of_a_call_is_read() -> None:
    """Servers that do not stream the input send it whole, at the start of the block."""
    reply = replay(started(0, SEARCH), stopped(0), ended("tool_use"))
    assert reply.message.tool_calls == (ToolCall("toolu_1", "search", '{"q": 1}'),)


def test_one_index_for_all_blocks_is_read() -> None:
    reply = replay(
        started(0, text("")), piece(0, "text_delta", text="So."), stopped(0),
        started(0, {**SEARCH, "input": {}}), piece(0, "input_json_delta", partial_json="{}"), ended("tool_use"),
    )  # fmt: skip
    assert (reply.message.text, [call.arguments for call in reply.message.tool_calls]) == ("So.", ["{}"])


def test_a_start_that_comes_twice_starts_one_call() -> None:
    start = started(0, {**SEARCH, "input": {}})
    reply = replay(start, start, piece(0, "input_json_delta", partial_json="{}"), stopped(0), ended("tool_use"))
    assert len(reply.message.tool_calls) == 1


@pytest.mark.parametrize("broken", ['{"q": ', "[" * 9_999, '{"q": NaN}'], ids=["cut", "deep", "nan"])
def test_a_broken_input_keeps_its_text_and_goes_back_wrapped(broken: str) -> None:
    reply = replay(
        started(0, THINKING), stopped(0),
        started(1, {**SEARCH, "input": {}}), piece(1, "input_json_delta", partial_json=broken), stopped(1),
        ended("tool_use"),
    )  # fmt: skip
    assert reply.message.tool_calls[0].arguments == broken
    assert reply.message.native is not None
    assert reply.message.native.content == (THINKING, {**SEARCH, "input": {"malformed": broken}})


def test_citations_searches_and_unknown_events_are_no_text() -> None:
    reply = replay(
        {"type": "ping"},
        {"type": "content_block_flourish", "index": 7},
        started(0, text("")),
        piece(0, "text_delta", text="So."),
        piece(0, "citations_delta", citation={"cited_text": "x"}),
        piece(0, "sparkle_delta", sparkle="*"),
        started(1, {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {}}),
        piece(1, "input_json_delta", partial_json='{"query": "x"}'),
        ended(),
        "[DONE]",
    )
    assert reply.message.text == "So."
    assert reply.message.native is not None
    assert reply.message.native.content == (
        {**text("So."), "citations": [{"cited_text": "x"}]},
        {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "x"}},
    )


# ---------------------------------------------------------------- usage
def test_usage_is_overwritten_not_added() -> None:
    begun = {
        "input_tokens": 20,
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 80,
        "output_tokens": 1,
    }
    start = {"type": "message_start", "message": {"usage": begun}}
    reply = replay(
        start,
        ended(None, output_tokens=9),
        ended(output_tokens=40, input_tokens=None, output_tokens_details={"thinking_tokens": 30}),
        {"type": "message_stop"},
    )
    assert reply.usage == Usage(20, 0, 80, 10, 30)


def test_a_placeholder_never_wins() -> None:
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 20, "output_tokens": 1}}}
    assert replay(start, ended(input_tokens=0, output_tokens=7)).usage == Usage(20, output_tokens=7)
    late = {"type": "message_start", "message": {"usage": {"input_tokens": 0, "output_tokens": 0}}}
    assert replay(late, ended(input_tokens=20, output_tokens=7)).usage == Usage(20, output_tokens=7)


def test_a_prompt_that_is_all_from_the_cache_is_counted() -> None:
    cached = {"input_tokens": 0, "cache_read_input_tokens": 2_000, "output_tokens": 1}
    start = {"type": "message_start", "message": {"usage": cached}}
    assert replay(start, ended(output_tokens=7)).usage == Usage(0, 2_000, output_tokens=7)


@pytest.mark.parametrize("record", [None, {}, {"output_tokens": 3}, {"input_tokens": "5", "output_tokens": 3}])
def test_a_record_that_cannot_be_believed_is_none(record: Any) -> None:
    assert whole(text("hi"), usage=record).usage is None
    event = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": record}
    assert replay(event).usage is None


# ---------------------------------------------------------------- ends and errors
@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
        ("tool_use", "stop"),  # without a call
        (None, "stop"),
    ],
)
def test_finish_reasons(stop: str | None, finish: str) -> None:
    assert whole(text("hi"), stop=stop).finish_reason == finish
    if stop is not None:
        assert replay(ended(stop)).finish_reason == finish


def test_calls_make_a_stop_a_call() -> None:
    assert whole(SEARCH, stop="end_turn").finish_reason == "tool_calls"
    assert whole(SEARCH, stop="max_tokens").finish_reason == "length"
    assert whole(SEARCH, stop="refusal").finish_reason == "content_filter"


@pytest.mark.parametrize("end", [(), ("[DONE]",), ({"type": "message_stop"},), (ended(None),)])
def test_a_stream_without_a_stop_reason_is_cut(end: tuple[object, ...]) -> None:
    with pytest.raises(BackendUnavailable):
        replay(started(0, text("")), piece(0, "text_delta", text="half"), *end)


def test_the_last_event_ends_the_reading() -> None:
    stream = DIALECT.stream(CARD)
    replayed = [stream.done]
    for data in ('{"type": "message_delta", "delta": {"stop_reason": "end_turn"}}', '{"type": "message_stop"}'):
        stream.feed(ServerEvent(data))
        replayed += [stream.finished, stream.done]
    assert replayed == [False, True, False, True, True]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("overloaded_error", Overloaded),
        ("rate_limit_error", RateLimited),
        ("api_error", BackendUnavailable),
        ("timeout_error", BackendUnavailable),
        ("invalid_request_error", BadRequest),
        ("billing_error", BadRequest),
        ("something_new", BackendUnavailable),
    ],
)
def test_errors_inside_a_good_status(kind: str, error: type[BackendError]) -> None:
    body = {"type": "error", "error": {"type": kind, "message": "no"}}
    with pytest.raises(error) as read:
        DIALECT.parse_response(body, CARD)
    with pytest.raises(error) as streamed:
        replay(started(0, text("")), piece(0, "text_delta", text="half"), body)
    assert read.value.may_be_billed and streamed.value.may_be_billed


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["text", "tool_use", "thinking"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "type content text id name input index delta content_block message usage error stop_reason "
                "partial_json thinking signature input_tokens output_tokens".split()
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=25,
)
KINDS = st.sampled_from(
    "message_start content_block_start content_block_delta content_block_stop message_delta error".split()
)


@given(JSON, KINDS)
def test_any_json_is_read_or_refused_by_a_typed_error(value: Any, kind: str) -> None:
    for body in (value, {"content": value}, {"content": [value, text("x")], "stop_reason": value, "usage": value}):
        try:
            assert isinstance(DIALECT.parse_response(body, CARD).message.text, str)
        except BackendError:
            pass
    for event in (value, {"type": kind, "index": 0, "delta": value, "content_block": value, "message": value}):
        try:
            assert isinstance(replay(started(0, text("")), event, ended()).message.text, str)
        except BackendError:
            pass


@pytest.mark.parametrize("data", ["{", "", "null", "[]", "3", '"x"', "{}", "[" * 100_000])
def test_unreadable_events_are_bad_responses(data: str) -> None:
    with pytest.raises(BadResponse):
        replay(data)
