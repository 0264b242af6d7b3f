"""The folder a trained model ships as: Hugging Face format, readable here and by transformers."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer

from agentkit.local_models.model import Llama
from agentkit.local_models.toolcalls import CLOSE_TAG, OPEN_TAG
from agentkit.local_models.training.tokenizer import END, SPECIAL_TOKENS
from agentkit.local_models.weights import save_folder

TEMPLATE = Path(__file__).parent.parent / "zoo" / "chat_template.jinja"
RESPONSE_TEMPLATE = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|assistant|>",
    "fields": {
        "tool_calls": {
            "open": OPEN_TAG,
            "close": CLOSE_TAG,
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": "{content}"},
        },
        "content": {"close": END, "content": "text"},
    },
}
"""How transformers reads a reply; without it `transformers serve` hands out tool calls as plain text."""


def write_folder(folder: Path, model: Llama, tokenizer: Tokenizer) -> Path:
    """Write config.json, weights, tokenizer, chat template and generation defaults; returns `folder`."""
    save_folder(folder, model, dtype=torch.bfloat16)  # half the size, and no answer changes
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(TEMPLATE.read_text("utf-8"), "utf-8")
    end = tokenizer.token_to_id(END)
    _write_json(folder / "generation_config.json", {"do_sample": False, "eos_token_id": end, "pad_token_id": 0})
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": END,
            "pad_token": SPECIAL_TOKENS[0],
            "model_max_length": model.config.max_position_embeddings,
            "clean_up_tokenization_spaces": False,
            "response_template": RESPONSE_TEMPLATE,
        },
    )
    return folder


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
