"""Weights on disk: a Hugging Face folder (config.json and safetensors files) to and from a `Llama`.

Nothing is downloaded. Tensors go from the file straight to the device, so loading needs no second copy.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.overrides import TorchFunctionMode

from agentkit.errors import LocalModelError
from agentkit.local_models.config import LlamaConfig
from agentkit.local_models.model import Llama

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_HEAD = "lm_head.weight"


def load_model(folder: Path, *, device: str = "cpu", dtype: torch.dtype | None = None) -> Llama:
    """Load the model of `folder` for inference.

    `dtype` defaults to float32 on CPU and to the stored type elsewhere. Raises LocalModelError when files or
    tensors are missing, unexpected, unreadable or of another shape than config.json says.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise LocalModelError(f"device {device!r} is asked but torch sees no GPU; use 'cpu' or 'auto'")
    config = LlamaConfig.from_folder(folder)
    with _Uninitialised():
        model = Llama(config)
    dtype = torch.float32 if dtype is None and device == "cpu" else dtype
    tensors = {name: tensor.to(dtype) for name, tensor in _read_tensors(folder, device)}
    if config.tie_word_embeddings:
        tensors.pop(_HEAD, None)
    _check(folder, model, tensors)
    model.load_state_dict(tensors, strict=False, assign=True)
    if config.tie_word_embeddings:
        model.lm_head.weight = model.model.embed_tokens.weight
    return model.to(device).requires_grad_(False).eval()  # moves what is computed rather than stored


def save_folder(folder: Path, model: Llama, *, dtype: torch.dtype = torch.float32) -> None:
    """Write config.json and model.safetensors, weights as `dtype`; the folder is made if needed."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: tensor.detach().to("cpu", dtype, copy=True).contiguous()
        for name, tensor in model.state_dict().items()
        if not (model.config.tie_word_embeddings and name == _HEAD)
    }
    save_file(tensors, folder / _SINGLE, metadata={"format": "pt"})
    config = {**model.config.to_mapping(), "dtype": str(dtype).removeprefix("torch.")}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


class _Uninitialised(TorchFunctionMode):
    """Leaves out the random start of modules, so memory is not even touched before the weights arrive.

    The meta device would do the same, but its first use imports torch's compiler, which takes seconds.
    """

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(function, "__module__", "") == "torch.nn.init":
            return (kwargs or {}).get("tensor")
        return function(*args, **(kwargs or {}))


def _read_tensors(folder: Path, device: str) -> Iterator[tuple[str, Tensor]]:
    for path in _files(folder):
        try:
            with safe_open(path, framework="pt", device=device) as file:
                for name in file.keys():
                    if not name.endswith("rotary_emb.inv_freq"):  # old checkpoints store what is computed
                        yield name, file.get_tensor(name)
        except FileNotFoundError:
            raise LocalModelError(f"{str(path)!r} is absent; fetch every weight file of the model") from None
        except (OSError, SafetensorError) as error:
            raise LocalModelError(f"{str(path)!r} cannot be read ({error}); fetch the file again") from error


def _files(folder: Path) -> list[Path]:
    index = folder / _INDEX
    if not index.exists():
        return [folder / _SINGLE]
    try:
        weight_map: Mapping[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return [folder / Path(name).name for name in sorted(set(weight_map.values()))]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise LocalModelError(
            f"{str(index)!r} is not an index of weight files ({error!r}); fetch it again"
        ) from error


def _check(folder: Path, model: Llama, tensors: Mapping[str, Tensor]) -> None:
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        del wanted[_HEAD]
    problems = [f"{name} is missing" for name in wanted if name not in tensors]
    problems += [f"{name} is not part of this architecture" for name in tensors if name not in wanted]
    problems += [
        f"{name} has shape {tuple(tensor.shape)} instead of {wanted[name]}"
        for name, tensor in tensors.items()
        if name in wanted and tuple(tensor.shape) != wanted[name]
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise LocalModelError(
            f"the weights in {str(folder)!r} do not match its config.json: {'; '.join(problems[:3])}{more}; "
            "take both from the same checkpoint"
        )
