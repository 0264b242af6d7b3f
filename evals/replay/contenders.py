"""The routers a replay knows by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import numpy as np

from agentkit.errors import ConfigError
from agentkit.evals.baselines import Contender, Ladder, frugalgpt, head, routellm
from agentkit.evals.baselines.automix import automix
from agentkit.evals.baselines.cascades import value_cascade
from agentkit.evals.baselines.eero import eero
from agentkit.evals.baselines.streams import stream
from agentkit.evals.baselines.tiers import tiers
from agentkit.evals.baselines.votes import panels
from agentkit.routers import RuleRouter
from agentkit.routers.estimators import OutcomeTable
from agentkit.routers.fit import fit


def default(table: OutcomeTable) -> Ladder:
    """Return the router a user gets from `routers.fit`, at every setting of its knob."""
    artefact = fit(table)
    curve = artefact.curve
    routers = tuple(artefact.router(rate) for rate, _, _ in curve)
    return Ladder(
        routers,
        tuple(spend for _, spend, _ in curve),
        artefact.estimator,
        stream=lambda budget, queries: artefact.stream(queries),
        usual=artefact.router(),
    )


def rules(table: OutcomeTable) -> Ladder:
    """Return the router a user gets without an artefact: cheapest first, up when a reply does not validate."""
    cost = np.nan_to_num(table.cost).mean(axis=0)
    return Ladder((RuleRouter([table.models[m] for m in cost.argsort()]),), (float(cost.min()),))


CONTENDERS: Mapping[str, Contender] = {
    "default": default,
    "rules": rules,
    "linear": head("linear"),
    "knn": head("neighbours"),
    "cluster": head("clusters"),
    "mf": head("factors"),
    "constant": head("constant"),
    "routellm": routellm,
    "frugalgpt": frugalgpt,
    "value-cascade": value_cascade,
    "tiers": tiers,
    "automix": automix(pomdp=True),
    "automix-threshold": automix(pomdp=False),
    "eero": eero,
    "votes": panels("vote"),
    "weighted-votes": panels("weighted vote"),
    "best-of": panels("verifier"),
    "shadow-price": stream(),
    "greedy": stream(greedy=True),
}
"""What `--routers` may name."""


def contenders(names: Sequence[str]) -> dict[str, Contender]:
    """Return the contenders of these names; raises ConfigError for one that does not exist, and for none."""
    if not names:
        raise ConfigError(f"a replay takes one router or more; there are {', '.join(CONTENDERS)}")
    for name in names:
        if name not in CONTENDERS:
            close = get_close_matches(name, CONTENDERS, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(CONTENDERS)}"
            raise ConfigError(f"there is no router {name!r} to replay; {hint}")
    return {name: CONTENDERS[name] for name in names}
