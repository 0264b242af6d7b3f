"""Somebody else's server: the order desk behind `transformers serve` is the order desk of the local models.

The server runs the same folders with its own code: chat template, generation, tool-call parsing, wire format.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentkit import Answer, Budget, load
from agentkit.backends import Assembler, RemoteBackend
from agentkit.backends.openai_chat import OpenAIChat
from agentkit.evals.suites.order_desk.questions import draw_question
from agentkit.evals.suites.order_desk.shop import demo_desk
from agentkit.local_models import zoo
from agentkit.local_models.toolcalls import ToolCallParser
from agentkit.local_models.training.folder import write_folder
from agentkit.local_models.training.tokenizer import learn_tokenizer
from agentkit.messages import ToolCall, ToolResult, assistant, tool_message, user
from agentkit.types import Completion, ModelCard, Receipt, Request
from agentkit.wrap_up import wrap_up_prompt
from tests.local_models.tiny import random_model, tiny_config

transformers = pytest.importorskip("transformers")
for package in ("accelerate", "fastapi", "openai", "uvicorn"):  # what `transformers serve` needs
    pytest.importorskip(package)

pytestmark = pytest.mark.anyio

DEFINITION = Path(__file__).parents[1] / "examples" / "order_desk" / "agentkit.yaml"
KINDS = ("order.status", "order>customer.city", "order.total")
BUDGET = Budget(usd="0.001", tool_calls=10)  # the definition's own without its seconds: machines are slow at times
START_SECONDS = 120


# ---------------------------------------------------------------- the server and the two definitions
@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run `transformers serve` on a port that the system picks; yields the base URL."""
    scratch = tmp_path_factory.mktemp("server")
    serve = [sys.executable, "-m", "transformers.cli.transformers", "serve"]
    options = ["--host", "127.0.0.1", "--port", "0", "--device", "cpu", "--dtype", "float32"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(scratch), "OMP_NUM_THREADS": "1"}
    log = scratch / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([*serve, *options], stdout=output, stderr=output, env=environment)
    try:
        yield f"{_address(process, log)}/v1"
    finally:
        process.kill()
        process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"running on (http://[0-9.:]+)", log.read_text()):
            return found[1]
        time.sleep(0.1)
    pytest.fail(f"the server did not start:\n{log.read_text()[-2000:]}")


def remote_entry(name: str, base_url: str) -> dict[str, Any]:
    """A model of the zoo as an entry of a definition: the same weights and prices, behind `base_url`."""
    card = zoo.CARDS[name]
    assert card.price
    return {
        "backend": "openai",
        "base_url": base_url,
        "model": str(zoo.folder(name)),
        "price": {"input": float(card.price.input), "output": float(card.price.output)},
        "context_window": card.context_window,
        "max_output_tokens": card.max_output_tokens,
        "quality": card.quality,
    }


def remote_definition(folder: Path, base_url: str) -> Path:
    """The order desk's definition with its model entries changed, and nothing else."""
    definition = yaml.safe_load(DEFINITION.read_text("utf-8"))
    definition["models"] = {name: remote_entry(name, base_url) for name in definition["models"]}
    path = folder / "agentkit.yaml"
    path.write_text(yaml.safe_dump(definition), "utf-8")
    return path


# ---------------------------------------------------------------- the same runs
def questions() -> list[str]:
    rng, desk = random.Random(7), demo_desk()
    drawn = [draw_question(rng, desk, "test", kind).text for kind in KINDS]
    desk.close()
    return drawn


async def ask(path: Path, *, streamed: bool) -> list[Answer[str]]:
    agent, answers = load(path), []
    for question in questions():
        if not streamed:
            answers.append(await agent.run(question, budget=BUDGET))
            continue
        async with agent.stream(question, budget=BUDGET) as events:
            answers += [event async for event in events if isinstance(event, Answer)]
    await agent.aclose()
    return answers


