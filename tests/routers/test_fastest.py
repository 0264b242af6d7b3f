"""The fastest model: what a call that was given up says, against integration, and who is called after a while."""

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest

from agentkit.costs import Cost
from agentkit.errors import FailureKind
from agentkit.messages import assistant
from agentkit.routers import Call, Outcome, Query, Stop
from agentkit.routers.fallback import FallbackRouter
from agentkit.routers.fastest import FastestRouter, Posterior
from agentkit.types import Completion, ScopeView
from tests.scenario import card

VIEW = ScopeView("scope", {}, Cost(), Cost(), Cost(), {})
CARDS = (card("a", "1"), card("b", "1"))
BOUNDS = {"a": Cost(), "b": Cost()}
NOISE = 0.5


def integrated(x: Sequence[float], seconds: float, given_up: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the exact posterior of a fresh `Posterior`, on a grid."""
    fresh = Posterior()
    first = np.linspace(-12, 15, 1_001)[:, None] + np.zeros((1, 401))
    second = np.zeros((1_001, 1)) + np.linspace(-6, 6, 401)[None, :]
    log = np.log(seconds)
    distance = (log - (x[0] * first + x[1] * second)) / NOISE
    erfc = np.vectorize(math.erfc)
    likelihood = erfc(distance / math.sqrt(2)) / 2 if given_up else np.exp(-(distance**2) / 2)
    prior = np.exp(-((first - fresh.mean[0]) ** 2) / 8 - (second - fresh.mean[1]) ** 2 / 2)
    weight = prior * likelihood / (prior * likelihood).sum()
    mean = np.array([(weight * first).sum(), (weight * second).sum()])
    apart = np.stack([first - mean[0], second - mean[1]])
    return mean, np.einsum("ikl,jkl,kl->ij", apart, apart, weight)


@pytest.mark.parametrize(("seconds", "given_up"), [(3.0, False), (3.0, True), (60.0, True), (2_000.0, True)])
def test_the_posterior_has_the_moments_of_the_exact_one(seconds: float, given_up: bool) -> None:
    x = (1.0, 0.6)
    posterior = Posterior()
    posterior.observe(x, seconds, given_up=given_up)
    mean, covariance = integrated(x, seconds, given_up)
    assert posterior.mean == pytest.approx(mean.tolist(), abs=2e-3)
    assert np.array(posterior.covariance) == pytest.approx(covariance, abs=4e-3)


def test_a_call_that_was_given_up_says_less_than_one_that_ended() -> None:
    ended, open_ = Posterior(), Posterior()
    ended.observe((1.0, 0.5), 30.0)
    open_.observe((1.0, 0.5), 30.0, given_up=True)
    assert open_.at((1.0, 0.5))[0] > ended.at((1.0, 0.5))[0]
    assert open_.at((1.0, 0.5))[1] > ended.at((1.0, 0.5))[1]


def test_the_tail_far_out_is_finite() -> None:
    posterior = Posterior()
    for _ in range(200):
        posterior.observe((1.0, 0.5), 1e-3)
    posterior.observe((1.0, 0.5), 1e6, given_up=True)
    assert all(map(math.isfinite, (*posterior.mean, *posterior.covariance[0])))
    assert posterior.at((1.0, 0.5))[1] >= 0


def played(router: FastestRouter, usual: dict[str, float], count: int = 60, timeout: float = 10.0) -> list[str]:
    """Route `count` queries and return the first call of each."""
    draw, first = random.Random(1), []
    for _ in range(count):
        seen: list[Outcome] = []
        while isinstance(call := router.next(Query("how long?", BOUNDS), CARDS, seen, VIEW), Call):
            seconds = usual[call.model] * draw.lognormvariate(0, 0.3)
            reply = Completion(assistant("so"), "stop") if seconds < timeout else None
            kind: FailureKind | None = None if reply else "timeout"
            seen.append(
                Outcome(call.model, reply, Cost(), () if reply else ("late",), kind, min(seconds, timeout))
            )
        first.append(seen[0].model)
    return first


def test_the_faster_one_is_found() -> None:
    assert played(FastestRouter(), {"a": 2.0, "b": 6.0})[20:].count("a") >= 38
    assert played(FastestRouter(), {"a": 40.0, "b": 8.0})[20:].count("b") >= 38


def test_each_is_called_once_first() -> None:
    router = FastestRouter()
    quick = Outcome("a", Completion(assistant("so"), "stop"), Cost(), seconds=1e-3)
    router.next(Query("q", BOUNDS), CARDS, [quick], VIEW)
    decision = router.next(Query("q", BOUNDS), CARDS, (), VIEW)
    assert decision == Call("b", "its latency is not known yet")


@pytest.mark.parametrize("kind", ["down", "refused", "rate_limited"])
def test_other_failures_say_nothing_of_a_latency(kind: FailureKind) -> None:
    router = FastestRouter()
    router.next(Query("q", BOUNDS), CARDS, [Outcome("a", None, Cost(), ("no",), kind, 0.01)], VIEW)
    assert not router.known


def test_it_stops_with_what_there_is() -> None:
    router = FastestRouter()
    bad = [Outcome(name, Completion(assistant("so"), "stop"), Cost(), ("no",), None, 1.0) for name in "ab"]
    assert router.next(Query("q", BOUNDS), CARDS, bad, VIEW) == Stop(1, "no other model is left")
    query = Query("q", BOUNDS, weak=frozenset("b"))
    assert isinstance(router.next(query, CARDS, bad[:1], VIEW), Stop)


def test_a_time_out_is_learnt_from_once_where_a_declared_fallback_follows_it() -> None:
    inner = FastestRouter()
    router, query = FallbackRouter(inner, {"timeout": ["b"]}), Query("so", BOUNDS)
    late = Outcome("a", None, Cost(), ("late",), "timeout", 30.0)
    assert router.next(query, CARDS, [late], VIEW) == Call("b", "a: timeout; this is the fallback")
    then = [late, Outcome("b", Completion(assistant("so"), "stop"), Cost(), seconds=1.0)]
    assert router.next(query, CARDS, then, VIEW) == Stop(1, "the reply is valid")
    once = Posterior()
    once.observe((1.0, math.log1p(2) / 10), 30.0, given_up=True)
    assert inner.known["a"].mean == once.mean
    router.next(query, CARDS, then, VIEW)
    assert inner.known["a"].mean == once.mean
