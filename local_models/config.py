"""Shape of a Llama-family decoder, read from and written to a Hugging Face `config.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentkit.errors import LocalModelError


@dataclass(frozen=True, slots=True)
class RopeScaling:
    """Llama 3 frequency scaling: long wavelengths are stretched by `factor`, short ones kept."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: int


@dataclass(frozen=True, slots=True)
class LlamaConfig:
    """Hyper-parameters by their Hugging Face names; sizes count elements."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int = 2048
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10_000.0
    rope_scaling: RopeScaling | None = None
    tie_word_embeddings: bool = True
    eos_token_ids: tuple[int, ...] = ()

    @classmethod
    def from_folder(cls, folder: Path) -> LlamaConfig:
        """Read `folder/config.json`; raises LocalModelError when absent or not a Llama."""
        path = folder / "config.json"
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise LocalModelError(
                f"{str(path)!r} cannot be read as JSON ({error}); give a Hugging Face folder"
            ) from error
        if raw.get("model_type") != "llama":
            raise LocalModelError(
                f"{str(path)!r} is of model_type {raw.get('model_type')!r}; only 'llama' can be loaded"
            )
        for unsupported in ("attention_bias", "mlp_bias"):
            if raw.get(unsupported):
                raise LocalModelError(
                    f"{str(path)!r} sets {unsupported}, which is not supported; use a model without it"
                )
        try:
            return cls._from_mapping(raw)
        except KeyError as error:
            raise LocalModelError(f"{str(path)!r} lacks {error}; it is not a complete Llama config") from error

    def to_mapping(self) -> dict[str, Any]:
        """Return the content of config.json."""
        eos: int | list[int] | None = None
        if self.eos_token_ids:
            eos = self.eos_token_ids[0] if len(self.eos_token_ids) == 1 else list(self.eos_token_ids)
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "max_position_embeddings": self.max_position_embeddings,
            "rms_norm_eps": self.rms_norm_eps,
            "rope_parameters": self._rope_parameters(),
            "rope_theta": self.rope_theta,
            "tie_word_embeddings": self.tie_word_embeddings,
            "attention_bias": False,
            "mlp_bias": False,
            "eos_token_id": eos,
            "dtype": "float32",
        }

    @classmethod
    def _from_mapping(cls, raw: Mapping[str, Any]) -> LlamaConfig:
        heads = raw["num_attention_heads"]
        eos = raw.get("eos_token_id")
        rope = raw.get("rope_parameters") or raw.get("rope_scaling") or {}
        return cls(
            vocab_size=raw["vocab_size"],
            hidden_size=raw["hidden_size"],
            intermediate_size=raw["intermediate_size"],
            num_hidden_layers=raw["num_hidden_layers"],
            num_attention_heads=heads,
            num_key_value_heads=raw.get("num_key_value_heads") or heads,
            head_dim=raw.get("head_dim") or raw["hidden_size"] // heads,
            max_position_embeddings=raw.get("max_position_embeddings", 2048),
            rms_norm_eps=raw.get("rms_norm_eps", 1e-6),
            rope_theta=rope.get("rope_theta") or raw.get("rope_theta", 10_000.0),
            rope_scaling=_rope_scaling(rope),
            tie_word_embeddings=raw.get("tie_word_embeddings", False),
            eos_token_ids=tuple(eos) if isinstance(eos, list) else () if eos is None else (eos,),
        )

    def _rope_parameters(self) -> dict[str, Any]:
        if self.rope_scaling is None:
            return {"rope_type": "default", "rope_theta": self.rope_theta}
        scaling = self.rope_scaling
        return {
            "rope_type": "llama3",
            "rope_theta": self.rope_theta,
            "factor": scaling.factor,
            "low_freq_factor": scaling.low_freq_factor,
            "high_freq_factor": scaling.high_freq_factor,
            "original_max_position_embeddings": scaling.original_max_position_embeddings,
        }


def _rope_scaling(raw: Mapping[str, Any]) -> RopeScaling | None:
    kind = raw.get("rope_type") or raw.get("type") or "default"
    if kind == "default":
        return None
    if kind != "llama3":
        raise LocalModelError(f"rope scaling {kind!r} is not supported; 'default' and 'llama3' are")
    return RopeScaling(
        factor=float(raw["factor"]),
        low_freq_factor=float(raw["low_freq_factor"]),
        high_freq_factor=float(raw["high_freq_factor"]),
        original_max_position_embeddings=int(raw["original_max_position_embeddings"]),
    )
