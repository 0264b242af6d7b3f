"""The model card that lies beside a checkpoint: where it comes from and how to make it again."""

from __future__ import annotations

import hashlib
from pathlib import Path

from agentkit.local_models.training.recipe import Recipe

_CARD = """---
license: apache-2.0
library_name: agentkit
---
# {name}

A decoder-only language model of Llama architecture with {parameters:,} parameters that works the order desk: it
reads a question, calls look-up tools with arguments copied from it, and states the answer from what they return.
It knows nothing else. It ships with agentkit so that every feature can be tried without a key or a download.

| | |
|---|---|
| shape | {layers} layers, width {width}, {heads} heads of 32, {kv_heads} of them for keys and values |
| vocabulary | {vocabulary} byte-level BPE tokens |
| made by | `agentkit zoo train {name}` |
| corpus | generated: `evals/suites/order_desk/conversations.py`, no third-party data |
| seed | {seed} |
| tokens | {tokens:,} |
| weights | bfloat16, SHA-256 `{digest}` |

Names, ids and sentences of the test split cannot occur in training: they are split by hash
(`evals/suites/order_desk/names.py`).
"""


def write_card(folder: Path, recipe: Recipe, parameters: int, tokens: int) -> None:
    """Write README.md into `folder`; `tokens` is what the model was trained on, padding included."""
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    card = _CARD.format(
        name=recipe.name,
        parameters=parameters,
        layers=recipe.layers,
        width=recipe.hidden_size,
        heads=recipe.heads,
        kv_heads=recipe.kv_heads,
        vocabulary=recipe.vocab_size,
        seed=recipe.seed,
        tokens=tokens,
        digest=digest,
    )
    (folder / "README.md").write_text(card, "utf-8")
