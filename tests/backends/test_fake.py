"""The scripted backend plays its script and bills like a provider, also when a call is broken off."""

from __future__ import annotations

from contextlib import aclosing
from decimal import Decimal
from typing import Literal

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.backends import Assembler, Faulty, ScriptedBackend, calls
from agentkit.backends.fake import Script
from agentkit.costs import Cost
from agentkit.errors import BackendUnavailable, BadRequest, RateLimited
from agentkit.messages import assistant, user
from agentkit.types import Completion, Delta, ModelCard, Request, TokenLogprob, ToolSpec
from agentkit.usage import Price, Usage
from tests.virtual import in_virtual_time

pytestmark = pytest.mark.anyio

Mode = Literal["streamed", "full"]
MODES: list[Mode] = ["streamed", "full"]
TOOL = ToolSpec("search", "Search the web.", {"type": "object"})
REQUEST = Request(messages=(user("what is a budget"),), max_output_tokens=50, tools=(TOOL,))
INPUT = 4 + (1 + 3 + 2)  # words of the message; name, description and schema of the tool
FIVE = "one two  three\nfour five"


async def streamed(backend: ScriptedBackend, request: Request = REQUEST) -> list[Delta]:
    async with aclosing(backend.stream(request)) as stream:
        return [delta async for delta in stream]


def assembled(deltas: list[Delta]) -> Completion:
    reply = Assembler()
    for delta in deltas:
        reply.add(delta)
    return reply.partial()


# ---------------------------------------------------------------- the script
async def test_a_sequence_plays_in_order_then_asks_for_more() -> None:
    backend = ScriptedBackend(["first", "second"])
    assert [(await backend.complete(REQUEST)).message.text for _ in range(2)] == ["first", "second"]
    with pytest.raises(BadRequest, match="no reply left"):
        await backend.complete(REQUEST)
    assert backend.requests == [REQUEST] * 3
    assert len(backend.bill) == 2


async def test_one_reply_plays_for_ever() -> None:
    backend = ScriptedBackend("again")
    assert [(await backend.complete(REQUEST)).message.text for _ in range(3)] == ["again"] * 3


async def test_a_function_answers_the_request() -> None:
    backend = ScriptedBackend(lambda request: request.messages[-1].text.upper())
    assert (await backend.complete(REQUEST)).message.text == "WHAT IS A BUDGET"


async def test_exceptions_are_raised_and_not_billed() -> None:
    backend = ScriptedBackend(RateLimited("scripted", "slow down", retry_after=1.0))
    with pytest.raises(RateLimited):
        await backend.complete(REQUEST)
    with pytest.raises(RateLimited):
        await streamed(backend)
    assert backend.bill == []


async def test_tool_calls_are_numbered_so_that_no_two_rounds_share_an_id() -> None:
    backend = ScriptedBackend(calls(("search", {"query": "x"}), ("search", {"query": "y"})))
    rounds = [(await backend.complete(REQUEST)), assembled(await streamed(backend))]
    ids = [call.id for reply in rounds for call in reply.message.tool_calls]
    assert len(set(ids)) == 4
    assert {reply.finish_reason for reply in rounds} == {"tool_calls"}


SCRIPTS: list[Script] = ["", "   ", FIVE, calls(("search", {"query": "a b c"}), ("now", {}), text="Let me look.")]


@given(st.sampled_from(SCRIPTS) | st.text(max_size=40), st.integers(0, 20), st.booleans())
def test_streamed_and_whole_are_the_same_reply_and_bill(script: Script, cap: int, drop: bool) -> None:
    assert isinstance(script, str | Completion)
    request = Request(messages=REQUEST.messages, max_output_tokens=cap)

    async def both() -> None:
        whole, pieces = (ScriptedBackend(Faulty(script, drop_usage=drop)) for _ in range(2))
        reply = await whole.complete(request)
        assert reply == assembled(await streamed(pieces, request))
        assert whole.bill == pieces.bill
        (usage,) = whole.bill
        assert usage.total_output <= cap
        assert reply.usage == (None if drop else usage)

    anyio.run(both)


async def test_the_cap_truncates() -> None:
    reply = await ScriptedBackend(FIVE).complete(Request(messages=(user("hi"),), max_output_tokens=3))
    assert (reply.message.text, reply.finish_reason) == ("one two  three\n", "length")
    assert reply.usage == Usage(1, output_tokens=3)


async def test_usage_and_logprobs_of_a_scripted_completion_are_reported() -> None:
    usage = Usage(90, 10, 0, 5, 7)
    scripted = Completion(assistant(FIVE), "stop", usage, (TokenLogprob("one ", -0.1),))
    backend = ScriptedBackend(scripted)
    asking = Request(messages=REQUEST.messages, max_output_tokens=50, logprobs=True)
    assert await backend.complete(asking) == assembled(await streamed(backend, asking)) == scripted
    assert backend.bill == [usage, usage]
    assert (await backend.complete(REQUEST)).logprobs == ()


