"""Against transformers, on the same folder: logits, greedy tokens, rendered chats and token ids."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from agentkit.local_models.config import RopeScaling
from agentkit.local_models.generate import Engine, Generation
from agentkit.local_models.model import KVCache, Llama
from agentkit.local_models.sampling import Sampling
from agentkit.local_models.text import ChatTokenizer
from agentkit.local_models.weights import load_model
from agentkit.messages import Message, ToolCall, assistant, system, user
from agentkit.types import ToolSpec
from tests.local_models.tiny import random_model, tiny_config, tiny_tokenizer, write_folder

transformers = pytest.importorskip("transformers")

TOLERANCE = 2e-6  # of the largest logit; transformers differs as much from itself when it runs token by token
LLAMA3 = RopeScaling(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
SHAPES: dict[str, dict[str, Any]] = {
    "tied, grouped queries": {},
    "untied": {"tie_word_embeddings": False},
    "one key head": {"num_key_value_heads": 1},
    "as many key heads": {"num_key_value_heads": 4},
    "llama3 rope": {"rope_scaling": LLAMA3, "rope_theta": 500_000.0},
    "wide heads": {"head_dim": 16, "rms_norm_eps": 1e-5},
}


@pytest.fixture(scope="module", params=SHAPES)
def models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Llama, Any]:
    tokenizer = tiny_tokenizer()
    model = random_model(tiny_config(tokenizer.get_vocab_size(), **SHAPES[request.param]))
    folder = write_folder(tmp_path_factory.mktemp("shape"), model, tokenizer)
    peer = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return load_model(folder), peer.eval()


def prompt_ids(length: int) -> list[int]:
    return torch.randint(8, 260, (length,), generator=torch.Generator().manual_seed(5)).tolist()


@torch.inference_mode()
def in_pieces(model: Llama, ids: Sequence[int], sizes: Sequence[int]) -> torch.Tensor:
    cache = KVCache(model.config, len(ids), torch.device("cpu"), torch.float32)
    pieces = torch.tensor([ids]).split(list(sizes), dim=1)
    return torch.cat([model(piece, cache) for piece in pieces], dim=1)


@pytest.mark.parametrize(
    "sizes", [[48], [1] * 48, [20, 21, 7], [1, 46, 1]], ids=["full", "single", "chunks", "ends"]
)
def test_logits_equal_those_of_transformers(models: tuple[Llama, Any], sizes: list[int]) -> None:
    model, peer = models
    ids = prompt_ids(48)
    with torch.inference_mode():
        expected = peer(torch.tensor([ids])).logits
    difference = float((in_pieces(model, ids, sizes) - expected).abs().max())
    assert difference <= TOLERANCE * float(expected.abs().max())


def test_greedy_tokens_equal_those_of_transformers(models: tuple[Llama, Any]) -> None:
    model, peer = models
    ids = prompt_ids(24)
    expected = peer.generate(torch.tensor([ids]), max_new_tokens=40, do_sample=False, pad_token_id=0)[0, 24:]
    generation = Generation(Engine(model), ids, Sampling(), cap=40, window=1024, stop_ids={0})
    assert [token.id for token in generation.steps() if token] == expected.tolist()


ZOO_TEMPLATE = Path(__file__).parents[2] / "local_models" / "zoo" / "chat_template.jinja"
TOOL = ToolSpec("look", "Look <it> up & tell", {"type": "object", "properties": {"id": {"type": "integer"}}})
CHATS: dict[str, tuple[Message, ...]] = {
    "plain": (user("héllo <b>&</b> 'quotes' 🙂"),),
    "system": (system("Be brief."), user("hi"), assistant("hey"), user("again")),
    "tools": (
        user("look"),
        assistant("Sure.", (ToolCall("c1", "look", '{"id": 7, "s": "é<&"}'), ToolCall("c2", "look", "{}"))),
        Message("tool", '{"found": 1}', call_id="c1", name="look"),
        Message("tool", "nothing", call_id="c2", name="look"),
    ),
}


@pytest.mark.parametrize("chat", CHATS)
@pytest.mark.parametrize("tools", [(), (TOOL,)], ids=["no tools", "a tool"])
@pytest.mark.parametrize("template", ["house", "zoo"])
def test_prompts_equal_those_of_transformers(
    random_folder: Path, tmp_path: Path, chat: str, tools: tuple[ToolSpec, ...], template: str
) -> None:
    for file in random_folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    if template == "zoo":
        (tmp_path / "chat_template.jinja").unlink()
        (tmp_path / "chat_template.jinja").write_text(ZOO_TEMPLATE.read_text("utf-8"), "utf-8")
    peer = transformers.AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    ours = ChatTokenizer.from_folder(tmp_path)
    wire = [openai_shape(message) for message in CHATS[chat]]
    functions = [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in tools
    ]
    for more in (True, False):
        expected = peer.apply_chat_template(
            wire, tools=functions or None, add_generation_prompt=more, tokenize=False
        )
        assert ours.template.render(CHATS[chat], tools, add_generation_prompt=more) == expected
    assert ours.prompt(CHATS[chat], tools) == peer.apply_chat_template(
        wire, tools=functions or None, add_generation_prompt=True, return_dict=False
    )


def test_template_globals_equal_those_of_transformers(random_folder: Path, tmp_path: Path) -> None:
    source = (
        "{%- for n in range(9) %}{% if n == 2 %}{% continue %}{% endif %}{% if n == 4 %}{% break %}{% endif %}"
        "{{ n }}{%- endfor %}\n  {% set x = {'b': ['é', '<'], 'a': none} %}\n"
        "{{ x | tojson }} {{ x | tojson(indent=2) }} {{ x | tojson(sort_keys=true, separators=(',', ':')) }}"
        "{{ strftime_now('%Y-%m-%d') }}{{ bos_token }}{{ documents is none }}{{ tools is none }}"
    )
    for file in random_folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "chat_template.jinja").unlink()
    (tmp_path / "chat_template.jinja").write_text(source, "utf-8")
    peer = transformers.AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    expected = peer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)
    rendered = ChatTokenizer.from_folder(tmp_path).template.render([user("x")], add_generation_prompt=False)
    assert rendered == expected
    assert datetime.date.today().isoformat()[:4] in rendered and "é" in rendered


def openai_shape(message: Message) -> dict[str, Any]:
    shape: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.tool_calls:
        arguments = {"c1": {"id": 7, "s": "é<&"}, "c2": {}}
        shape["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments[call.id]}}
            for call in message.tool_calls
        ]
    if message.role == "tool":
        shape |= {"tool_call_id": message.call_id, "name": message.name}
    return shape
