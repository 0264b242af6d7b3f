"""Vector search: FAISS and NumPy agree, and both with the definition."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from agentkit import vectors
from agentkit.errors import ConfigError
from agentkit.vectors import ExactIndex, Kind, open_index

Unit = NDArray[np.float32]

KINDS: tuple[Kind, ...] = ("numpy", "faiss-cpu")


def unit(count: int, seed: int, size: int = 8) -> Unit:
    drawn = np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("kind", KINDS)
@given(count=st.integers(1, 40), k=st.integers(1, 50), seed=st.integers(0, 2**16))
def test_search_returns_the_largest_inner_products_in_order(kind: Kind, count: int, k: int, seed: int) -> None:
    if kind not in vectors.probe():
        pytest.skip("FAISS is not installed")
    stored, asked = unit(count, seed), unit(3, seed + 1)
    scores, places = open_index(stored, kind).search(asked, k)
    expected = np.sort(asked @ stored.T, axis=1)[:, ::-1][:, :k]
    assert scores.shape == places.shape == (3, min(k, count))
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(asked @ stored.T, places, axis=1), scores, atol=1e-5)


def test_an_empty_index_finds_nothing() -> None:
    scores, places = open_index(unit(0, 0)).search(unit(2, 1), 3)
    assert scores.shape == places.shape == (2, 0)


@pytest.mark.parametrize("count", [5, 40])
@pytest.mark.parametrize("seed", range(4))
def test_ties_go_to_the_first_whatever_the_last_bits_of_a_product_are(count: int, seed: int) -> None:
    same = np.repeat(unit(1, seed), count, axis=0)
    assert open_index(same).search(same[:1], 3)[1].tolist() == [[0, 1, 2]]


def test_faiss_serves_large_sets_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    if "faiss-cpu" not in vectors.probe():
        pytest.skip("FAISS is not installed")
    monkeypatch.setattr(vectors, "LARGE", 10)
    assert isinstance(open_index(unit(10, 0)), vectors.FaissIndex)
    assert isinstance(open_index(unit(9, 0)), vectors.ExactIndex)


class OnGpu:
    """What FAISS gives back for an index that was put on a GPU; searches as an exact one."""

    def __init__(self, resources: object, device: int, index: FlatIndex) -> None:
        assert (resources, device) == ("resources", 0)
        self.size, self.found = index.size, ExactIndex(unit(0, 0))

    def add(self, stored: Unit) -> None:
        assert stored.shape[1] == self.size
        self.found = ExactIndex(stored)

    def search(self, queries: Unit, k: int) -> tuple[Unit, NDArray[np.int64]]:
        return self.found.search(queries, k)


class FlatIndex:
    """An index that has not been put on a GPU, which nobody should fill."""

    def __init__(self, size: int) -> None:
        self.size = size


def test_with_a_gpu_faiss_puts_large_sets_there(monkeypatch: pytest.MonkeyPatch) -> None:
    faiss = SimpleNamespace(
        get_num_gpus=lambda: 1,
        StandardGpuResources=lambda: "resources",
        IndexFlatIP=FlatIndex,
        index_cpu_to_gpu=OnGpu,
    )
    monkeypatch.setitem(sys.modules, "faiss", faiss)
    monkeypatch.setattr(vectors, "find_spec", lambda name: faiss)
    monkeypatch.setattr(vectors, "LARGE", 10)
    assert vectors.probe() == ("numpy", "faiss-cpu", "faiss-gpu")
    stored, asked = unit(12, 0), unit(2, 1)
    scores, places = open_index(stored).search(asked, 3)
    expected = ExactIndex(stored).search(asked, 3)
    np.testing.assert_array_equal(places, expected[1])
    np.testing.assert_allclose(scores, expected[0])


def test_a_gpu_that_is_not_there_is_refused() -> None:
    if vectors.probe()[-1] != "faiss-cpu":
        pytest.skip("FAISS is not installed, or there is a GPU")
    with pytest.raises(ConfigError, match="faiss-cpu"):
        open_index(unit(3, 0), "faiss-gpu")
