"""The token loop: caches, chunks and prefixes change the time it takes, never the tokens."""

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.local_models.generate import Engine, Generation, Token
from agentkit.local_models.model import Llama
from agentkit.local_models.sampling import Sampling
from agentkit.local_models.weights import load_model
from tests.local_models.tiny import random_model, tiny_config

MODEL = random_model(tiny_config(64))
GREEDY = Sampling()


def generate(engine: Engine, prompt: Sequence[int], **options: Any) -> tuple[list[int], Generation]:
    sampling = options.pop("sampling", GREEDY)
    generation = Generation(engine, prompt, sampling, **({"cap": 8, "window": 1024} | options))
    return [token.id for token in generation.steps() if token], generation


@torch.inference_mode()
def without_cache(model: Llama, prompt: Sequence[int], cap: int) -> list[int]:
    ids = list(prompt)
    for _ in range(cap):
        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    return ids[len(prompt) :]


def random_ids(length: int, seed: int = 0) -> list[int]:
    return torch.randint(0, 64, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


@pytest.mark.parametrize("length", [1, 2, 255, 256, 257, 600])
def test_tokens_equal_those_without_a_cache(length: int) -> None:
    prompt = random_ids(length)
    tokens, generation = generate(Engine(MODEL), prompt)
    assert tokens == without_cache(MODEL, prompt, 8)
    assert (generation.read_tokens, generation.reused_tokens) == (length, 0)


PROMPTS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), min_size=1, max_size=6)


@settings(max_examples=40)
@given(prompts=PROMPTS, keep=st.integers(1, 3))
def test_reused_prefixes_change_no_token(prompts: list[list[int]], keep: int) -> None:
    reusing, fresh = Engine(MODEL, keep=keep), Engine(MODEL, keep=0)
    for prompt in prompts:
        tokens, generation = generate(reusing, prompt, cap=3)
        expected, unaided = generate(fresh, prompt, cap=3)
        assert tokens == expected
        assert unaided.reused_tokens == 0 <= generation.reused_tokens < len(prompt)


def test_the_next_turn_reuses_the_whole_last_one() -> None:
    engine, prompt = Engine(MODEL), random_ids(300)
    first, _ = generate(engine, prompt)
    longer = [*prompt, *first, 1, 2, 3]
    tokens, generation = generate(engine, longer)
    assert generation.reused_tokens == 300 + 8 - 1  # the last token was sampled and never read
    assert tokens == without_cache(MODEL, longer, 8)


def test_conversations_that_share_a_prefix_keep_their_own_cache() -> None:
    engine, shared = Engine(MODEL, keep=2), random_ids(40)
    one, other = [*shared, *random_ids(30, 1)], [*shared, *random_ids(30, 2)]
    for prompt, reused in ((one, 0), (other, 40), (one, 69), (other, 69)):
        assert generate(engine, prompt)[1].reused_tokens == reused


def test_only_the_last_sequences_are_kept() -> None:
    engine = Engine(MODEL, keep=2)
    prompts = [[start, *random_ids(20, start)] for start in range(3)]
    for prompt in prompts:
        generate(engine, prompt)
    assert [generate(engine, prompt)[1].reused_tokens for prompt in reversed(prompts)] == [20, 20, 0]


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_a_generation_given_up_leaves_a_usable_prefix(steps: int) -> None:
    engine, prompt = Engine(MODEL), random_ids(600)
    given_up = Generation(engine, prompt, GREEDY, cap=8, window=1024).steps()
    for _ in range(steps):
        next(given_up)
    given_up.close()
    tokens, generation = generate(engine, prompt)
    assert generation.reused_tokens == min(steps * 256, 599)
    assert tokens == without_cache(MODEL, prompt, 8)


