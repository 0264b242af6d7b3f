"""What was recorded is what is replayed, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.backends import Assembler, Backend, Faulty, Recorder, Replayer, ScriptedBackend, calls
from agentkit.backends.cassette import request_key
from agentkit.backends.fake import Reply
from agentkit.errors import BackendUnavailable, CassetteMiss, ConfigError
from agentkit.messages import Image, Native, assistant, user
from agentkit.types import Completion, Delta, Request, ToolSpec
from agentkit.usage import Bound, Price, Unbounded, Usage

pytestmark = pytest.mark.anyio

REQUEST = Request(
    messages=(user("what is a budget?"),),
    max_output_tokens=50,
    tools=(ToolSpec("search", "Search.", MappingProxyType({"type": "object", "properties": {}})),),
)
OTHER = replace(REQUEST, seed=1)
SCRIPT: list[Reply] = ["A limit,\u2028預算.\x85\n", calls(("search", {"query": "x y"}), text="Let me."), "third"]


async def streamed(backend: Backend, request: Request = REQUEST) -> list[Delta]:
    async with aclosing(backend.stream(request)) as stream:
        return [delta async for delta in stream]


def assembled(deltas: list[Delta]) -> Completion:
    reply = Assembler()
    for delta in deltas:
        reply.add(delta)
    return reply.partial()


async def test_recordings_of_one_request_replay_in_order_then_miss(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "cassette.jsonl"
    scripted = ScriptedBackend(SCRIPT)
    recorder = Recorder(scripted, path)
    recorded = [await recorder.complete(REQUEST) for _ in SCRIPT]
    replayer = Replayer(path, scripted.card)
    assert [await replayer.complete(REQUEST) for _ in SCRIPT] == recorded
    assert path.read_text("utf-8").count("\n") == 3
    with pytest.raises(CassetteMiss, match="every recording was played"):
        await replayer.complete(REQUEST)


async def test_streams_replay_delta_by_delta(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"
    scripted = ScriptedBackend(SCRIPT)
    recorder = Recorder(scripted, path)
    recorded = [await streamed(recorder) for _ in SCRIPT]
    replayer = Replayer(path, scripted.card)
    assert [await streamed(replayer) for _ in SCRIPT] == recorded


async def test_a_recorded_stream_answers_complete_and_the_other_way_round(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"
    recorder = Recorder(ScriptedBackend(SCRIPT), path)
    first, second = assembled(await streamed(recorder)), await recorder.complete(REQUEST)
    replayer = Replayer(path, recorder.card)
    assert await replayer.complete(REQUEST) == first
    assert assembled(await streamed(replayer)) == second


async def test_an_unknown_request_is_a_miss(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"
    recorder = Recorder(ScriptedBackend("x"), path)
    await recorder.complete(REQUEST)
    replayer = Replayer(path, recorder.card)
    with pytest.raises(CassetteMiss, match="no recording"):
        await replayer.complete(OTHER)
    with pytest.raises(CassetteMiss):
        await streamed(replayer, OTHER)
    with pytest.raises(CassetteMiss):
        replayer.bound(OTHER)
    with pytest.raises(CassetteMiss):
        await Replayer(path, replace(recorder.card, model="another")).complete(REQUEST)


async def test_failed_and_abandoned_calls_are_not_recorded(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"
    recorder = Recorder(
        ScriptedBackend([Faulty("a b c", fail_after=1), Faulty("a b", fail_after=1), "a b c"]), path
    )
    with pytest.raises(BackendUnavailable):
        await recorder.complete(REQUEST)
    with pytest.raises(BackendUnavailable):
        await streamed(recorder)
    async with aclosing(recorder.stream(REQUEST)) as stream:
        async for _ in stream:
            break
    assert not path.exists()


async def test_abandoning_a_recorded_stream_ends_the_call(tmp_path: Path) -> None:
    scripted = ScriptedBackend("a b c")
    async with aclosing(Recorder(scripted, tmp_path / "c.jsonl").stream(REQUEST)) as stream:
        async for _ in stream:
            break
    assert scripted.bill[0].output_tokens == 1


class _Local(ScriptedBackend):
    """A backend whose bound has more than prices."""

    def bound(self, request: Request) -> Bound:
        return replace(super().bound(request), gpu_us_fixed=10, gpu_us_per_token=3)


class _Open(ScriptedBackend):
    """A backend without a bound."""

    def bound(self, request: Request) -> Unbounded:  # type: ignore[override]  # the protocol allows it
        return Unbounded("no list price")


async def test_the_bound_is_the_recorded_one_at_the_prices_of_the_card(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"
    recorder = Recorder(_Local("x"), path)
    await recorder.complete(REQUEST)
    assert Replayer(path, recorder.card).bound(REQUEST) == recorder.bound(REQUEST)
    dearer = replace(recorder.card, price=Price(Decimal(100), Decimal(200)))
    bound = Replayer(path, dearer).bound(REQUEST)
    assert isinstance(bound, Bound)
    assert (bound.input_price, bound.output_price, bound.gpu_us_per_token) == (Decimal(100), Decimal(200), 3)


async def test_no_bound_stays_no_bound(tmp_path: Path) -> None:
    recorder = Recorder(_Open("x"), tmp_path / "c.jsonl")
    await recorder.complete(REQUEST)
    assert Replayer(tmp_path / "c.jsonl", recorder.card).bound(REQUEST) == Unbounded("no list price")


@pytest.mark.parametrize("line", ["{", "{}", '{"key": "a", "extra": 1}', ""])
def test_a_broken_cassette_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "cassette.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(ConfigError, match=r"cassette\.jsonl:1 "):
        Replayer(path, ScriptedBackend("x").card)


def test_a_missing_cassette_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="record it first"):
        Replayer(tmp_path / "none.jsonl", ScriptedBackend("x").card)


# ---------------------------------------------------------------- secrets and pictures
KEY = "sk-proj-0123456789abcdefghij"


async def test_a_conversation_goes_on_from_a_reply_whose_secret_was_taken_out(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    native = Native("d", "m", ({"thinking": f"It is {KEY}."},))
    said = Completion(replace(assistant(f"The key is {KEY}."), native=native), "stop", Usage(1, output_tokens=1))
    script: list[Reply] = [said, calls(("use", {"key": KEY})), "Done."]
    request = replace(REQUEST, messages=(user(f"Find {KEY}."),))
    live, recorded = Recorder(ScriptedBackend(script), path), request
    for _ in script:
        recorded = replace(recorded, messages=(*recorded.messages, (await live.complete(recorded)).message))
    assert KEY not in path.read_text("utf-8")
    replayer = Replayer(path, live.card)
    for _ in script:
        request = replace(request, messages=(*request.messages, (await replayer.complete(request)).message))
    assert [message.text for message in request.messages[1:]] == ["The key is [redacted].", "", "Done."]
    assert request.messages[2].tool_calls[0].arguments == '{"key": "[redacted]"}'


def test_requests_with_other_pictures_have_other_keys() -> None:
    def key(data: bytes) -> str:
        message = replace(user("What is this?"), images=(Image("image/png", data),))
        return request_key("m", replace(REQUEST, messages=(message,)))

    assert key(b"a") == key(b"a") != key(b"b")


def test_what_a_provider_wants_back_is_not_in_the_key() -> None:
    said = assistant("hi")
    thought = replace(said, native=Native("d", "m", ({"signature": "x"},)))
    keys = {request_key("m", replace(REQUEST, messages=(message,))) for message in (said, thought)}
    assert len(keys) == 1


# ---------------------------------------------------------------- the key
KEY_PROGRAM = """
from agentkit.backends.cassette import request_key
from agentkit.backends.fake import Reply
from agentkit.messages import Image, Native, assistant, user
from agentkit.types import Request, ToolSpec
tool = ToolSpec("f", "", {name: {"type": "string"} for name in sorted({"a", "b", "c"}, key=hash)})
print(request_key("m", Request(messages=(user("é"),), max_output_tokens=1, tools=(tool,))))
"""


def test_the_key_is_the_same_in_every_process() -> None:
    keys = {
        subprocess.run(
            [sys.executable, "-c", KEY_PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.getcwd()},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert keys == {"d9e8c39d3680d2dc4f28fe97c0bf013d973601cdca36ceeb51d6b97c1816afdf\n"}


REQUESTS = st.builds(
    Request,
    messages=st.lists(st.builds(user, st.text(st.characters(exclude_categories=()), max_size=4))).map(tuple),
    max_output_tokens=st.integers(1, 3),
    temperature=st.none() | st.sampled_from([0.0, 1.0]),
    stop=st.lists(st.sampled_from(["", "a"]), max_size=2).map(tuple),
    logprobs=st.booleans(),
)


@given(REQUESTS, REQUESTS)
def test_requests_share_a_key_only_if_they_are_equal(one: Request, two: Request) -> None:
    assert (request_key("m", one) == request_key("m", two)) == (one == two)
