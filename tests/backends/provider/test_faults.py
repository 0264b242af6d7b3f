"""The faults as they come out of the socket: what is read before the connection ends, and how it ends."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from random import Random
from typing import Literal

import pytest

from agentkit.backends.provider import FAULTS, Fault, Provider, at_random
from agentkit.backends.provider.face import Sse
from agentkit.backends.provider.faults import Act, streamed, whole

End = Literal["closed", "reset", "silent"]
TEXT = "one two three four five six"
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream_options": {"include_usage": True}}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider(TEXT, pause=7) as provider:
        yield provider


def fetch(provider: Provider, fault: Fault | None, stream: bool) -> tuple[bytes, bytes, End]:
    """Return head and body of the answer, and how the connection ended."""
    provider.expect([fault])
    body = json.dumps({**BODY, "stream": stream}).encode()
    lines = f"POST /v1/chat/completions HTTP/1.0\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(provider.origin.rpartition(":")[2]))) as connection:
        connection.sendall(lines.encode() + body)
        connection.settimeout(0.3)
        read = b""
        end: End = "closed"
        try:
            while piece := connection.recv(65_536):
                read += piece
        except ConnectionResetError:
            end = "reset"
        except TimeoutError:
            end = "silent"
    head, _, rest = read.partition(b"\r\n\r\n")
    return head, rest, end


def events(body: bytes) -> list[str]:
    """Return the data of the events that a body has, whole or not."""
    return [event.removeprefix("data: ") for event in body.decode().split("\n\n") if event]


def said(body: bytes) -> str:
    """Return the text of a streamed body whose events are all whole."""
    chunks = [json.loads(event) for event in events(body) if event != "[DONE]"]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


@pytest.mark.parametrize(
    ("fault", "status", "pause"),
    [
        ("rate_limited", b"429", False),
        ("rate_limited_with_pause", b"429", True),
        ("server_error", b"500", False),
        ("overloaded", b"503", False),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_refusals_are_not_billed(
    provider: Provider, fault: Fault, status: bytes, pause: bool, stream: bool
) -> None:
    billed = len(provider.bill)
    head, body, end = fetch(provider, fault, stream)
    assert head.split()[1] == status and end == "closed"
    assert json.loads(body)["error"]["message"]
    assert (b"retry-after: 7\r\n" in head) is pause
    assert len(provider.bill) == billed


@pytest.mark.parametrize(
    ("fault", "ends"),
    [
        ("reset", "reset"),
        ("stall_first", "silent"),
        ("stall_middle", "silent"),
        ("truncated_json", "closed"),
        ("truncated_stream", "closed"),
        ("wrong_content_type", "closed"),
        ("duplicated_chunk", "closed"),
        ("missing_usage", "closed"),
        ("doubled_usage", "closed"),
        (None, "closed"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_served_is_billed_however_it_ends(
    provider: Provider, fault: Fault | None, ends: End, stream: bool
) -> None:
    billed = len(provider.bill)
    _, body, end = fetch(provider, fault, stream)
    assert end == ends
    assert [line.fault for line in provider.bill[billed:]] == [fault or ""]
    assert (STREAMED if stream else WHOLE)[fault or ""](body), body


def is_json(body: bytes) -> bool:
    """Tell whether a body is one JSON text."""
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def usages(body: bytes) -> int:
    """Return how many usage records a body has."""
    return body.count(b'"completion_tokens":')


STREAMED: Mapping[str, Callable[[bytes], bool]] = {
    "": lambda body: said(body) == TEXT and usages(body) == 1 and body.endswith(b"data: [DONE]\n\n"),
    "reset": lambda body: b"[DONE]" not in body,
    "stall_first": lambda body: body == b"",
    "stall_middle": lambda body: 0 < len(events(body)) < 10 and TEXT.startswith(said(body)),
    "truncated_json": lambda body: sum(is_json(event.encode()) for event in events(body)) == len(events(body)) - 2,
    "truncated_stream": lambda body: not body.endswith(b"\n\n") and not is_json(events(body)[-1].encode()),
    "wrong_content_type": lambda body: body.startswith(b"<!doctype html>"),
    "duplicated_chunk": lambda body: len(events(body)) - len(set(events(body))) == 1,
    "missing_usage": lambda body: said(body) == TEXT and usages(body) == 0,
    "doubled_usage": lambda body: said(body) == TEXT and usages(body) == 2,
}
WHOLE: Mapping[str, Callable[[bytes], bool]] = {
    "": lambda body: is_json(body) and usages(body) == 1,
    "reset": lambda body: body == b"",
    "stall_first": lambda body: body == b"",
    "stall_middle": lambda body: body.startswith(b"{") and not is_json(body),
    "truncated_json": lambda body: body.startswith(b"{") and not is_json(body),
    "truncated_stream": lambda body: body.startswith(b"{") and not is_json(body),
    "wrong_content_type": lambda body: body.startswith(b"<!doctype html>"),
    "duplicated_chunk": lambda body: body[: len(body) // 2] == body[len(body) // 2 :] and not is_json(body),
    "missing_usage": lambda body: is_json(body) and usages(body) == 0,
    "doubled_usage": lambda body: is_json(body) and usages(body) == 2,
}


def test_the_seed_draws_the_faults() -> None:
    first, again = (list(islice(at_random(0.25, seed=7), 2_000)) for _ in range(2))
    assert first == again != list(islice(at_random(0.25, seed=8), 2_000))
    assert 400 < sum(fault is not None for fault in first) < 600
    assert {fault for fault in first if fault} == set(FAULTS)
    assert set(islice(at_random(1.0, kinds=("reset",)), 50)) == {"reset"}
    assert set(islice(at_random(0.0), 50)) == {None}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("length", [1, 2, 3])
def test_short_streams_can_go_wrong_too(fault: Fault, length: int) -> None:
    made = [Sse({"usage": {"tokens": number}}) for number in range(length)]
    for seed in range(5):
        assert streamed(made, 0.0, 0.0, Random(seed), fault).steps


def test_time_is_taken_before_the_first_token_and_for_each() -> None:
    made = [Sse("start"), Sse("a", is_token=True), Sse("b", is_token=True), Sse("end")]
    assert [step for step in streamed(made, 0.5, 0.25, Random(0)).steps if isinstance(step, float)] == [
        0.5,
        0.25,
        0.25,
    ]
    assert whole({}, 1.5).steps == (1.5, b"{}")
    assert Act.RESET in whole({}, 1.5, "reset").steps
