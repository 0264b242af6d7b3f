"""A local model behind the Backend protocol: replies, bills, refusals and cancellation."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.backends.base import Assembler, Backend
from agentkit.errors import BackendUnavailable, BadRequest, ContextOverflow, MissingExtra
from agentkit.local_models import LocalBackend
from agentkit.messages import Message, assistant, user
from agentkit.types import Completion, Delta, ModelCard, Request, ToolSpec
from agentkit.usage import Price, Usage
from tests.local_models.tiny import parrot_model, tiny_tokenizer, write_folder

pytestmark = pytest.mark.anyio

PRICE = Price(Decimal("0.25"), Decimal(2), cache_read=Decimal("0.025"))
CARD = ModelCard("tiny", "local", "tiny", price=PRICE, context_window=4096)
LOOK = ToolSpec("look", "Look it up.", {"type": "object", "properties": {"id": {"type": "integer"}}})


@pytest.fixture
def babbler(random_folder: Path) -> LocalBackend:
    return LocalBackend(CARD, random_folder)


@pytest.fixture
def parrot(parrot_folder: Path) -> LocalBackend:
    return LocalBackend(CARD, parrot_folder)


def ask(text: str = "hello", cap: int = 24, **options: Any) -> Request:
    return Request(messages=(user(text),), max_output_tokens=cap, **options)


async def deltas(backend: Backend, request: Request) -> list[Delta]:
    return [delta async for delta in backend.stream(request)]


def comparable(completion: Completion) -> Completion:
    """Leave out what may differ: call ids, how much of the prompt was cached, the last bits of floats."""
    calls = tuple(replace(call, id="") for call in completion.message.tool_calls)
    usage = completion.usage and Usage(completion.usage.total_input, output_tokens=completion.usage.output_tokens)
    logprobs = tuple(replace(token, logprob=round(token.logprob, 4), margin=None) for token in completion.logprobs)
    message = replace(completion.message, tool_calls=calls)
    return replace(completion, message=message, usage=usage, logprobs=logprobs)


async def test_a_tool_call_comes_back_as_one(parrot: LocalBackend) -> None:
    completion = await parrot.complete(ask(tools=(LOOK,)))
    [call] = completion.message.tool_calls
    assert completion.message.text == "Let me look."
    assert (call.name, json.loads(call.arguments)) == ("look", {"id": 7})
    assert completion.finish_reason == "tool_calls"
    assert completion.usage is not None and completion.usage.output_tokens == 6  # the stop token is billed too


async def test_a_call_is_read_as_one_even_where_no_tool_may_be_called(parrot: LocalBackend) -> None:
    """As text it would pass for an answer."""
    plain = await parrot.complete(ask())
    assert plain.message.text == "Let me look."
    assert [call.name for call in plain.message.tool_calls] == ["look"]
    forbidden = await parrot.complete(ask(tools=(LOOK,), tool_choice="none"))
    assert [call.name for call in forbidden.message.tool_calls] == ["look"]
    assert parrot.bound(ask(tools=(LOOK,), tool_choice="none")) == parrot.bound(ask())


async def test_a_required_call_is_made_without_a_word_before(parrot: LocalBackend) -> None:
    completion = await parrot.complete(ask(tools=(LOOK,), tool_choice="required"))
    assert completion.message.text == ""
    assert [call.name for call in completion.message.tool_calls] == ["look"]


async def test_a_call_cut_by_the_cap_reads_as_length(parrot: LocalBackend) -> None:
    completion = await parrot.complete(ask(tools=(LOOK,), cap=3))
    assert completion.finish_reason == "length"
    assert [call.arguments for call in completion.message.tool_calls] == ['{"name": "look",']


async def test_stop_strings_cut_the_text_and_the_bill(parrot: LocalBackend) -> None:
    completion = await parrot.complete(ask(stop=("<tool_call>{", "never")))
    assert completion.message.text == "Let me look."
    assert completion.finish_reason == "stop"
    assert completion.usage is not None and completion.usage.output_tokens == 3


async def test_text_that_only_began_like_a_stop_string_is_shown(parrot: LocalBackend) -> None:
    completion = await parrot.complete(ask(stop=("</tool_call>!",)))
    assert [call.name for call in completion.message.tool_calls] == [
        "look"
    ]  # its end tag was held back, then let go


async def test_a_character_cut_in_half_shows_as_such(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    model = parrot_model(tokenizer, ["a", "ð", "Ł", "<|end|>"])  # the first two of the four bytes of an emoji
    backend = LocalBackend(CARD, write_folder(tmp_path, model, tokenizer))
    assert (await backend.complete(ask())).message.text == "a\ufffd"


REQUESTS = [
    ask(),
    ask(temperature=1.0, seed=3, logprobs=True),
    ask("naïve café " * 60, cap=40, temperature=0.7, top_p=0.9, seed=1),
    ask(temperature=1.5, seed=5, stop=("a", "zz")),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=["greedy", "logprobs", "long", "stop"])
async def test_a_stream_adds_up_to_the_completion(babbler: LocalBackend, request_: Request) -> None:
    assembler = Assembler()
    pieces = await deltas(babbler, request_)
    for piece in pieces:
        assembler.add(piece)
    streamed, whole = assembler.partial(), await babbler.complete(request_)
    assert comparable(streamed) == comparable(whole)
    margins = [[token.margin for token in reply.logprobs] for reply in (streamed, whole)]
    assert margins[0] == pytest.approx(margins[1], abs=1e-4)
    assert [piece.finish_reason for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
    assert pieces[-1].finish_reason is not None
    billed = [piece.usage.output_tokens for piece in pieces if piece.usage]
    assert billed == sorted(billed) and len(billed) == len(pieces)


async def test_log_probabilities_cover_every_billed_token(parrot: LocalBackend) -> None:
    completion = await parrot.complete(ask(logprobs=True))
    assert completion.usage is not None
    assert len(completion.logprobs) == completion.usage.output_tokens
    text = "".join(token.text for token in completion.logprobs)
    assert (
        text == completion.message.text + '<tool_call>{"name": "look", "arguments": {"id": 7}}</tool_call><|end|>'
    )
    assert all(token.margin is not None and token.logprob <= 0 <= token.margin for token in completion.logprobs)


async def test_the_next_turn_pays_the_cache_price_for_what_was_read(babbler: LocalBackend) -> None:
    first_request = ask("a long story", cap=8)
    first = await babbler.complete(first_request)
    again = Request(messages=(user("a long story"), assistant("", ()), user("more")), max_output_tokens=8)
    second = await babbler.complete(again)
    assert first.usage is not None and first.usage.cache_read_tokens == 0
    assert second.usage is not None and second.usage.cache_read_tokens >= first.usage.input_tokens
    uncached = second.usage.total_input - second.usage.cache_read_tokens
    paid = uncached * 250 + second.usage.cache_read_tokens * 25 + second.usage.output_tokens * 2000  # nano-dollars
    assert second.usage.cost(PRICE)["usd"] == paid < babbler.bound(again).at(8)["usd"]


REPLAY = st.fixed_dictionaries(
    {
        "text": st.text(max_size=40),
        "cap": st.integers(1, 12),
        "temperature": st.sampled_from([None, 1.0, 2.0]),
        "seed": st.integers(0, 3),
        "tools": st.sampled_from([(), (LOOK,)]),
        "tool_choice": st.sampled_from(["auto", "none", "required"]),
    }
)


@pytest.fixture(scope="module")
def shared_babbler(random_folder: Path) -> LocalBackend:
    return LocalBackend(CARD, random_folder)


@settings(max_examples=40)
@given(options=REPLAY)
async def test_usage_stays_within_the_bound(shared_babbler: LocalBackend, options: dict[str, Any]) -> None:
    request = ask(**options)
    bound = shared_babbler.bound(request)
    usage = (await shared_babbler.complete(request)).usage
    assert usage is not None
    assert usage.total_input == bound.input_tokens
    assert usage.cost(PRICE).minus(bound.at(request.max_output_tokens)) == {}


async def test_a_model_without_a_price_has_an_unpriced_bound(random_folder: Path) -> None:
    assert not LocalBackend(replace(CARD, price=None), random_folder).bound(ask()).priced


def test_on_a_gpu_a_bound_grows_with_its_prompt_as_that_of_a_longer_prompt(random_folder: Path) -> None:
    """The finish line is held for a prompt that is not written yet."""
    backend = LocalBackend(CARD, random_folder, device="cuda")
    short, long = backend.bound(ask()), backend.bound(ask("hello again " * 20))
    assert replace(short, input_tokens=long.input_tokens).at(8) == long.at(8) != short.at(8)
    assert long.at(8)["gpu_us"] > short.at(8)["gpu_us"] > 0


async def test_the_card_says_that_closing_a_stream_ends_the_bill(babbler: LocalBackend) -> None:
    capabilities = babbler.card.capabilities
    assert capabilities.stop_ends_billing and capabilities.streams_every_billed_token and capabilities.logprobs
    seen: Usage | None = None
    stream = babbler.stream(ask("x " * 400, cap=200))
    async for delta in stream:
        seen = delta.usage
        if seen and seen.output_tokens == 5:
            break
    await stream.aclose()
    assert seen is not None and seen.total_input == babbler.bound(ask("x " * 400)).input_tokens


async def test_a_cancelled_call_leaves_the_backend_usable(babbler: LocalBackend) -> None:
    expected = await babbler.complete(ask(cap=16))
    for _ in range(5):
        with anyio.move_on_after(0.03):
            await babbler.complete(ask("tell me everything", cap=900))
    assert comparable(await babbler.complete(ask(cap=16))) == comparable(expected)


async def test_concurrent_requests_do_not_mix(babbler: LocalBackend) -> None:
    requests = [ask(f"question {n}", temperature=1.0, seed=n) for n in range(6)]
    alone = [await babbler.complete(request) for request in requests]
    together: dict[int, Completion] = {}

    async def run(n: int) -> None:
        together[n] = await babbler.complete(requests[n])

    async with anyio.create_task_group() as group:
        for n in range(6):
            group.start_soon(run, n)
    assert [comparable(together[n]) for n in range(6)] == [comparable(completion) for completion in alone]


async def test_a_prompt_beyond_the_window_is_refused_before_anything_runs(random_folder: Path) -> None:
    backend = LocalBackend(replace(CARD, context_window=50), random_folder)
    with pytest.raises(ContextOverflow) as caught:
        await backend.complete(ask("x " * 100))
    assert caught.value.window == 50 < caught.value.tokens
    with pytest.raises(ContextOverflow):
        backend.bound(ask("x " * 100))
    assert backend._engine is None
    wide = LocalBackend(CARD, random_folder)  # the card promises 4096, the model has 1024
    with pytest.raises(ContextOverflow):
        wide.bound(ask("x " * 2000))


async def test_a_reply_ends_where_the_window_does(random_folder: Path) -> None:
    backend = LocalBackend(replace(CARD, context_window=50), random_folder)
    usage = (await backend.complete(ask(cap=500))).usage
    assert usage is not None and usage.total_input + usage.output_tokens == 50


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [(ask(cap=0), "below 1"), (ask("forbidden"), "not in this house"), (ask("a\ud800"), "surrogates")],
)
async def test_requests_that_cannot_be_served_are_refused(
    babbler: LocalBackend, request_: Request, complaint: str
) -> None:
    with pytest.raises(BadRequest, match=complaint):
        await babbler.complete(request_)


async def test_an_empty_prompt_is_refused(random_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(random_folder, tmp_path / "model"))
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}", encoding="utf-8")
    with pytest.raises(BadRequest, match="empty prompt"):
        LocalBackend(CARD, folder).bound(ask(""))


async def test_a_folder_that_cannot_be_loaded_is_an_unavailable_backend(
    random_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(BackendUnavailable, match=r"config\.json"):
        LocalBackend(CARD, tmp_path / "nowhere").bound(ask())
    folder = Path(shutil.copytree(random_folder, tmp_path / "model"))
    (folder / "model.safetensors").unlink()
    with pytest.raises(BackendUnavailable, match="absent"):
        await LocalBackend(CARD, folder).complete(ask())
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 10}), encoding="utf-8")
    with pytest.raises(BackendUnavailable, match="same checkpoint"):
        LocalBackend(CARD, folder).bound(ask())


def test_an_absent_package_names_the_extra_to_install(
    babbler: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "agentkit.local_models.text")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtra, match="'tokenizers' is not installed; install the 'local' extra"):
        babbler.bound(ask())


async def test_a_failure_of_torch_carries_what_had_arrived(
    babbler: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = await babbler.complete(ask(cap=4))
    engine = babbler._engine
    assert engine is not None
    forward, calls = engine.model.forward, 0

    def failing(*args: Any, **kwargs: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls > 4:
            raise RuntimeError("out of memory")
        return forward(*args, **kwargs)

    monkeypatch.setattr("agentkit.local_models.generate._SLICE_S", 0.0)
    monkeypatch.setattr(engine.model, "forward", failing)
    with pytest.raises(BackendUnavailable, match="out of memory") as caught:
        await babbler.complete(ask(cap=20))
    assert caught.value.partial is not None
    assert caught.value.partial.usage is not None and caught.value.partial.usage.output_tokens == 4
    assert expected.message.text.startswith(caught.value.partial.message.text)


async def test_a_closed_backend_loads_again(babbler: LocalBackend) -> None:
    first = await babbler.complete(ask())
    await babbler.aclose()
    assert babbler._engine is None
    assert await babbler.complete(ask()) == first


@pytest.mark.parametrize("threads", [None, 3])
async def test_threads_are_set_only_when_asked(random_folder: Path, threads: int | None) -> None:
    before = torch.get_num_threads()
    try:
        await LocalBackend(CARD, random_folder, threads=threads).complete(ask(cap=1))
        with ThreadPoolExecutor() as pool:
            assert pool.submit(torch.get_num_threads).result() == (threads or before)
    finally:
        torch.set_num_threads(before)


def test_importing_local_models_and_counting_a_prompt_load_no_torch(random_folder: Path) -> None:
    program = (
        "import sys\n"
        "from agentkit.local_models import LocalBackend\n"
        "assert not {'torch', 'numpy', 'tokenizers', 'jinja2'} & sys.modules.keys()\n"
        "from agentkit.messages import user\n"
        "from agentkit.types import ModelCard, Request\n"
        "backend = LocalBackend(ModelCard('m', 'local', 'm'), sys.argv[1])\n"
        "assert backend.bound(Request(messages=(user('x'),), max_output_tokens=1)).input_tokens > 1\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program, str(random_folder)], check=True, timeout=60)


def test_tool_results_reach_the_prompt(babbler: LocalBackend) -> None:
    short, long = (
        Request(messages=(Message("tool", text, call_id="c", name="look"),), max_output_tokens=1)
        for text in ("1", "1" * 50)
    )
    assert babbler.bound(long).input_tokens - babbler.bound(short).input_tokens == 49


# ---------------------------------------------------------------- going on with a reply
async def test_an_assistant_turn_at_the_end_is_gone_on_with(parrot: LocalBackend) -> None:
    first = await parrot.complete(ask(cap=1, tools=(LOOK,)))
    assert (first.finish_reason, first.message.text) == ("length", "Let me look.")
    rest = await parrot.complete(
        replace(ask(tools=(LOOK,)), messages=(user("hello"), assistant(first.message.text)))
    )
    assert parrot.card.capabilities.prefill and rest.message.text == ""
    assert [call.name for call in rest.message.tool_calls] == ["look"]
    assert rest.usage is not None and first.usage is not None
    assert rest.usage.total_input == first.usage.total_input + 1  # the turn is open: nothing closes it
