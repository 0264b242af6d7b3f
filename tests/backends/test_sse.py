"""Server-sent events are read the same however the network cuts the bytes."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agentkit.sse import ServerEvent, SseParser

TRICKY = (
    "\ufeffdata: é中😀\r\ndata: more\r\n\r\n: hello\r\n"
    'event: error\rdata:{"a": 1}\rdata:  two\r\r'
    "id: 7\nretry: 9\ndata\ndata:x: y\n\n"
    "event: lost\n\n\r\n: ping\n\ndata: last\n\r\ndata: never ended\n"
).encode()
EVENTS = [
    ServerEvent("é中😀\nmore"),
    ServerEvent('{"a": 1}\n two', "error"),
    ServerEvent("\nx: y"),
    ServerEvent("last"),
]


def parse(chunks: list[bytes]) -> list[ServerEvent]:
    parser = SseParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def by_the_book(stream: bytes) -> list[ServerEvent]:
    """The rules of the standard, applied to the whole stream at once."""
    text = stream.decode("utf-8-sig", "replace")
    events: list[ServerEvent] = []
    data: list[str] = []
    kind = ""
    for line in re.split(r"\r\n|\r|\n", text)[:-1]:
        if not line:
            if data:
                events.append(ServerEvent("\n".join(data), kind or "message"))
            data, kind = [], ""
        elif match := re.fullmatch(r"(data|event)(?:: ?(.*))?", line, re.S):
            if match[1] == "data":
                data.append(match[2] or "")
            else:
                kind = match[2] or ""
    return events


def test_every_split_in_three_gives_the_same_events() -> None:
    for i in range(len(TRICKY) + 1):
        for j in range(i, len(TRICKY) + 1):
            assert parse([TRICKY[:i], TRICKY[i:j], TRICKY[j:]]) == EVENTS


def test_byte_by_byte() -> None:
    assert parse([bytes([byte]) for byte in TRICKY]) == EVENTS


def test_a_chunk_that_looks_like_an_event_depends_on_what_came_before() -> None:
    plain = b"data: x\n\n"
    for before in (b"", b"event: e\n", b"data: begun\n", b"data: a", b": c\n", b"\r", b"\xef\xbb\xbf", b"\xef"):
        assert parse([before, plain, plain]) == by_the_book(before + plain + plain)
    assert parse([plain, b"\xef\xbb\xbf" + plain]) == by_the_book(plain + b"\xef\xbb\xbf" + plain)


LINES = st.sampled_from(["data: a", "data:é😀", "data", "event: e", ": c", "x", ":", "data: \u2028\x0b\x85", ""])
ENDS = st.sampled_from(["\n", "\r", "\r\n"])


@given(st.lists(st.tuples(LINES, ENDS)), st.lists(st.integers(0, 300)))
def test_any_lines_and_cuts_follow_the_standard(lines: list[tuple[str, str]], cuts: list[int]) -> None:
    stream = "".join(line + end for line, end in lines).encode()
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[a:b] for a, b in pairwise(edges)]
    assert parse(chunks) == by_the_book(stream)


@given(st.binary(max_size=60), st.integers(0, 60))
def test_garbage_never_raises_and_splits_agree(stream: bytes, cut: int) -> None:
    assert parse([stream[:cut], stream[cut:]]) == parse([stream]) == by_the_book(stream)
