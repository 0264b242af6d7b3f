"""Weights on disk: what is written is read, and what does not fit is named."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from agentkit.errors import LocalModelError
from agentkit.local_models.config import LlamaConfig, RopeScaling
from agentkit.local_models.weights import load_model, save_folder
from tests.local_models.tiny import random_model, tiny_config

IDS = torch.arange(20).unsqueeze(0)
EMBEDDING, QUERY = "model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight"
SCALING = RopeScaling(8.0, 1.0, 4.0, 64)


def shard(folder: Path) -> None:
    """Split the weights of `folder` over two files with an index."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    weight_map = {name: f"model-{at % 2 + 1}-of-2.safetensors" for at, name in enumerate(names)}
    for file in set(weight_map.values()):
        save_file({name: tensors[name] for name in names if weight_map[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("sharded", [True, False])
def test_a_saved_model_loads_with_the_same_logits(tmp_path: Path, tied: bool, sharded: bool) -> None:
    config = tiny_config(40, tie_word_embeddings=tied, rope_scaling=SCALING, eos_token_ids=(3, 4))
    model = random_model(config)
    save_folder(tmp_path, model)
    if sharded:
        shard(tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.config == config
    assert torch.equal(loaded(IDS), model(IDS))
    assert (loaded.lm_head.weight is loaded.model.embed_tokens.weight) == tied


def test_a_tied_head_in_the_file_is_not_needed(tmp_path: Path) -> None:
    model = random_model(tiny_config(40))
    save_folder(tmp_path, model)
    edit(tmp_path, lambda tensors: tensors.update({"lm_head.weight": torch.zeros(40, 32)}))
    assert torch.equal(load_model(tmp_path)(IDS), model(IDS))


def test_weights_take_the_asked_type_and_float32_by_default(tmp_path: Path) -> None:
    model = random_model(tiny_config(40))
    save_folder(tmp_path, model, dtype=torch.bfloat16)
    assert json.loads((tmp_path / "config.json").read_text("utf-8"))["dtype"] == "bfloat16"
    assert load_file(tmp_path / "model.safetensors")[QUERY].dtype == torch.bfloat16
    assert load_model(tmp_path).lm_head.weight.dtype == torch.float32
    half = load_model(tmp_path, dtype=torch.bfloat16)
    assert half.lm_head.weight.dtype == torch.bfloat16
    assert half.model._inverse_frequencies.dtype == torch.float32  # else far positions would blur
    assert (half(IDS) - model(IDS)).abs().max() < 0.2


def test_saving_leaves_the_trained_model_alone(tmp_path: Path) -> None:
    model = random_model(tiny_config(40))
    before = model.lm_head.weight.clone()
    save_folder(tmp_path, model, dtype=torch.float16)
    assert model.lm_head.weight.dtype == torch.float32
    assert torch.equal(model.lm_head.weight, before)


def edit(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda tensors: tensors.pop(QUERY), f"{QUERY} is missing"),
        (lambda tensors: tensors.pop(EMBEDDING), f"{EMBEDDING} is missing"),
        (lambda tensors: tensors.update(extra=torch.zeros(1)), "extra is not part of this architecture"),
        (lambda tensors: tensors.update({QUERY: torch.zeros(8, 32)}), r"shape \(8, 32\) instead of \(32, 32\)"),
        (
            lambda tensors: tensors.clear() or tensors.update(x=torch.zeros(1)),
            "and 18 more; take both from the same",
        ),
    ],
    ids=["missing", "missing embedding", "unexpected", "wrong shape", "another model"],
)
def test_tensors_that_do_not_fit_are_named(
    tmp_path: Path, change: Callable[[dict[str, Tensor]], object], complaint: str
) -> None:
    save_folder(tmp_path, random_model(tiny_config(40)))
    edit(tmp_path, change)
    with pytest.raises(LocalModelError, match=complaint):
        load_model(tmp_path)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(LocalModelError, match=r"config\.json"):
        load_model(tmp_path)
    save_folder(tmp_path, random_model(tiny_config(40)))
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(LocalModelError, match=r"model\.safetensors' cannot be read"):
        load_model(tmp_path)
    weights.unlink()
    with pytest.raises(LocalModelError, match=r"model\.safetensors' is absent"):
        load_model(tmp_path)


def test_an_incomplete_set_of_shards_is_named(tmp_path: Path) -> None:
    save_folder(tmp_path, random_model(tiny_config(40)))
    shard(tmp_path)
    (tmp_path / "model-2-of-2.safetensors").unlink()
    with pytest.raises(LocalModelError, match=r"model-2-of-2\.safetensors' is absent"):
        load_model(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": []}', encoding="utf-8")
    with pytest.raises(LocalModelError, match="not an index"):
        load_model(tmp_path)


def test_shards_outside_the_folder_are_not_read(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    save_folder(inside, random_model(tiny_config(40)))
    names = list(load_file(inside / "model.safetensors"))
    (inside / "model.safetensors").rename(tmp_path / "outside.safetensors")
    weight_map = dict.fromkeys(names, "../outside.safetensors")
    (inside / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")
    with pytest.raises(LocalModelError, match="absent"):
        load_model(inside)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_gpu_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    save_folder(tmp_path, random_model(tiny_config(40)))
    with pytest.raises(LocalModelError, match="no GPU"):
        load_model(tmp_path, device="cuda")


def test_old_and_new_spellings_of_rope_agree(tmp_path: Path) -> None:
    config = tiny_config(40, rope_scaling=SCALING, rope_theta=500_000.0)
    new = config.to_mapping()
    old = {name: value for name, value in new.items() if name != "rope_parameters"}
    old["rope_scaling"] = {name: value for name, value in new["rope_parameters"].items() if name != "rope_theta"}
    (tmp_path / "config.json").write_text(json.dumps(old), encoding="utf-8")
    assert LlamaConfig.from_folder(tmp_path).rope_scaling == SCALING
    assert LlamaConfig.from_folder(tmp_path).rope_theta == 500_000.0
