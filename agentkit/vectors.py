"""Nearest vectors, exactly: NumPy everywhere, FAISS on CPU or GPU where it is installed.

All three give the same answer for the same vectors, so which one serves is a question of size and machine, and
`probe` asks it. Vectors are (n, d) float32 of length 1, so that the inner product is the cosine.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, Protocol

from agentkit.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Places = NDArray[np.int64]

Kind = Literal["numpy", "faiss-cpu", "faiss-gpu"]

LARGE = 200_000
"""Vectors from which FAISS is chosen unasked: below, one matrix product is as fast and adds no dependency."""


class VectorIndex(Protocol):
    """Vectors that can be searched."""

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, Places]:
        """Return scores and places of the `k` nearest, both (q, min(k, n)), best first to a millionth."""
        ...

    def scores(self, queries: Vectors) -> Vectors:
        """Return the inner product of every query with every vector, (q, n)."""
        ...


def probe() -> tuple[Kind, ...]:
    """Return the kinds that would work here, fastest last."""
    if find_spec("faiss") is None:
        return ("numpy",)
    import faiss

    gpus = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    return ("numpy", "faiss-cpu", "faiss-gpu") if gpus else ("numpy", "faiss-cpu")


def open_index(vectors: Vectors, kind: Kind | None = None) -> VectorIndex:
    """Return an index of `vectors`, (n, d) float32; without a `kind` the fastest that suits their number.

    Raises MissingExtra for a kind that is not installed, ConfigError for FAISS on a GPU that is not there.
    """
    if kind is None:
        kind = probe()[-1] if len(vectors) >= LARGE else "numpy"
    return ExactIndex(vectors) if kind == "numpy" else FaissIndex(vectors, gpu=kind == "faiss-gpu")


class ExactIndex:
    """One matrix product a search."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors

    def scores(self, queries: Vectors) -> Vectors:
        """See `VectorIndex`."""
        scores: Vectors = queries @ self._vectors.T
        return scores

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, Places]:
        """See `VectorIndex`."""
        import numpy as np

        scores, k = self.scores(queries), min(k, len(self._vectors))
        if not k:
            return scores[:, :0], np.zeros((len(queries), 0), np.int64)
        # One integer a score, in millionths, with the place in it: what rounds to the same goes by place. Some
        # processors' matrix products give equal rows different last bits.
        count = len(self._vectors)
        ranks = np.arange(count) - count * np.rint(scores * 1e6).astype(np.int64)
        places = np.argpartition(ranks, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(ranks, places, axis=1), axis=1)
        places = np.take_along_axis(places, order, axis=1)
        return np.take_along_axis(scores, places, axis=1), places


class FaissIndex:
    """A flat FAISS index of inner products: exact, and blocked for large sets; on a GPU if asked."""

    def __init__(self, vectors: Vectors, *, gpu: bool = False) -> None:
        try:
            import faiss
        except ModuleNotFoundError as error:
            raise MissingExtra("gpu" if gpu else "cpu", "faiss") from error
        self._vectors = vectors
        index: Any = faiss.IndexFlatIP(vectors.shape[1])
        if gpu:
            if not getattr(faiss, "get_num_gpus", int)():
                raise ConfigError(
                    "FAISS sees no GPU; ask for 'faiss-cpu', or install the 'gpu' extra and a driver"
                )
            index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
        index.add(vectors)
        self._index = index

    def scores(self, queries: Vectors) -> Vectors:
        """See `VectorIndex`; the matrix product itself, since all of it is wanted."""
        scores: Vectors = queries @ self._vectors.T
        return scores

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, Places]:
        """See `VectorIndex`."""
        scores, places = self._index.search(queries, min(k, len(self._vectors)))
        return scores, places
