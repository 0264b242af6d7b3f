"""Real, tiny model folders in Hugging Face format, made in a fraction of a second."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from agentkit.local_models.config import LlamaConfig
from agentkit.local_models.model import Llama
from agentkit.local_models.weights import save_folder

SPECIAL = ("<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<tool_call>", "</tool_call>")
TEMPLATE = """\
{%- if tools %}
    {{- bos_token + '<|system|># Tools' }}
    {%- for tool in tools %}
        {{- '\\n' + (tool | tojson) }}
    {%- endfor %}
    {{- '<|end|>' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {%- generation %}
        {{- '<|assistant|>' + message.content }}
        {%- for call in message.tool_calls or [] %}
            {%- set arguments = call.function.arguments %}
            {{- '<tool_call>{"name": "' + call.function.name + '", "arguments": ' }}
            {{- (arguments if arguments is string else arguments | tojson) + '}</tool_call>' }}
        {%- endfor %}
        {{- eos_token }}
        {%- endgeneration %}
    {%- elif message.role == 'tool' %}
        {{- '<|tool|>' + message.name + ': ' + message.content + '<|end|>' }}
    {%- elif message.role == 'user' and message.content == 'forbidden' %}
        {{- raise_exception('not in this house') }}
    {%- else %}
        {{- '<|' + message.role + '|>' + message.content + '<|end|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|>' }}
{%- endif %}
"""


def tiny_tokenizer(pieces: Sequence[str] = ()) -> Tokenizer:
    """Learn a byte-level BPE of 300 tokens; each of `pieces` is one more token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=[AddedToken(token, special=True) for token in SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the cat sat on the mat, naïve café, {'name': 'look'}"] * 20, trainer)
    tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in pieces])
    return tokenizer


def tiny_config(vocab_size: int, **changes: object) -> LlamaConfig:
    """Return a two-layer shape with grouped queries; `changes` override its fields."""
    shape = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 1024,
        "eos_token_ids": (0,),
    }
    return LlamaConfig(vocab_size=vocab_size, **(shape | changes))  # type: ignore[arg-type]  # fields by name


def random_model(config: LlamaConfig, seed: int = 0) -> Llama:
    """Return a model with weights so large (0.2) that a wrong mask or position shows in its logits."""
    torch.manual_seed(seed)
    model = Llama(config).requires_grad_(False).eval()
    for parameter in model.parameters():
        if parameter.dim() == 2:
            parameter.normal_(0.0, 0.2)
        else:
            parameter.uniform_(0.5, 1.5)
    return model


def parrot_model(tokenizer: Tokenizer, script: Sequence[str]) -> Llama:
    """Return a model that says `script` after <|assistant|>; each of its pieces must be one distinct token.

    Nothing mixes positions: embeddings are one-hot and the head maps each token to the next one of the script.
    """
    size = tokenizer.get_vocab_size()
    config = tiny_config(size, hidden_size=size, num_hidden_layers=1, tie_word_embeddings=False)
    model = random_model(config)
    layer = model.model.layers[0]
    layer.self_attn.o_proj.weight.zero_()  # type: ignore[union-attr, operator]  # a ModuleList is untyped
    layer.mlp.down_proj.weight.zero_()  # type: ignore[union-attr, operator]  # a ModuleList is untyped
    model.model.embed_tokens.weight.copy_(torch.eye(size))
    model.lm_head.weight.zero_()
    tokens = ["<|assistant|>", *script]
    for before, after in zip(tokens, tokens[1:], strict=False):
        model.lm_head.weight[tokenizer.token_to_id(after), tokenizer.token_to_id(before)] = 1.0
    return model


def write_folder(folder: Path, model: Llama, tokenizer: Tokenizer) -> Path:
    """Write a complete Hugging Face folder; return it."""
    save_folder(folder, model)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    names = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|end|>",
        "eos_token": {"__type": "AddedToken", "content": "<|end|>"},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(names), encoding="utf-8")
    return folder