def tool_calls(answer: Answer[str]) -> list[tuple[str, Any]]:
    return [(call.name, json.loads(call.arguments)) for said in answer.messages for call in said.tool_calls]


def tokens(receipts: tuple[Receipt, ...]) -> list[tuple[str, str, dict[str, int]]]:
    """What was charged, call by call, but for the dollars."""
    return [(r.what, r.state, {k: n for k, n in r.charged.items() if k != "usd"}) for r in receipts]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_run_is_the_same_with_only_its_model_entries_changed(
    server: str, tmp_path: Path, streamed: bool
) -> None:
    local = await ask(DEFINITION, streamed=streamed)
    remote = await ask(remote_definition(tmp_path, server), streamed=streamed)
    assert all(map(tool_calls, local))
    assert list(map(tool_calls, remote)) == list(map(tool_calls, local))
    assert [(a.text, a.status) for a in remote] == [(a.text, a.status) for a in local]
    assert [tokens(a.receipts) for a in remote] == [tokens(a.receipts) for a in local]
    for here, there in zip(local, remote, strict=True):  # this server has no prefix cache, so no discount
        assert 0 < here.spent.usd <= there.spent.usd
        assert not any(receipt.estimated or receipt.overrun for receipt in there.receipts)


# ---------------------------------------------------------------- what the ledger relies on
def remote_backend(base_url: str) -> RemoteBackend:
    return RemoteBackend(ModelCard("pico", "openai", str(zoo.folder("pico"))), OpenAIChat(), base_url=base_url)


async def streamed_reply(backend: RemoteBackend, request: Request) -> Completion:
    reply = Assembler()
    async with aclosing(backend.stream(request)) as deltas:
        async for delta in deltas:
            reply.add(delta)
    return reply.partial()


async def test_the_output_cap_holds_and_the_input_stays_below_its_bound(server: str) -> None:
    backend = remote_backend(server)
    answered_in_words = wrap_up_prompt(questions()[0], ())
    request = Request(messages=(user(answered_in_words),), max_output_tokens=2)
    for reply in (await backend.complete(request), await streamed_reply(backend, request)):
        assert reply.finish_reason == "length"
        assert reply.usage and reply.usage.total_output == 2
        assert 0 < reply.usage.total_input <= backend.bound(request).input_tokens
    await backend.aclose()


async def test_a_call_that_was_no_json_can_be_sent_back(server: str) -> None:
    call = ToolCall("call_1", "get_order", '{"order_id": 410')
    error = tool_message(ToolResult(call.id, call.name, "Error: the arguments are not JSON"))
    request = Request(messages=(user("Who bought it?"), assistant("", (call,)), error), max_output_tokens=1)
    backend = remote_backend(server)
    reply = await streamed_reply(backend, request)
    await backend.aclose()
    assert reply.usage and reply.usage.total_output == 1


# ---------------------------------------------------------------- folders that training writes
REPLIES = {
    "text": "The status is returned.<|end|>",
    "one call": '<tool_call>{"name": "get_order", "arguments": {"order_id": 7}}</tool_call><|end|>',
    "two calls": (
        '<tool_call>{"name": "a", "arguments": {}}</tool_call>'
        '<tool_call>{"name": "b", "arguments": {"x": "é"}}</tool_call><|end|>'
    ),
}


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
def test_transformers_reads_replies_of_a_trained_folder_as_we_do(tmp_path: Path, reply: str) -> None:
    tokenizer = learn_tokenizer(["The status is returned."], 300)
    folder = write_folder(tmp_path, random_model(tiny_config(tokenizer.get_vocab_size())), tokenizer)
    peer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    message = peer.parse_response(reply, prefix="<|user|>hi<|end|><|assistant|>")
    parser = ToolCallParser()
    text, calls = parser.feed(reply.removesuffix("<|end|>"))
    rest, _ = parser.close()
    assert message.get("content", "") == text + rest
    found = [(call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls", ())]
    assert found == [(call.name, json.loads(call.arguments)) for call in calls]
