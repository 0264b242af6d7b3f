"""What a query's text says about it, without a download: hashed words and the shape of the text.

Words and pairs of neighbouring words are hashed (CRC-32) into columns, weighted by TF-IDF and projected on their
leading singular directions (latent semantic analysis, Deerwester et al. 1990):

    z = [ (w / ‖w‖) · V,  s ],   w_j = (1 + ln tf_j) · ln((1 + n) / (1 + df_j)) + 1)

where V holds the first right singular vectors of the training queries and s is a dozen standardised measurements
of the text (length, digits, code, options, …). V is fitted on training queries only, without their scores.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from agentkit.routers.estimators.table import Floats

BUCKETS = 1 << 14
"""Columns that words are hashed into."""
DIRECTIONS = 160
"""Singular directions that are kept."""
LONGEST_TEXT = 6_000
"""Characters that are read: more say little about which model to ask, and cost time."""
_EXACT = 1_000  # texts, up to which the small Gram matrix is decomposed instead
_LEAST_SQUARE = 1e-9  # singular values squared below this are rounding
_SHAPE_WEIGHT = 0.25  # of a standardised measurement, beside directions of length at most 1

_TOKEN = re.compile(r"[^\W\d_]+|\d+|[^\w\s]")
_OPTION = re.compile(r"^\s*\(?[A-J][.):]", re.MULTILINE)
_CODE = re.compile(r"\b(?:def|return|class|import|function|SELECT|assert)\b|[{};]|==")


@dataclass(frozen=True, slots=True)
class LexicalFeatures:
    """The fitted projection: shapes (BUCKETS, directions), and mean and scale of the measurements."""

    projection: NDArray[np.float16]
    shape_mean: Floats
    shape_scale: Floats

    @classmethod
    def fit(cls, texts: Sequence[str], *, directions: int = DIRECTIONS, seed: int = 0) -> LexicalFeatures:
        """Fit on training texts; needs scipy and scikit-learn."""
        from scipy.sparse import csr_matrix

        rows = [_weights(text) for text in texts]
        pointers = np.cumsum([0, *(len(row) for row in rows)])
        columns = np.fromiter((column for row in rows for column in row), np.int32, pointers[-1])
        values = np.fromiter((value for row in rows for value in row.values()), np.float64, pointers[-1])
        rarity = _rarity(columns, len(texts))
        values *= rarity[columns]
        weighted = csr_matrix((values, columns, pointers), shape=(len(texts), BUCKETS))
        norms = np.sqrt(weighted.multiply(weighted).sum(axis=1)).A1
        weighted = csr_matrix((values / np.repeat(np.maximum(norms, 1e-12), np.diff(pointers)), columns, pointers))
        weighted.resize((len(texts), BUCKETS))
        right = _directions(weighted, min(directions, len(texts) - 1), seed)
        shapes = np.array([_shape(text) for text in texts])
        scale = np.maximum(shapes.std(axis=0), 1e-9) / _SHAPE_WEIGHT
        # the rarity is kept in the last column, so that the norm can be computed when serving
        projection = np.concatenate([right, rarity[:, None]], axis=1).astype(np.float16)
        return cls(projection, shapes.mean(axis=0), scale)

    def of(self, texts: Sequence[str]) -> Floats:
        """Return the features of `texts`, shape (texts, directions + measurements)."""
        return np.stack([self._of(text) for text in texts])

    def _of(self, text: str) -> Floats:
        weights = _weights(text)
        rows = self.projection[np.fromiter(weights, np.int32, len(weights))].astype(np.float32)
        values = np.fromiter(weights.values(), np.float32, len(weights)) * rows[:, -1]
        values /= max(float(np.sqrt(values @ values)), 1e-12)
        shape = (np.array(_shape(text)) - self.shape_mean) / self.shape_scale
        # far outside of what was seen in training a measurement says no more than at its edge
        return np.concatenate([values @ rows[:, :-1], np.clip(shape, -1.0, 1.0)])


def _directions(weighted: Any, count: int, seed: int) -> Floats:
    """Return the first right singular vectors of a sparse matrix as columns, exact for few rows."""
    if weighted.shape[0] > _EXACT:
        from sklearn.utils.extmath import randomized_svd

        found: Floats = randomized_svd(weighted, count, n_iter=3, random_state=seed)[2].T
        return found
    squares, left = np.linalg.eigh((weighted @ weighted.T).toarray())
    squares, left = squares[::-1][:count], left[:, ::-1][:, :count]
    right: Floats = weighted.T @ (left / np.sqrt(np.maximum(squares, 1e-12)))
    return np.where(squares > _LEAST_SQUARE, right, 0.0)


def _weights(text: str) -> dict[int, float]:
    """Return 1 + ln(count) by column, of words and of pairs of neighbours; numbers count by their length."""
    words = [
        word if not word[0].isdigit() else f"0{len(word)}" for word in _TOKEN.findall(text[:LONGEST_TEXT].lower())
    ]
    codes = [crc32(word.encode("utf-8", "surrogatepass")) for word in words]
    pairs = [(first * 31 + second) % BUCKETS for first, second in zip(codes, codes[1:], strict=False)]
    counts = Counter([code % BUCKETS for code in codes] + pairs)
    return {column: 1.0 + math.log(count) for column, count in counts.items()}


def _rarity(columns: NDArray[np.int32], texts: int) -> Floats:
    found = np.bincount(columns, minlength=BUCKETS)
    rarity: Floats = np.log((1 + texts) / (1 + found)) + 1
    return rarity


def _shape(text: str) -> tuple[float, ...]:
    """Measure the text."""
    text = text[:LONGEST_TEXT]
    size = max(len(text), 1)
    words = text.split()
    letters = sum(map(len, words))
    return (
        math.log1p(size),
        math.log1p(len(words)),
        letters / max(len(words), 1),
        sum(map(str.isdigit, text)) / size,
        sum(map(str.isupper, text)) / size,
        math.log1p(text.count("\n")),
        math.log1p(len(_OPTION.findall(text))),
        math.log1p(len(_CODE.findall(text))),
        math.log1p(text.count("\\") + text.count("$")),
        math.log1p(text.count("?")),
        math.log1p(text.count(",")),
        float(not text.isascii()),
    )
