"""A Llama-architecture decoder in plain torch: RMSNorm, rotary positions, grouped-query attention, SwiGLU.

Module names follow Hugging Face (`model.layers.0.self_attn.q_proj.weight`, …), so a checkpoint loads without
renaming. The same code runs on CPU and CUDA, for training (no cache) and for inference (with one).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentkit.local_models.config import LlamaConfig, RopeScaling


class KVCache:
    """Keys and values of one sequence: per layer (2, kv_heads, capacity, head_dim), filled up to `length`."""

    def __init__(self, config: LlamaConfig, capacity: int, device: torch.device, dtype: torch.dtype) -> None:
        shape = (config.num_hidden_layers, 2, config.num_key_value_heads, capacity, config.head_dim)
        self.store = torch.empty(shape, device=device, dtype=dtype)
        self.capacity = capacity
        self.length = 0

    def append(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write (1, kv_heads, n, head_dim) at the end; return all keys and values so far."""
        end = self.length + keys.shape[2]
        self.store[layer, 0, :, self.length : end] = keys[0]
        self.store[layer, 1, :, self.length : end] = values[0]
        return self.store[layer, 0, :, :end].unsqueeze(0), self.store[layer, 1, :, :end].unsqueeze(0)


class Llama(nn.Module):
    """Token ids (batch, n) to float32 logits (batch, n, vocab)."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.config = config
        self.model = _Decoder(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    def forward(self, tokens: Tensor, cache: KVCache | None = None, last_only: bool = False) -> Tensor:
        """Run `tokens` after what `cache` holds; with `last_only` return logits of the last position alone.

        Without a cache the tokens start at position 0. With one, batch must be 1 and the cache advances by n.
        """
        hidden = self.model(tokens, cache)
        if last_only:
            hidden = hidden[:, -1:]
        logits: Tensor = self.lm_head(hidden)
        return logits.float()


class _Decoder(nn.Module):
    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList([_Layer(config, index) for index in range(config.num_hidden_layers)])
        self.norm = _RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.register_buffer("_inverse_frequencies", rope_frequencies(config), persistent=False)
        self._inverse_frequencies: Tensor

    def forward(self, tokens: Tensor, cache: KVCache | None) -> Tensor:
        start = 0 if cache is None else cache.length
        positions = torch.arange(start, start + tokens.shape[1], device=tokens.device, dtype=torch.float32)
        angles = torch.outer(positions, self._inverse_frequencies)
        angles = torch.cat((angles, angles), dim=-1)
        hidden: Tensor = self.embed_tokens(tokens)
        rotation = (angles.cos().to(hidden.dtype), angles.sin().to(hidden.dtype))
        for layer in self.layers:
            hidden = layer(hidden, rotation, cache)
        if cache is not None:
            cache.length += tokens.shape[1]
        normed: Tensor = self.norm(hidden)
        return normed


class _Layer(nn.Module):
    def __init__(self, config: LlamaConfig, index: int) -> None:
        super().__init__()
        self.self_attn = _Attention(config, index)
        self.mlp = _MLP(config)
        self.input_layernorm = _RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = _RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, hidden: Tensor, rotation: tuple[Tensor, Tensor], cache: KVCache | None) -> Tensor:
        hidden = hidden + self.self_attn(self.input_layernorm(hidden), rotation, cache)
        out: Tensor = hidden + self.mlp(self.post_attention_layernorm(hidden))
        return out


class _Attention(nn.Module):
    def __init__(self, config: LlamaConfig, index: int) -> None:
        super().__init__()
        self.index, self.head_dim = index, config.head_dim
        query_size = config.num_attention_heads * config.head_dim
        key_size = config.num_key_value_heads * config.head_dim
        self.q_proj = nn.Linear(config.hidden_size, query_size, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, key_size, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, key_size, bias=False)
        self.o_proj = nn.Linear(query_size, config.hidden_size, bias=False)

    def forward(self, hidden: Tensor, rotation: tuple[Tensor, Tensor], cache: KVCache | None) -> Tensor:
        batch, n, _ = hidden.shape
        queries = _rotate(self._heads(self.q_proj(hidden)), rotation)
        keys = _rotate(self._heads(self.k_proj(hidden)), rotation)
        values = self._heads(self.v_proj(hidden))
        mask = None
        if cache is not None:
            keys, values = cache.append(self.index, keys, values)
            if 1 < n < keys.shape[2]:  # a chunk after a prefix: causal within the chunk, all of the prefix
                mask = torch.ones(n, keys.shape[2], dtype=torch.bool, device=hidden.device).tril(keys.shape[2] - n)
        causal = mask is None and n > 1
        mixed = F.scaled_dot_product_attention(queries, keys, values, mask, is_causal=causal, enable_gqa=True)
        out: Tensor = self.o_proj(mixed.transpose(1, 2).reshape(batch, n, -1))
        return out

    def _heads(self, projected: Tensor) -> Tensor:
        batch, n, _ = projected.shape
        return projected.view(batch, n, -1, self.head_dim).transpose(1, 2)


class _MLP(nn.Module):
    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        out: Tensor = self.down_proj(F.silu(self.gate_proj(hidden)) * self.up_proj(hidden))
        return out


class _RMSNorm(nn.Module):
    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, hidden: Tensor) -> Tensor:
        wide = hidden.float()  # the mean square is taken in float32 whatever the weights' type
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * (wide * scale).to(hidden.dtype)


def rope_frequencies(config: LlamaConfig) -> Tensor:
    """Return the (head_dim / 2,) inverse frequencies, radians per position."""
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
    frequencies = 1.0 / (config.rope_theta**exponents)
    return frequencies if config.rope_scaling is None else _llama3(frequencies, config.rope_scaling)


def _llama3(frequencies: Tensor, scaling: RopeScaling) -> Tensor:
    """Stretch wavelengths above the original context, blend smoothly in between."""
    wavelengths = 2 * math.pi / frequencies
    turns = scaling.original_max_position_embeddings / wavelengths
    blend = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)
    blend = blend.clamp(0.0, 1.0)
    return (1 - blend) * frequencies / scaling.factor + blend * frequencies


def _rotate(heads: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = rotation
    first, second = heads.chunk(2, dim=-1)
    return heads * cos + torch.cat((-second, first), dim=-1) * sin
