"""How likely a reply is right once it is there, and what it says about the models that were not asked.

Three logistic regressions, on logits so that evidence adds up. With l_i the prior logit of model i on this query
and φ_i what its reply shows of itself (`agentkit.routers.signals`):

    own_i  = α_i·l_i + β_i·φ_i + γ_i                                       by model
    post_i = w·(own_i, n⁺, Σ⁺ own_j, n⁻, Σ⁻ own_j) + w_0                    pooled
    next_u = v·(l_u, mean_j(post_j − l_j), [all agree], [some differ]) + v_0   pooled

where Σ⁺ runs over the other replies whose final answer is the same and Σ⁻ over those with another one, and u is a
model that was not asked. Where a model voted on the reply (`agentkit.routers.self_verification`), and votes of its
were fitted on, own_i becomes a·own_i + b·(log odds of the votes) + c, with a, b, c by voter and model: a reply
without votes is judged as if there were none anywhere. The regressions see prefixes of random call orders of the
training queries, priors that had not seen the query, and own logits that are cross-fitted.

How far a reply will move the belief in it is kept by model, as likelihoods of six kinds of evidence. They are
those of a reply alone: that a second answer agrees with the first makes it more credible, and no better.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from operator import mul
from typing import Any

import numpy as np

from agentkit.routers.base import Estimate, Estimator, Outcome, Query
from agentkit.routers.estimators.recorded import Stage
from agentkit.routers.estimators.table import Floats, Indices, OutcomeTable
from agentkit.routers.reservation import Likelihoods, ranked
from agentkit.routers.signals import SIGNALS, final_answer, signals
from agentkit.types import ModelCard

REMEMBERED = 65_536
"""Outcomes whose signals are kept: a cascade asks about the same reply at every step."""
MOST_STATES = 4_096
"""States of one query: the same text may come again and again, each time with other outcomes."""
_KINDS = 6  # of evidence
_DEPTH = 4  # replies in the longest prefix that is fitted on
_MOST_QUERIES = 3_000  # of these a few dozen coefficients are certain enough
_PARTS = 5
_SHRINK = 20.0  # replies of the pool that each model's likelihoods start from
_EDGE = 6.0  # logits are kept within, as nothing is more certain than 1 in 400
_LEAST = 12  # replies of each kind, right and wrong, below which a model has no regression of its own


@dataclass(frozen=True, slots=True)
class Verifier:
    """Coefficients as plain numbers: `own` by model over (prior logit, *signals, 1), `post` and `next` pooled.

    `evidence` has the likelihoods by model; the name "" is the whole pool's, for models never seen. `calls` says
    that it was fitted on calls of tools, too. `voted` has by voter and model (own logit, log odds of votes, 1).
    """

    own: Mapping[str, Sequence[float]]
    post: Sequence[float]
    next: Sequence[float]
    evidence: Mapping[str, Likelihoods]
    calls: bool = False
    voted: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)

    @classmethod
    def fit(cls, table: OutcomeTable, priors: Floats, *, seed: int = 0) -> Verifier:
        """Fit on `table` with held-out `priors`, shape (queries, models)."""
        draw = np.random.default_rng(seed)
        rows = draw.permutation(np.flatnonzero(table.known.any(axis=1)))[:_MOST_QUERIES]
        table, logits = table.rows(rows), _logit(np.asarray(priors)[rows])
        outcomes = Stage.of(table).outcomes
        own, own_logits = _fit_own(table, logits, outcomes)
        known = table.known
        prefixes = [
            _Prefixes.of(table, row, np.flatnonzero(known[row]), logits, own_logits, outcomes[row], draw)
            for row in range(len(rows))
        ]
        seen = [reply for one in prefixes for step in one.seen for reply in step]
        post = _logistic(np.array([x for x, _, _ in seen]), np.array([y for _, y, _ in seen]))
        unseen = [reply for one in prefixes for reply in one.unseen(post)]
        next_ = _logistic(np.array([x for x, _ in unseen]), np.array([y for _, y in unseen]))
        moved = (own_logits - logits)[known]
        evidence = _evidence(moved, table.score[known], np.nonzero(known)[1], table.models)
        calls = any(reply.message.tool_calls for row in table.replies for reply in row.values())
        return cls(own, post.tolist(), next_.tolist(), evidence, calls, _fit_voted(table, own_logits))

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Verifier:
        """Build it from what JSON made of it; raises KeyError when something is missing."""
        calls = bool(plain.get("calls", False))
        return cls(plain["own"], plain["post"], plain["next"], plain["evidence"], calls, plain["voted"])

    @property
    def plain(self) -> dict[str, Any]:
        """The numbers, fit for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _State:
    """What is believed of a query after some outcomes: of each outcome, and of each model."""

    outcomes: tuple[Outcome, ...]
    candidates: tuple[ModelCard, ...]
    beliefs: list[float]
    estimates: Sequence[Estimate]


