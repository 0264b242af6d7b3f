"""What fitting leaves behind: one safetensors file with the arrays, and JSON in its header with all the rest.

The header (key `agentkit` of the file's metadata) has the format's version, the hash of each table it was fitted
on, which heads were chosen and why, and the calibration report. Loading executes nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentkit.errors import ConfigError, MissingExtra
from agentkit.routers.base import Router
from agentkit.routers.best_of import BestOfRouter
from agentkit.routers.learning import Learner, LearningEstimator, Lessons
from agentkit.routers.lessons import Verdict, read_lessons
from agentkit.routers.mixed import MixedRouter
from agentkit.routers.preferences import Preferences
from agentkit.routers.rules import RuleRouter
from agentkit.routers.shadow_price import ShadowPriceRouter
from agentkit.routers.utility import UtilityRouter
from agentkit.routers.votes import VoteRouter

if TYPE_CHECKING:
    from agentkit.routers.estimators import Choice, FittedEstimator
    from agentkit.routers.estimators.forecast import Forecast
    from agentkit.routers.estimators.reliability import Reliability
    from agentkit.routers.estimators.verified import Cascade

FORMAT = "agentkit-router"
VERSION = 2


@dataclass(frozen=True, slots=True)
class Artefact:
    """A fitted estimator, how it was chosen, how far it can be believed, and the SHA-256 of its tables by name.

    `forecast` are held-out predictions of training queries, for streams. `lessons` are what was learnt after
    fitting, if anything was: the routers that are made of it go by them.
    """

    estimator: FittedEstimator
    choice: Choice
    reliability: Reliability
    tables: Mapping[str, str]
    forecast: Forecast
    cascade: Cascade | None = None
    lessons: Lessons = field(default_factory=Lessons)
    _learning: LearningEstimator = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_learning", LearningEstimator(self.estimator, self.lessons))

    @property
    def curve(self) -> tuple[tuple[float, float, float], ...]:
        """Quality per dollar, dollars per query and quality by setting of the knob, held out."""
        return self.cascade.curve if self.cascade else self.choice.curve

    @property
    def voters(self) -> frozenset[str]:
        """The models whose votes on replies it was fitted on (`SelfVerifyingRouter`)."""
        return frozenset(self.cascade.estimator.verifier.voted) if self.cascade else frozenset()

    def router(
        self,
        quality_per_usd: float | None = None,
        *,
        spend: float | None = None,
        preferences: Preferences | None = None,
    ) -> Router:
        """Return the router at a setting of its knob: the quality, 0 to 1, that a dollar saved is worth.

        Or give the dollars it may `spend` per query on average. By default it may spend what the best single model
        does, and where a gain on that model is not certain it calls that model. `preferences` have the price of
        time and the constraints; with them it is never that model alone.

        It is cascade routing where fitting found that certain to add to choosing once, else utility routing.
        Raises ConfigError for a setting below 0, for both, and for a limit of seconds where no latency is known.
        """
        if quality_per_usd is not None and spend is not None:
            raise ConfigError("a router takes one of quality_per_usd and spend, not both")
        for name, value in (("quality_per_usd", quality_per_usd), ("spend", spend)):
            if value is not None and not value >= 0:
                raise ConfigError(f"{name} must be 0 or more, not {value!r}")
        if preferences is not None and preferences.seconds is not None and "latency" not in self.estimator.amounts:
            raise ConfigError(
                "a limit of seconds takes latencies, and this artefact has none; fit it on a table with latency_s"
            )
        cascade = self._learning_cascade()
        if cascade and quality_per_usd is not None:
            return cascade.router(quality_per_usd, preferences)
        choose_once = partial(UtilityRouter, self._learning, preferences=preferences)
        if quality_per_usd is not None:
            return choose_once(quality_per_usd)
        if cascade and (spend is not None or cascade.over_best[0] > 0):
            return cascade.spending(self.choice.best_single[0] if spend is None else spend, preferences)
        if spend is None and not self.choice.routes and preferences is None:
            best = self.choice.best_model
            known = (model for model in self.estimator.models if model != best)
            return RuleRouter([best, *known], others=True)
        dear, cheap, share = self.choice.mix(self.choice.best_single[0] if spend is None else spend)
        first = choose_once(dear)
        return first if share >= 1 else MixedRouter(first, choose_once(cheap), share)

    def stream(self, expected: int | None = None, *, preferences: Preferences | None = None) -> ShadowPriceRouter:
        """Return a router for `expected` queries under one hard budget in dollars, that of the scope it runs in.

        Without a number it saves for many more than it has seen. It counts the queries: make one for each stream.
        Raises ConfigError for a number below 1.
        """
        if expected is not None and not expected >= 1:
            raise ConfigError(f"a stream expects 1 query or more, not {expected!r}")
        return ShadowPriceRouter(
            partial(self.router, preferences=preferences),
            self._learning,
            expected=expected,
            forecast=self.forecast.options(self.estimator.models),
            spends=[(rate, spend) for rate, spend, _ in self.cascade.curve] if self.cascade else (),
        )

    def vote(self, panel: Sequence[str]) -> VoteRouter:
        """Return the router that has the models of `panel` vote, each with the log odds of its being right."""
        return VoteRouter(panel, self._learning)

    def best_of(self, panel: Sequence[str]) -> BestOfRouter:
        """Return the router that asks all of `panel` and takes the reply believed in most.

        Raises ConfigError for an artefact without a verifier of replies.
        """
        cascade = self._learning_cascade()
        if cascade is None:
            raise ConfigError("this artefact has no verifier; fit one on tables that keep replies, where it pays")
        return BestOfRouter(panel, cascade.estimator, judges_calls=cascade.estimator.verifier.calls)

    def learner(self, verdict: Verdict | None = None) -> Learner:
        """Return a trace sink that has this artefact's routers learn from runs, now and once it is saved.

        Without a `verdict` on answers it learns what runs use, and nothing of quality.
        """
        return Learner(self._learning, verdict)

    def learn(self, *traces: str | Path, verdict: Verdict | None = None) -> int:
        """Learn from the runs of trace files that began after those known; returns how many lessons they gave.

        Raises TableError with the line that is no event.
        """
        known = self.lessons.until
        lessons = [lesson for trace in traces for lesson in read_lessons(trace, verdict) if lesson.time > known]
        return self._learning.learn(lessons)

    def summary(self) -> str:
        """Say in a sentence what was fitted, whether routing pays, and how far the estimates can be believed."""
        models, pairs = len(self.estimator.models), self.reliability.pairs
        low, high = self.choice.gain
        if len(self.choice.areas) == 1:
            pays = f"heads as asked for, {' + '.join(self.choice.heads)}"
        elif low <= 0:
            pays = "the text does not certainly say which model is good at what: routed by price and difficulty"
        else:
            pays = f"routing by {' + '.join(self.choice.heads)} adds {low:.4f} to {high:.4f} of held-out hull area"
        if self.cascade:
            pays += "; judging replies adds {:.4f} to {:.4f} to that".format(*self.cascade.gain)
        return (
            f"{models} models, {self.estimator.samples:,} queries: {pays}; "
            f"calibration error {self.reliability.ece_debiased:.3f}, {self.reliability.told} "
            f"({pairs:,} pairs, held out)"
        )

    def _learning_cascade(self) -> Cascade | None:
        """Return the cascade with priors that learn; its verifier stays as it was fitted."""
        if self.cascade is None:
            return None
        learning = LearningEstimator(self.cascade.estimator.base, self.lessons)
        return self.cascade.over(learning)

    def save(self, path: str | Path) -> None:
        """Write the artefact; a file of that name is replaced at once or not at all."""
        try:
            from safetensors.numpy import save_file
        except ModuleNotFoundError as error:
            raise MissingExtra("routing", error.name or "safetensors") from error
        from agentkit.routers.estimators.state import dump

        arrays, plain = dump(self.estimator)
        more, cascade = self.cascade.dump() if self.cascade else ({}, None)
        header = {
            "format": FORMAT,
            "version": VERSION,
            "estimator": plain,
            "choice": asdict(self.choice),
            "reliability": asdict(self.reliability),
            "tables": dict(self.tables),
            "cascade": cascade,
            "lessons": self.lessons.plain,
        }
        path = Path(path)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            save_file(arrays | more | self.forecast.dump(), draft, metadata={"agentkit": json.dumps(header)})
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


def load(path: str | Path) -> Artefact:
    """Read an artefact; raises ConfigError when it is none, one of another version, or damaged."""
    try:
        from safetensors import SafetensorError, safe_open

        from agentkit.routers.estimators import Choice
        from agentkit.routers.estimators.forecast import Forecast
        from agentkit.routers.estimators.reliability import Reliability
        from agentkit.routers.estimators.state import restore
        from agentkit.routers.estimators.verified import Cascade
    except ModuleNotFoundError as error:
        raise MissingExtra("routing", error.name or "safetensors") from error
    try:
        with safe_open(path, "numpy") as file:
            header = _header(file.metadata(), path)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # it is no mapping
        artefact = Artefact(
            estimator=restore(arrays, header["estimator"]),
            choice=Choice.of(header["choice"]),
            reliability=Reliability(**header["reliability"]),
            tables=header["tables"],
            forecast=Forecast.restore(arrays),
            cascade=Cascade.restore(arrays, header["cascade"]) if header["cascade"] else None,
            lessons=Lessons.of(header["lessons"]) if "lessons" in header else Lessons(),
        )
        artefact.router(spend=0.0)  # a curve without points is found now and not in a run
    except FileNotFoundError as error:
        raise ConfigError(
            f"artefact {path} does not exist; make it: agentkit eval fit TABLE --out {path}"
        ) from error
    except (SafetensorError, OSError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ConfigError(f"artefact {path} cannot be read ({error}); fit it again") from error
    return artefact


def _header(metadata: Mapping[str, str] | None, path: str | Path) -> Mapping[str, Any]:
    header: dict[str, Any] = json.loads((metadata or {}).get("agentkit", "{}"))
    if header.get("format") != FORMAT:
        raise ConfigError(f"{path} is no router artefact; make one with: agentkit eval fit TABLE --out FILE")
    if header["version"] != VERSION:
        raise ConfigError(
            f"artefact {path} has version {header['version']}, this agentkit reads {VERSION}; fit it again"
        )
    return header
