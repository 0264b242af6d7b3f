"""What is trained, and how: one `Recipe` for each embedded model."""

from __future__ import annotations

from dataclasses import dataclass

from agentkit.local_models.config import LlamaConfig


@dataclass(frozen=True, slots=True)
class Recipe:
    """Shape and schedule of one model; rates are per step, `tokens` counts padded training tokens.

    Muon steps the matrices and AdamW the embeddings and norms: with AdamW alone such small models stayed on the
    plateau before copying is learned for minutes (research/local.md D1).
    """

    name: str
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    tokens: int
    vocab_size: int = 1024
    tokens_per_batch: int = 4096
    muon_rate: float = 0.01
    adam_rate: float = 3e-3
    warm_up: int = 50
    decay_share: float = 0.35
    context_weight: float = 0.05
    mastery: float = 0.92
    seed: int = 20261120

    def config(self) -> LlamaConfig:
        """Return the shape as a Llama config; token 1 ends a turn."""
        return LlamaConfig(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            intermediate_size=self.intermediate_size,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.kv_heads,
            head_dim=32,
            max_position_embeddings=4096,
            eos_token_ids=(1,),
        )


_PICO = Recipe("pico", 96, 256, layers=2, heads=3, kv_heads=1, tokens=18_000_000)
_NANO = Recipe("nano", 128, 344, layers=4, heads=4, kv_heads=2, tokens=26_000_000)
RECIPES = {"pico": _PICO, "nano": _NANO}
