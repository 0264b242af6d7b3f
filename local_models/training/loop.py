"""The training loop: curriculum by mastery, Muon and AdamW, checkpoints that resume exactly where they stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from agentkit.errors import LocalModelError
from agentkit.local_models.model import Llama
from agentkit.local_models.text import ChatTokenizer
from agentkit.local_models.training.batches import Batch, Batches
from agentkit.local_models.training.recipe import Recipe
from agentkit.types import Conversation


class Lessons(Protocol):
    """Source of conversations by level; the last level is the real mixture."""

    levels: int

    def draw(self, level: int) -> Conversation:
        """Return the next conversation of `level`."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training stands; `exact` is the share of assistant tokens predicted right, smoothed."""

    step: int
    tokens: int
    total_tokens: int
    level: int
    loss: float
    exact: float
    tokens_per_second: float


class Trainer:
    """Trains one recipe. Everything that decides the next step is in the checkpoint, so a resumed run goes on."""

    def __init__(
        self, recipe: Recipe, tokenizer: ChatTokenizer, lessons: Callable[[int], Lessons], device: str = "cpu"
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.model = recipe, _initialised(Llama(recipe.config())).to(device)
        self._tokenizer, self._make_lessons, self._device = tokenizer, lessons, device
        matrices = [p for name, p in self.model.named_parameters() if p.ndim == 2 and "embed" not in name]
        others = [p for name, p in self.model.named_parameters() if p.ndim != 2 or "embed" in name]
        self._optimisers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(matrices, lr=recipe.muon_rate, weight_decay=0.01),
            torch.optim.AdamW(others, lr=recipe.adam_rate, betas=(0.9, 0.98), weight_decay=0.0),
        ]
        self.step = self.tokens = self.level = 0
        self._exact = 0.0

    def run(
        self, checkpoint: Path, report: Callable[[Progress], None], *, every: int = 100, save_every: int = 500
    ) -> None:
        """Train to the end of the recipe, reporting and saving on the way."""
        while self.tokens < self.recipe.tokens:
            level, started, begun = self.level, time.monotonic(), self.tokens
            # each level and each resumption draws from its own seed, so no state of the generator has to be saved
            lessons = self._make_lessons(self.recipe.seed * 1_000_003 + self.step)
            for batch in self._batches(lessons, level):
                loss = self._learn(batch)
                if self.step % every == 0:
                    rate = (self.tokens - begun) / (time.monotonic() - started)
                    report(Progress(self.step, self.tokens, self.recipe.tokens, level, loss, self._exact, rate))
                if self.step % save_every == 0:
                    self.save(checkpoint)
                if level < lessons.levels - 1 and self._exact > self.recipe.mastery:
                    self.level, self._exact = level + 1, 0.0
                    break
                if self.tokens >= self.recipe.tokens:
                    break
        self.save(checkpoint)

    def save(self, path: Path) -> None:
        """Write a checkpoint, all or nothing."""
        state = {
            "recipe": asdict(self.recipe),
            "model": self.model.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
            "progress": (self.step, self.tokens, self.level, self._exact),
        }
        draft = path.with_suffix(".tmp")
        torch.save(state, draft)
        draft.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint; raises LocalModelError when it is of another recipe."""
        state: dict[str, Any] = torch.load(path, map_location=self._device, weights_only=True)
        if state["recipe"] != asdict(self.recipe):
            raise LocalModelError(
                f"{str(path)!r} was written by another recipe; remove it, or train without --resume"
            )
        self.model.load_state_dict(state["model"])
        for optimiser, saved in zip(self._optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step, self.tokens, self.level, self._exact = state["progress"]

    def _batches(self, lessons: Lessons, level: int) -> Batches:
        recipe = self.recipe
        return Batches(
            lambda: lessons.draw(level),
            self._tokenizer,
            tokens_per_batch=recipe.tokens_per_batch,
            context_weight=recipe.context_weight,
            seed=self.step,
        )

    def _learn(self, batch: Batch) -> float:
        inputs, targets, weights = (part.to(self._device) for part in (batch.inputs, batch.targets, batch.weights))
        logits = self.model(inputs)
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        loss: Tensor = (losses * weights.flatten()).sum() / weights.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._set_rates()
        for optimiser in self._optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        spoken = weights == 1
        exact = float((logits.argmax(-1) == targets)[spoken].float().mean())
        self._exact = exact if self._exact == 0 else 0.95 * self._exact + 0.05 * exact
        self.step += 1
        self.tokens += inputs.numel()
        return float(loss.detach())

    def _set_rates(self) -> None:
        recipe = self.recipe
        left = (recipe.tokens - self.tokens) / (recipe.tokens * recipe.decay_share)
        factor = min(1.0, (self.step + 1) / recipe.warm_up, max(left, 0.0))
        for optimiser, rate in zip(self._optimisers, (recipe.muon_rate, recipe.adam_rate), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * factor


def _initialised(model: Llama) -> Llama:
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            scale = 0.02 if "embed" in name else parameter.shape[1] ** -0.5
            torch.nn.init.normal_(parameter, std=scale)
    return model
