"""A stream says the same however the network cuts its bytes, in every dialect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.errors import BackendError
from tests.backends.streams import CASES, Case, read

pytestmark = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def check(case: Case, *chunks: bytes) -> None:
    reply, thinking = read(case.dialect, chunks)
    assert reply == case.reply
    assert thinking == case.thinking
    assert reply.message.native == case.reply.message.native


def test_every_split_in_two_says_the_same(case: Case) -> None:
    for at in range(len(case.stream) + 1):
        check(case, case.stream[:at], case.stream[at:])


def test_byte_by_byte(case: Case) -> None:
    check(case, *(bytes([byte]) for byte in case.stream))


@given(st.data())
def test_any_cuts_say_the_same(case: Case, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(case.stream)), max_size=8).map(sorted))
    edges = [0, *cuts, len(case.stream)]
    check(case, *(case.stream[a:b] for a, b in zip(edges, edges[1:], strict=False)))


def test_a_stream_cut_anywhere_is_an_error_or_the_whole_reply(case: Case) -> None:
    for at in range(len(case.stream)):
        try:
            reply, _ = read(case.dialect, [case.stream[:at]])
        except BackendError:
            continue
        assert (reply.message, reply.finish_reason) == (case.reply.message, case.reply.finish_reason)