def test_generation_ends_at_a_stop_token_the_cap_or_the_window() -> None:
    prompt = random_ids(10)
    free, generation = generate(Engine(MODEL), prompt, cap=20)
    assert (len(free), generation.finish) == (20, "length")
    stopped, generation = generate(Engine(MODEL), prompt, cap=20, stop_ids={free[6]})
    assert stopped == free[: free.index(free[6]) + 1]
    assert generation.finish == "stop"
    cut, generation = generate(Engine(MODEL), prompt, cap=20, window=15)
    assert (cut, generation.finish) == (free[:5], "length")


def test_seeds_fix_sampled_tokens_and_interleaving_does_not_matter() -> None:
    def steps(seed: int) -> Iterator[Token | None]:
        sampling = Sampling(temperature=1.0, seed=seed)
        return Generation(engine, [1, 2, 3], sampling, cap=20, window=1024).steps()

    engine = Engine(MODEL)
    alone = [list(steps(1)), list(steps(2))]
    together = list(zip(steps(1), steps(2), strict=True))
    assert [list(column) for column in zip(*together, strict=True)] == alone
    assert alone[0] != alone[1]


def test_log_probabilities_are_those_of_the_model_whatever_the_temperature() -> None:
    sampling, prompt = Sampling(temperature=3.0, top_k=5, seed=1), random_ids(12)
    generation = Generation(Engine(MODEL), prompt, sampling, cap=6, window=1024, logprobs=True)
    tokens = [token for token in generation.steps() if token]
    ids = torch.tensor([[*prompt, *(token.id for token in tokens)]])
    every = MODEL(ids)[0, 11:-1].log_softmax(-1)
    expected, best = every.gather(1, ids[0, 12:, None])[:, 0], every.sort(-1, descending=True).values
    found, margins = zip(*(token.certainty for token in tokens if token.certainty), strict=True)
    assert list(found) == pytest.approx(expected.tolist(), abs=1e-5)
    assert list(margins) == pytest.approx((best[:, 0] - best[:, 1]).tolist(), abs=1e-5)


def test_half_precision_runs(random_folder: Path) -> None:
    model = load_model(random_folder, dtype=torch.bfloat16)
    tokens, _ = generate(Engine(model), random_ids(300))
    assert len(tokens) == 8


@pytest.mark.anyio
async def test_the_event_loop_is_free_and_generations_take_turns() -> None:
    others = anyio.to_thread.current_default_thread_limiter()
    order: list[str] = []
    ticked = threading.Event()

    async def run(name: str) -> None:
        def steps() -> Iterator[None]:
            for _ in range(4):
                ticked.clear()
                assert ticked.wait(60), "the loop does not run while a step is made"
                time.sleep(0.01)  # longer than a slice
                yield None

        work = steps()
        while await engine.advance(work):
            order.append(name)

    async def tick() -> None:
        while True:
            ticked.set()
            assert others.borrowed_tokens == 0  # whoever else needs a worker thread finds one
            await anyio.sleep(0.002)

    engine = Engine(MODEL)
    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        async with anyio.create_task_group() as work:
            work.start_soon(run, "a")
            work.start_soon(run, "b")
        group.cancel_scope.cancel()
    assert order == ["a", "b"] * 4


@pytest.mark.anyio
async def test_a_cancelled_generation_stops_within_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentkit.local_models.generate._SLICE_S", 60.0)
    taken: list[int] = []
    reached, cancelled = threading.Event(), threading.Event()

    def steps() -> Iterator[int]:
        for step in range(1_000_000):
            taken.append(step)
            if step == 3:
                reached.set()
                cancelled.wait()
            yield step

    async with anyio.create_task_group() as group:
        group.start_soon(Engine(MODEL).advance, steps())
        await anyio.to_thread.run_sync(reached.wait)
        group.cancel_scope.cancel()
        cancelled.set()
    assert taken == [0, 1, 2, 3]


def test_one_engine_serves_one_event_loop_after_another() -> None:
    engine = Engine(MODEL)

    async def first_slice() -> list[int]:
        return await engine.advance(iter([1, 2]))

    assert anyio.run(first_slice) == [1, 2]
    assert anyio.run(first_slice) == [1, 2]
