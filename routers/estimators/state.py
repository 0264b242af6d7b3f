"""A fitted estimator as named arrays and plain values, and back: what an artefact keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from typing import Any

import numpy as np

from agentkit.routers.estimators.amounts import Amount
from agentkit.routers.estimators.average import Average
from agentkit.routers.estimators.calibration import Calibration
from agentkit.routers.estimators.clusters import Clusters
from agentkit.routers.estimators.constant import Constant
from agentkit.routers.estimators.difficulty import Difficulty
from agentkit.routers.estimators.embedded import EmbeddedFeatures
from agentkit.routers.estimators.factors import Factors
from agentkit.routers.estimators.features import LexicalFeatures
from agentkit.routers.estimators.fitted import FittedEstimator
from agentkit.routers.estimators.linear import Linear
from agentkit.routers.estimators.neighbours import Neighbours
from agentkit.routers.estimators.prior import CardPrior
from agentkit.usage import Price

_FEATURES: Mapping[str, Any] = {"lexical": LexicalFeatures, "embedded": EmbeddedFeatures}
_HEADS: Mapping[str, Any] = {
    "clusters": Clusters,
    "constant": Constant,
    "difficulty": Difficulty,
    "factors": Factors,
    "linear": Linear,
    "neighbours": Neighbours,
}

Arrays = dict[str, Any]


def dump(estimator: FittedEstimator) -> tuple[Arrays, dict[str, Any]]:
    """Return the arrays of `estimator` by name, and its plain values, fit for JSON."""
    heads = [(_name(_HEADS, head), head) for head in estimator.head.heads]
    arrays = {
        **_arrays("features", estimator.features),
        **_arrays("calibration", estimator.calibration),
        **_arrays("prior", estimator.prior),
    }
    for name, part in [*heads, *((f"amounts.{name}", amount) for name, amount in estimator.amounts.items())]:
        arrays |= _arrays(name, part)
    prices = {model: [str(price.input), str(price.output)] for model, price in estimator.prices.items()}
    plain = {
        "models": list(estimator.models),
        "features": _name(_FEATURES, estimator.features),
        "heads": [name for name, _ in heads],
        "amounts": list(estimator.amounts),
        "samples": estimator.samples,
        "prices": prices,
    }
    return arrays, plain


def restore(arrays: Mapping[str, Any], plain: Mapping[str, Any]) -> FittedEstimator:
    """Build the estimator that `dump` took apart, and try it on a text.

    Raises KeyError when something is missing, ValueError or IndexError when the arrays' shapes do not agree.
    """
    made = FittedEstimator(
        models=tuple(plain["models"]),
        features=_part(arrays, "features", _FEATURES[plain["features"]]),
        head=Average(tuple(_part(arrays, name, _HEADS[name]) for name in plain["heads"])),
        calibration=_part(arrays, "calibration", Calibration),
        prior=_part(arrays, "prior", CardPrior),
        samples=int(plain["samples"]),
        amounts={name: _part(arrays, f"amounts.{name}", Amount) for name in plain["amounts"]},
        prices={model: Price(*map(Decimal, price)) for model, price in plain["prices"].items()},
    )
    found = made.predict("")
    shapes = {getattr(found, field.name).shape for field in fields(found)}
    if shapes != {(len(made.models),)} or made.prior.line.shape != (4,):
        raise ValueError(f"its arrays are not those of {len(made.models)} models")
    return made


def _arrays(prefix: str, part: Any) -> Arrays:
    return {f"{prefix}.{field.name}": np.ascontiguousarray(getattr(part, field.name)) for field in fields(part)}


def _part(arrays: Mapping[str, Any], prefix: str, kind: Any) -> Any:
    return kind(**{field.name: arrays[f"{prefix}.{field.name}"] for field in fields(kind)})


def _name(kinds: Mapping[str, Any], part: Any) -> str:
    return next(name for name, kind in kinds.items() if isinstance(part, kind))