@dataclass(slots=True)
class VerifiedEstimator:
    """An estimator that learns from what was seen: `base` says what to expect, `verifier` what came of it.

    It remembers the states of the query it was last asked about, for a router asks twice at each step, and a
    rehearsal asks about one query at every price of quality.
    """

    base: Estimator
    verifier: Verifier
    _known: dict[int, tuple[Outcome, float, str]] = field(default_factory=dict, repr=False)
    _states: dict[tuple[int, ...], _State] = field(default_factory=dict, repr=False)
    _text: str = field(default="", repr=False)

    def estimate(
        self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome] = ()
    ) -> Sequence[Estimate]:
        """Return estimates that take the replies so far into account; for a model that replied, of its reply."""
        return self._state(query, candidates, seen).estimates

    def judge(self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome]) -> list[float]:
        """Return the probability that each outcome in `seen` is right; 0 without a reply."""
        return self._state(query, candidates, seen).beliefs

    def likelihoods(self, model: str) -> Likelihoods:
        """Return what evidence of its own a reply of `model` will show, when it is right and when it is wrong."""
        return self.verifier.evidence.get(model) or self.verifier.evidence[""]

    def _state(self, query: Query, candidates: Sequence[ModelCard], seen: Sequence[Outcome]) -> _State:
        if query.text != self._text or len(self._states) >= MOST_STATES:
            self._text, self._states = query.text, {}
        outcomes, cards, key = tuple(seen), tuple(candidates), tuple(map(id, seen))
        replies = [outcome for outcome in seen if outcome.completion]
        if not replies:
            return _State(outcomes, cards, [0.0] * len(seen), self.base.estimate(query, cards, ()))
        known = self._states.get(key)  # it holds its outcomes, so that no other can have their ids
        if known is None or known.candidates != cards:
            known = self._states[key] = self._learn(query, cards, outcomes, replies)
        return known

    def _learn(
        self, query: Query, cards: tuple[ModelCard, ...], seen: tuple[Outcome, ...], replies: Sequence[Outcome]
    ) -> _State:
        before = self.base.estimate(query, cards, ())
        prior = {card.name: _logit_of(one.quality) for card, one in zip(cards, before, strict=True)}
        posts = self._posts(query.text, prior, replies)
        by_model = {outcome.model: post for outcome, post in zip(replies, posts, strict=True)}
        surprise = sum(post - prior.get(o.model, 0.0) for o, post in zip(replies, posts, strict=True)) / len(posts)
        answers = {self._measure(query.text, outcome)[1] for outcome in replies}
        rest = _accord(len(replies), len(answers), "" in answers)
        found = []
        for card, one in zip(cards, before, strict=True):
            post = by_model.get(card.name)
            if post is None:
                post = _dot(self.verifier.next, (prior[card.name], surprise, *rest))
            found.append(replace(one, quality=_chance(post)))
        rights = iter(posts)
        return _State(seen, cards, [_chance(next(rights)) if o.completion else 0.0 for o in seen], found)

    def _posts(self, question: str, prior: Mapping[str, float], replies: Sequence[Outcome]) -> list[float]:
        owns, answers = [], []
        for outcome in replies:
            evidence, answer = self._measure(question, outcome)
            weights = self.verifier.own.get(outcome.model)
            own = prior.get(outcome.model, 0.0) * (weights[0] if weights else 1.0) + evidence
            owns.append(self._heard(outcome, min(max(own, -_EDGE), _EDGE)))
            answers.append(answer)
        return [_dot(self.verifier.post, _features(place, owns, answers)) for place in range(len(owns))]

    def _heard(self, outcome: Outcome, own: float) -> float:
        """Return the own logit with the votes on the reply taken into account."""
        votes = outcome.votes
        weights = self.verifier.voted.get(votes.by, {}).get(outcome.model) if votes else None
        if votes is None or not votes.count or weights is None:
            return own
        return min(max(_dot(weights, (own, votes.log_odds)), -_EDGE), _EDGE)

    def _measure(self, question: str, outcome: Outcome) -> tuple[float, str]:
        """Return the part of the own logit that the reply makes, and its final answer."""
        known = self._known.get(id(outcome))
        if known is None or known[0] is not outcome:
            weights = self.verifier.own.get(outcome.model)
            evidence = _dot(weights[1:], signals(outcome, question)) if weights else 0.0
            answer = final_answer(outcome.completion) if outcome.completion else ""
            if len(self._known) >= REMEMBERED:
                del self._known[next(iter(self._known))]
            known = self._known[id(outcome)] = outcome, evidence, answer
        return known[1:]


