"""What the Gemini dialect reads: whole answers, streams, their ends and their errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.backends.gemini import Gemini
from agentkit.errors import BackendError, BackendUnavailable, BadRequest, BadResponse, RateLimited
from agentkit.messages import ToolCall
from agentkit.types import Completion, TokenLogprob
from agentkit.usage import Usage
from tests.backends.streams import CARD
from tests.backends.streams import replay as replay_with

DIALECT = Gemini()
USAGE = {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7}


def chunk(*parts: dict[str, Any], finish: str | None = None, usage: Any = None, **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, **more}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "responseId": "r1", **({"usageMetadata": usage} if usage else {})}


def called(name: str = "search", **more: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": {"q": 1}, **more}}


def whole(*parts: dict[str, Any], finish: str = "STOP", usage: Any = USAGE, **more: Any) -> Completion:
    return DIALECT.parse_response(chunk(*parts, finish=finish, usage=usage, **more), CARD)


def replay(*events: object) -> Completion:
    return replay_with(DIALECT, *events)


# ---------------------------------------------------------------- what is said
def test_text_thoughts_and_calls_are_told_apart() -> None:
    reply = whole(
        {"text": "Hm.", "thought": True}, {"text": "So "}, {"text": "there."}, called(), called("now", args={})
    )
    assert reply.message.text == "So there."
    assert reply.message.tool_calls == (ToolCall("r1-0", "search", '{"q": 1}'), ToolCall("r1-1", "now", "{}"))
    assert reply.finish_reason == "tool_calls"  # the provider says STOP


def test_ids_of_calls_are_kept_and_a_call_that_comes_twice_is_one() -> None:
    reply = replay(chunk(called(id="a")), chunk(called(id="a"), called(id="b"), finish="STOP"))
    assert [call.id for call in reply.message.tool_calls] == ["a", "b"]


def test_calls_without_ids_or_arguments_are_read() -> None:
    reply = DIALECT.parse_response(
        {"candidates": [{"content": {"parts": [{"functionCall": {"name": "now"}}]}, "finishReason": "STOP"}]}, CARD
    )
    assert reply.message.tool_calls == (ToolCall("call-0", "now", "{}"),)


def test_signed_parts_stay_as_they_came_and_plain_text_is_joined() -> None:
    signed = {"text": "", "thoughtSignature": "c2ln"}
    reply = replay(
        chunk({"text": "H", "thought": True}),
        chunk({"text": "m.", "thought": True}),
        chunk({"text": "So "}),
        chunk({"text": "there."}),
        chunk(signed),
        chunk({"text": "More"}),
        chunk({"text": "."}, {"text": ""}, finish="STOP"),
    )
    native = reply.message.native
    assert native is not None
    assert (native.dialect, native.model) == ("gemini", CARD.model)
    assert native.content == ({"text": "Hm.", "thought": True}, {"text": "So there."}, signed, {"text": "More."})
    assert reply.message.text == "So there.More."


def test_the_empty_text_that_ends_many_a_stream_does_not_go_back() -> None:
    signed = {**called(), "thoughtSignature": "c2ln"}
    native = replay(chunk(signed), chunk({"text": ""}, finish="STOP")).message.native
    assert native is not None
    assert native.content == (signed,)


def test_fields_that_are_null_say_nothing() -> None:
    reply = whole({"text": "So.", "functionCall": None, "thought": None, "thoughtSignature": None})
    assert (reply.message.text, reply.message.tool_calls, reply.message.native) == ("So.", (), None)


@pytest.mark.parametrize(
    ("parts", "finish", "kept"),
    [
        (({"text": "a"}, called()), "STOP", False),
        ((called(id="a"),), "STOP", True),
        (({**called(), "thoughtSignature": "c2ln"},), "STOP", True),
        (({"text": "a"}, {"executableCode": {"code": "1"}}), "STOP", True),
        (({**called(), "thoughtSignature": "c2ln"},), "MAX_TOKENS", False),
        (({**called(), "thoughtSignature": "c2ln"},), "SAFETY", False),
    ],
)
def test_the_native_form_is_kept_where_it_says_more_and_is_whole(parts: Any, finish: str, kept: bool) -> None:
    assert (whole(*parts, finish=finish).message.native is not None) is kept


def test_logprobs_are_read() -> None:
    chosen = {"chosenCandidates": [{"token": "hi", "logProbability": -0.5, "tokenId": 3}]}
    expected = (TokenLogprob("hi", -0.5),)
    assert whole({"text": "hi"}, logprobsResult=chosen).logprobs == expected
    assert replay(chunk({"text": "hi"}), chunk(logprobsResult=chosen, finish="STOP")).logprobs == expected


def test_only_the_first_candidate_is_read() -> None:
    body = chunk({"text": "one"}, finish="STOP")
    body["candidates"].append({"content": {"parts": [{"text": "two"}]}, "finishReason": "SAFETY"})
    reply = DIALECT.parse_response(body, CARD)
    assert (reply.message.text, reply.finish_reason) == ("one", "stop")


# ---------------------------------------------------------------- usage
def test_the_usage_of_the_last_chunk_wins() -> None:
    first = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 60,
        "totalTokenCount": 101,
        "candidatesTokenCount": 1,
    }
    final = {"promptTokenCount": 100, "candidatesTokenCount": 8, "thoughtsTokenCount": 30, "totalTokenCount": 138}
    reply = replay(
        chunk({"text": "a"}, usage=first),
        chunk({"text": "b"}, usage=final),
        chunk({"text": ""}, finish="STOP", usage=final),
    )
    assert reply.usage == Usage(40, 60, output_tokens=8, reasoning_tokens=30)


def test_usage_after_the_finish_reason_counts_and_a_placeholder_never_wins() -> None:
    late = {"usageMetadata": USAGE}
    zero = {"usageMetadata": {"promptTokenCount": 0, "totalTokenCount": 0}}
    assert replay(chunk({"text": "a"}, finish="STOP"), late, zero).usage == Usage(5, output_tokens=2)


@pytest.mark.parametrize("record", [None, {}, {"candidatesTokenCount": 3}, {"promptTokenCount": "5"}])
def test_a_record_that_cannot_be_believed_is_none(record: Any) -> None:
    assert whole({"text": "hi"}, usage=record).usage is None


# ---------------------------------------------------------------- ends and errors
@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "length"),
        ("UNEXPECTED_TOOL_CALL", "length"),
        ("TOO_MANY_TOOL_CALLS", "length"),
        ("MISSING_THOUGHT_SIGNATURE", "length"),
        ("OTHER", "length"),
        ("SOMETHING_NEW", "stop"),
    ],
)
def test_finish_reasons(reason: str, finish: str) -> None:
    assert whole({"text": "hi"}, finish=reason).finish_reason == finish
    assert replay(chunk({"text": "hi"}), {"candidates": [{"finishReason": reason}]}).finish_reason == finish


def test_a_refused_prompt_is_a_filtered_reply_that_keeps_its_usage() -> None:
    record = {"promptTokenCount": 5, "totalTokenCount": 5}
    body = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": record}
    for reply in (DIALECT.parse_response(body, CARD), replay(body)):
        assert (reply.message.text, reply.finish_reason, reply.usage) == ("", "content_filter", Usage(5))


def test_a_stream_without_a_finish_reason_is_cut() -> None:
    with pytest.raises(BackendUnavailable):
        replay(chunk({"text": "half"}, usage=USAGE))


@pytest.mark.parametrize("body", [{}, {"candidates": []}, chunk({"text": "half"}), None, [], "x", 3])
def test_a_whole_answer_without_an_end_is_unreadable(body: Any) -> None:
    with pytest.raises(BadResponse):
        DIALECT.parse_response(body, CARD)


def test_nothing_marks_the_end_of_a_stream() -> None:
    stream = DIALECT.stream(CARD)
    stream.read(chunk({"text": "a"}, finish="STOP"))
    assert (stream.finished, stream.done) == (True, False)


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        (429, "RESOURCE_EXHAUSTED", RateLimited),
        (503, "UNAVAILABLE", BackendUnavailable),
        (500, "INTERNAL", BackendUnavailable),
        (400, "INVALID_ARGUMENT", BadRequest),
    ],
)
def test_errors_inside_a_good_status(code: int, status: str, error: type[BackendError]) -> None:
    body = {"error": {"code": code, "status": status, "message": "no"}}
    with pytest.raises(error) as read:
        DIALECT.parse_response(body, CARD)
    with pytest.raises(error) as streamed:
        replay(chunk({"text": "half"}), body)
    assert read.value.may_be_billed and streamed.value.may_be_billed


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "candidates content parts text thought functionCall name args id finishReason usageMetadata error "
                "promptTokenCount totalTokenCount promptFeedback blockReason thoughtSignature responseId "
                "logprobsResult chosenCandidates".split()
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=25,
)


@given(JSON)
def test_any_json_is_read_or_refused_by_a_typed_error(value: Any) -> None:
    parts = value if isinstance(value, list) else [value]
    for body in (
        value,
        {"candidates": [value]},
        {"candidates": parts, "usageMetadata": value},
        chunk(*parts, finish="STOP"),
    ):
        try:
            assert isinstance(DIALECT.parse_response(body, CARD).message.text, str)
        except BackendError:
            pass
        try:
            assert isinstance(replay(json.dumps(body), chunk({"text": "x"}, finish="STOP")).message.text, str)
        except BackendError:
            pass


@pytest.mark.parametrize("data", ["{", "", "null", "[]", "3", '"x"', "[" * 100_000])
def test_unreadable_events_are_bad_responses(data: str) -> None:
    with pytest.raises(BadResponse):
        replay(data)
