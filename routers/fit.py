"""Fits the router on recorded outcomes: `fit("table-folder").save("router.safetensors")`.

Outcomes come from tables, or from the traces of one's own runs, whose answers a verdict has scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agentkit.errors import ConfigError, MissingExtra
from agentkit.routers.artefact import Artefact
from agentkit.routers.lessons import Verdict

if TYPE_CHECKING:
    from agentkit.routers.estimators import OutcomeTable

Inputs = Literal["lexical", "embedded"]


def fit(
    *tables: OutcomeTable | str | Path,
    heads: Sequence[str] | None = None,
    features: Inputs = "lexical",
    verdict: Verdict | None = None,
) -> Artefact:
    """Fit on all queries of `tables`, given as tables or as their folders; models without outcomes take no part.

    A table may also be a trace file: each run then is an outcome, with the score that `verdict` gives its answer.

    `heads` are averaged; by default the best mixture is chosen, the constant included. `features` are words alone,
    or words and a sentence embedding (the `embed` extra). Where the tables keep replies or answers, cascade
    routing with a verifier of replies is fitted too, and kept where it is certain to be better than choosing once.

    Raises TableError for a table that cannot be read, ConfigError for one that is too small, MissingExtra without
    the `routing` extra.
    """
    try:
        from agentkit.routers.estimators import OutcomeTable, fit_estimator
        from agentkit.routers.estimators.embedded import EmbeddedFeatures
        from agentkit.routers.estimators.features import LexicalFeatures
        from agentkit.routers.estimators.fitting import Material
        from agentkit.routers.estimators.table import join
        from agentkit.routers.estimators.verified import fit_cascade
    except ModuleNotFoundError as error:
        raise MissingExtra("routing", error.name or "numpy") from error
    read = [table if isinstance(table, OutcomeTable) else _read(table, verdict) for table in tables]
    if not read:
        raise ConfigError("fitting takes one table of recorded outcomes or more")
    kind = EmbeddedFeatures if features == "embedded" else LexicalFeatures
    table = join(read).tried()
    material = Material.of(table, features=kind.fit)
    fitted = fit_estimator(material, heads=heads)
    return Artefact(
        estimator=fitted.estimator,
        choice=fitted.choice,
        reliability=fitted.reliability,
        tables={table.name: table.digest for table in read},
        cascade=None if heads else fit_cascade(material),
        forecast=fitted.forecast,
    )


def _read(place: str | Path, verdict: Verdict | None) -> OutcomeTable:
    from agentkit.routers.estimators import read_table
    from agentkit.routers.estimators.table_traces import read_traces

    return read_traces(place, verdict) if Path(place).is_file() else read_table(place)
