"""Training of the embedded models: tokenizer, batches, optimiser loop, checkpoints, and the folder that ships.

`train_model` is the whole of it. What is learned comes from outside as `Lessons`, so nothing here knows a domain.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tokenizers import Tokenizer

from agentkit.local_models.text import ChatTemplate, ChatTokenizer
from agentkit.local_models.training.card import write_card
from agentkit.local_models.training.folder import TEMPLATE, write_folder
from agentkit.local_models.training.loop import Lessons, Progress, Trainer
from agentkit.local_models.training.recipe import RECIPES, Recipe
from agentkit.local_models.training.tokenizer import learn_tokenizer

__all__ = ["Lessons", "Progress", "RECIPES", "Recipe", "train_model"]

_TOKENIZER_SEED = 7
_TOKENIZER_TEXTS = 6_000


def train_model(
    recipe: Recipe,
    make_lessons: Callable[[int], Lessons],
    work: Path,
    *,
    device: str,
    resume: bool,
    report: Callable[[Progress], None],
) -> Path:
    """Train `recipe` and return the folder, in Hugging Face format, below `work`.

    `make_lessons` takes a seed. With `resume` a checkpoint in `work` is gone on from; without, one there is
    replaced. Raises LocalModelError when the checkpoint is of another recipe.
    """
    work.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(recipe, make_lessons)
    trainer = Trainer(
        recipe, ChatTokenizer(tokenizer, ChatTemplate(TEMPLATE.read_text("utf-8")), ()), make_lessons, device
    )
    checkpoint = work / f"{recipe.name}.pt"
    if resume and checkpoint.exists():
        trainer.resume(checkpoint)
    trainer.run(checkpoint, report)
    folder = write_folder(work / recipe.name, trainer.model, tokenizer)
    write_card(folder, recipe, sum(part.numel() for part in trainer.model.parameters()), trainer.tokens)
    return folder


def _tokenizer(recipe: Recipe, make_lessons: Callable[[int], Lessons]) -> Tokenizer:
    """Learn the tokenizer from the real mixture; every recipe learns the same one."""
    lessons, template = make_lessons(_TOKENIZER_SEED), ChatTemplate(TEMPLATE.read_text("utf-8"))
    talks = (lessons.draw(lessons.levels - 1) for _ in range(_TOKENIZER_TEXTS))
    texts = (template.render(talk.messages, talk.tools, add_generation_prompt=False) for talk in talks)
    return learn_tokenizer(texts, recipe.vocab_size)