@dataclass(frozen=True, slots=True)
class _Prefixes:
    """What a random call order of one query gives to fit on: by length of its prefix, features and scores."""

    seen: list[list[tuple[list[float], float, int]]]
    asked: list[list[int]]
    accord: list[tuple[float, float]]
    logits: Floats
    scores: Floats
    models: tuple[str, ...]

    @classmethod
    def of(
        cls,
        table: OutcomeTable,
        row: int,
        able: Indices,
        logits: Floats,
        own: Floats,
        outcomes: Mapping[str, Outcome],
        draw: np.random.Generator,
    ) -> _Prefixes:
        order = draw.permutation(able)[:_DEPTH].tolist()
        replies = [outcomes[table.models[column]].completion for column in order]
        answers = [final_answer(reply) if reply else "" for reply in replies]
        seen, asked, accord = [], [], []
        for size in range(1, len(order) + 1):
            owns = [float(own[row, column]) for column in order[:size]]
            seen.append(
                [
                    (_features(place, owns, answers[:size]), float(table.score[row, order[place]]), order[place])
                    for place in range(size)
                ]
            )
            asked.append(order[:size])
            different = set(answers[:size])
            accord.append(_accord(size, len(different), "" in different))
        return cls(seen, asked, accord, logits[row], table.score[row], table.models)

    def unseen(self, post: Floats) -> list[tuple[list[float], float]]:
        """Return features and scores of the models that were not asked, after each prefix."""
        able = np.flatnonzero(~np.isnan(self.scores)).tolist()
        logits, scores = self.logits.tolist(), self.scores.tolist()
        found = []
        for step, asked, accord in zip(self.seen, self.asked, self.accord, strict=True):
            surprise = self._surprise(step, post)
            found += [([logits[m], surprise, *accord], scores[m]) for m in able if m not in asked]
        return found

    def _surprise(self, step: list[tuple[list[float], float, int]], post: Floats) -> float:
        moved = [_dot(post.tolist(), features) - float(self.logits[column]) for features, _, column in step]
        return sum(moved) / len(moved)


def _fit_own(
    table: OutcomeTable, logits: Floats, outcomes: Sequence[Mapping[str, Outcome]]
) -> tuple[dict[str, list[float]], Floats]:
    """Return the coefficients by model, and cross-fitted own logits (queries, models)."""
    found, held_out, texts = {}, np.zeros(logits.shape), table.texts
    for column, model in enumerate(table.models):
        rows = np.flatnonzero(table.known[:, column])
        shown = [signals(outcomes[row][model], texts[row]) for row in rows.tolist()]
        inputs = np.column_stack([logits[rows, column], np.reshape(shown, (-1, len(SIGNALS)))])
        scores = table.score[rows, column]
        if min(scores.sum(), (1 - scores).sum()) < _LEAST:
            found[model] = [1.0, *[0.0] * len(SIGNALS), 0.0]
            held_out[rows, column] = logits[rows, column]
            continue
        part = np.arange(len(rows)) % _PARTS
        for this in range(_PARTS):
            weights = _logistic(inputs[part != this], scores[part != this])
            held_out[rows[part == this], column] = inputs[part == this] @ weights[:-1] + weights[-1]
        found[model] = _logistic(inputs, scores).tolist()
    return found, np.clip(held_out, -_EDGE, _EDGE)


