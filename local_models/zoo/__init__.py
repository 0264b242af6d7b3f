"""The embedded models: `pico` and `nano`, checkpoints in Hugging Face format that ship with the package.

Trained by this package's own code (`agentkit zoo train NAME`) on the order desk; each folder has a model card with
its seed, tokens, checksum and results.
"""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path

from agentkit.types import ModelCard
from agentkit.usage import Price

_FOLDER = Path(__file__).parent

CARDS = {
    "pico": ModelCard(
        "pico",
        backend="local",
        model="pico",
        price=Price(Decimal("0.02"), Decimal("0.06"), cache_read=Decimal("0.002")),
        context_window=4096,
        max_output_tokens=512,
        quality=0.90,
    ),
    "nano": ModelCard(
        "nano",
        backend="local",
        model="nano",
        price=Price(Decimal("0.10"), Decimal("0.30"), cache_read=Decimal("0.01")),
        context_window=4096,
        max_output_tokens=512,
        quality=0.99,
    ),
}
"""What routers know of each model; the prices are set so that the choice between them is a real one."""


def folder(name: str) -> Path:
    """Return where the checkpoint of `name` lies."""
    return _FOLDER / name


def random_copy(name: str, target: Path, *, seed: int) -> Path:
    """Write the model `name` with random weights below `target` and return the folder: what chance achieves."""
    import torch  # the zoo's cards are read without it

    from agentkit.local_models.weights import load_model, save_folder

    copy = target / f"{name}-random"
    shutil.copytree(folder(name), copy)
    torch.manual_seed(seed)
    model = load_model(copy)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    save_folder(copy, model)
    return copy