# ---------------------------------------------------------------- the bill
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tokens", range(6))
@pytest.mark.parametrize("cancel", [False, True], ids=["closed", "cancelled"])
async def test_the_bill_of_a_stream_broken_off_at_each_token(mode: Mode, tokens: int, cancel: bool) -> None:
    backend = ScriptedBackend(FIVE, bill=mode, delay=0.0 if cancel else 0.001)
    seen = 0
    with anyio.CancelScope() as scope:
        async with aclosing(backend.stream(REQUEST)) as stream:
            if not tokens:
                if cancel:
                    scope.cancel()
                else:
                    return  # a stream that was never started is no call
            async for _ in stream:
                seen += 1
                if seen == tokens:
                    if not cancel:
                        break
                    scope.cancel()
    assert seen == tokens
    assert backend.bill == [Usage(INPUT, output_tokens=tokens if mode == "streamed" else 5)]


@in_virtual_time
@pytest.mark.parametrize(("mode", "output"), [("streamed", 2), ("full", 5)])
async def test_the_bill_of_a_whole_call_broken_off(mode: Mode, output: int) -> None:
    backend = ScriptedBackend(FIVE, bill=mode, delay=0.1)
    with anyio.move_on_after(0.25):
        await backend.complete(REQUEST)
    assert backend.bill == [Usage(INPUT, output_tokens=output)]


@pytest.mark.parametrize("mode", MODES)
def test_the_card_says_what_the_bill_does(mode: Mode) -> None:
    can = ScriptedBackend("x", bill=mode).card.capabilities
    assert can.stop_ends_billing == can.streams_every_billed_token == (mode == "streamed")


@pytest.mark.parametrize(("mode", "output"), [("streamed", 2), ("full", 5)])
async def test_a_connection_that_breaks_is_billed_and_leaves_a_partial_reply(mode: Mode, output: int) -> None:
    backend = ScriptedBackend(Faulty(FIVE, fail_after=2), bill=mode)
    with pytest.raises(BackendUnavailable) as caught:
        await streamed(backend)
    assert caught.value.partial is not None
    assert caught.value.partial.message.text == "one two  "
    with pytest.raises(BackendUnavailable):
        await backend.complete(REQUEST)
    assert backend.bill == [Usage(INPUT, output_tokens=output)] * 2


async def test_a_connection_may_break_before_the_usage_record() -> None:
    backend = ScriptedBackend(Faulty(FIVE, fail_after=5))
    with pytest.raises(BackendUnavailable):
        await streamed(backend)
    assert backend.bill == [Usage(INPUT, output_tokens=5)]


async def test_a_dishonest_provider_bills_above_the_bound() -> None:
    backend = ScriptedBackend(Faulty("short", overbill=1.5))
    reply = await backend.complete(REQUEST)
    bound = backend.bound(REQUEST).at(REQUEST.max_output_tokens)
    assert reply.usage == backend.bill[0] == Usage(INPUT * 3 // 2, output_tokens=75)
    assert backend.billed.minus(bound)["tokens"] > 0


@given(
    st.text(max_size=60), st.lists(st.text(max_size=30), min_size=1), st.integers(0, 30), st.sampled_from(MODES)
)
def test_no_bill_passes_the_bound(reply: str, texts: list[str], cap: int, mode: Mode) -> None:
    request = Request(messages=tuple(map(user, texts)), max_output_tokens=cap, tools=(TOOL,))
    backend = ScriptedBackend(reply, bill=mode)
    anyio.run(backend.complete, request)
    assert not backend.billed.minus(backend.bound(request).at(cap))


async def test_the_bill_adds_up_in_dollars() -> None:
    card = ModelCard("m", "fake", "m", price=Price(Decimal(3), Decimal(7)))
    backend = ScriptedBackend("a b", card=card)
    for _ in range(2):
        await backend.complete(Request(messages=(user("x y z"),), max_output_tokens=9))
    each = (3 * 3 + 2 * 7) * 1000  # nano-dollars
    assert backend.billed == Cost(usd=2 * each, tokens=10, input_tokens=6, output_tokens=4, requests=2)


async def test_calls_interleave() -> None:
    order: list[str] = []

    async def one(name: str) -> None:
        order.append(f"{name} in")
        await ScriptedBackend("x").complete(REQUEST)
        order.append(f"{name} out")

    async with anyio.create_task_group() as group:
        group.start_soon(one, "a")
        group.start_soon(one, "b")
    assert order[:2] == ["a in", "b in"]
