"""Folders that most tests of local models share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.local_models.tiny import parrot_model, random_model, tiny_config, tiny_tokenizer, write_folder

CALL = ('{"name": "look", ', '"arguments": {"id": 7}}')
SCRIPT = ("Let me look.", "<tool_call>", *CALL, "</tool_call>", "<|end|>")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def random_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights: it babbles, and every position matters."""
    tokenizer = tiny_tokenizer()
    model = random_model(tiny_config(tokenizer.get_vocab_size()))
    return write_folder(tmp_path_factory.mktemp("random"), model, tokenizer)


@pytest.fixture(scope="session")
def parrot_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that says one sentence and makes one tool call, always."""
    tokenizer = tiny_tokenizer([SCRIPT[0], *CALL])
    return write_folder(tmp_path_factory.mktemp("parrot"), parrot_model(tokenizer, SCRIPT), tokenizer)
