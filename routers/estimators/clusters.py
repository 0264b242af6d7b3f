"""Each cluster's mean score by model (Avengers, arXiv 2505.19797): k-means on unit features, then a soft average.

    ŷ(x) = Σ_{c ∈ top(x)} w_c(x) ȳ_c,   w_c ∝ exp(−β‖u − μ_c‖),   ȳ_c = (Σ_{i ∈ c} y_i + κȳ) / (n_c + κ)

over the three nearest centres. κ pseudo-observations of the overall mean keep small clusters honest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentkit.routers.estimators.heads import Fit, fill
from agentkit.routers.estimators.table import Floats

CLUSTERS = 48
SHARPNESS = 9.0  # β
NEAREST = 3
_PRIOR = 8.0  # κ
_LEAST_IN_CLUSTER = 12


@dataclass(frozen=True, slots=True)
class Clusters:
    """Centres (clusters, d) and smoothed mean scores (clusters, models)."""

    centres: Floats
    means: Floats

    @classmethod
    def fit(cls, features: Floats, scores: Floats, *, clusters: int = CLUSTERS, seed: int = 0) -> Fit:
        """Fit on `scores`, shape (queries, models), NaN where unknown; needs scikit-learn."""
        from sklearn.cluster import MiniBatchKMeans

        full, units = fill(scores), _unit(features)
        count = max(1, min(clusters, len(full) // _LEAST_IN_CLUSTER))
        groups = MiniBatchKMeans(count, n_init=3, batch_size=2_048, random_state=seed).fit(units)
        centres = np.asarray(groups.cluster_centers_, dtype=np.float64)
        label, mean = groups.labels_, full.mean(axis=0)
        sums = np.zeros((count, full.shape[1]))
        np.add.at(sums, label, full)
        sizes = np.bincount(label, minlength=count)[:, None]
        means = (sums + _PRIOR * mean) / (sizes + _PRIOR)
        weights = _weights(units, centres)
        own = np.arange(len(full)), label
        # without the query itself its own cluster has another mean; the other clusters do not know it
        without = (sums[label] - full + _PRIOR * mean) / (sizes[label] - 1 + _PRIOR)
        held_out = weights @ means + weights[own][:, None] * (without - means[label])
        return Fit(cls(centres, means), held_out)

    def predict(self, features: Floats) -> Floats:
        """Return the soft average of the nearest clusters."""
        return _weights(_unit(features), self.centres) @ self.means


def _unit(features: Floats) -> Floats:
    units: Floats = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    return units


def _weights(units: Floats, centres: Floats) -> Floats:
    squares = np.maximum((units**2).sum(1)[:, None] - 2 * units @ centres.T + (centres**2).sum(1), 0.0)
    distance = np.sqrt(squares)
    count = min(NEAREST, len(centres))
    edge = np.partition(distance, count - 1, axis=1)[:, count - 1 : count]
    weights = np.where(
        distance <= edge, np.exp(-SHARPNESS * (distance - distance.min(axis=1, keepdims=True))), 0.0
    )
    normal: Floats = weights / weights.sum(axis=1, keepdims=True)
    return normal