def _fit_voted(table: OutcomeTable, own: Floats) -> dict[str, dict[str, list[float]]]:
    """Return by voter and model what votes add to cross-fitted `own` logits, where there are enough of them."""
    heard: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for row, by_model in enumerate(table.votes):
        for model, voted in by_model.items():
            place = row, table.models.index(model)
            for one in voted:
                if table.known[place] and one.votes.count:
                    shown = float(own[place]), one.votes.log_odds, one.score
                    heard.setdefault((one.votes.by, model), []).append(shown)
    found: dict[str, dict[str, list[float]]] = {}
    for (by, model), rows in heard.items():
        inputs, scores = np.array(rows)[:, :2], np.array(rows)[:, 2]
        if min(scores.sum(), (1 - scores).sum()) >= _LEAST:
            found.setdefault(by, {})[model] = _logistic(inputs, scores).tolist()
    return found


def _logistic(inputs: Floats, scores: Floats) -> Floats:
    """Return coefficients and intercept over raw `inputs`; a fractional score is a success of that weight."""
    from sklearn.linear_model import LogisticRegression

    if not len(inputs):  # a pool of one model has nobody who was not asked
        return np.array([1.0, 0.0, 0.0, 0.0, 0.0])
    mean, scale = inputs.mean(axis=0), inputs.std(axis=0)
    scale = np.where(scale > 1e-9, scale, np.inf)
    standard = (inputs - mean) / scale
    weight = np.concatenate([1 - scores, scores]) + 1e-9
    outcome = np.repeat([0, 1], len(scores))
    model = LogisticRegression(C=0.3, max_iter=300).fit(np.concatenate([standard, standard]), outcome, weight)
    raw = model.coef_[0] / scale
    return np.append(raw, model.intercept_[0] - raw @ mean)


def _evidence(moved: Floats, scores: Floats, columns: Any, models: Sequence[str]) -> dict[str, Likelihoods]:
    """Return by model how often moves of each size come with a right reply and with a wrong one."""
    kind = np.searchsorted(np.quantile(moved, np.linspace(0, 1, _KINDS + 1)[1:-1]), moved)
    sides = (scores, 1 - scores)
    pool = [_shares(kind, side, np.full(_KINDS, 1 / _KINDS)) for side in sides]
    found: dict[str, Likelihoods] = {"": _pairs(pool)}
    for column, model in enumerate(models):
        rows = columns == column
        found[model] = _pairs(
            [_shares(kind[rows], side[rows], whole) for side, whole in zip(sides, pool, strict=True)]
        )
    return found


def _pairs(sides: Sequence[Floats]) -> Likelihoods:
    right, wrong = (side.tolist() for side in sides)
    return ranked(list(zip(right, wrong, strict=True)))


def _shares(kind: Any, weight: Floats, start: Floats) -> Floats:
    counts = np.bincount(kind, weight, minlength=_KINDS) + _SHRINK * start
    shares: Floats = counts / counts.sum()
    return shares


def _features(place: int, owns: Sequence[float], answers: Sequence[str]) -> list[float]:
    """Return own logit, and number and summed logits of the others that agree and that differ."""
    mine = answers[place]
    found = [owns[place], 0.0, 0.0, 0.0, 0.0]
    for other, answer in enumerate(answers):
        if other != place:
            at = 1 if answer == mine and mine else 3
            found[at] += 1.0
            found[at + 1] += owns[other]
    return found


def _accord(replies: int, different: int, empty: bool) -> tuple[float, float]:
    """Return whether several replies are all of one answer, and whether there are different ones."""
    return float(replies > 1 and different == 1 and not empty), float(different > 1)


def _dot(weights: Sequence[float], values: Sequence[float]) -> float:
    """Return the linear form; the last weight is the intercept."""
    return sum(map(mul, weights, values), weights[-1])


def _logit(chance: Floats) -> Floats:
    inside = np.clip(chance, 1e-3, 1 - 1e-3)
    logit: Floats = np.clip(np.log(inside) - np.log1p(-inside), -_EDGE, _EDGE)
    return logit


def _logit_of(chance: float) -> float:
    inside = min(max(chance, 1e-3), 1 - 1e-3)
    return min(max(math.log(inside / (1 - inside)), -_EDGE), _EDGE)


def _chance(logit: float) -> float:
    return 1 / (1 + math.exp(-min(max(logit, -30.0), 30.0)))
