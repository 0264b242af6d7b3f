"""What a definition says about retries, limits, pools and fallbacks becomes what runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentkit.backends.guarded import Guarded
from agentkit.backends.pool import Pool
from agentkit.backends.remote import RemoteBackend
from agentkit.backends.retry import RetryPolicy
from agentkit.errors import SpecError
from agentkit.executor.resilience import Hedge, Resilience
from agentkit.loader import load
from agentkit.routers import FallbackRouter

MODELS = """\
version: 1
entry: desk
models:
  east:
    {backend: openai, model: m, base_url: "http://127.0.0.1:1/v1", price: {input: 1, output: 4},
     limits: {requests_per_minute: 60, tokens_per_minute: 6000, concurrency: 4}, breaker: {least_calls: 2}}
  west: {backend: openai, model: m, base_url: "http://127.0.0.1:2/v1", price: {input: 2, output: 8}}
  long: {backend: openai, model: l, base_url: "http://127.0.0.1:3/v1", context_window: 1000000}
pools:
  both: {endpoints: [east, west], mode: capacity}
"""
DESK = """\
agents:
  desk:
    model: both
    retry: {attempts: 4, patience: 1}
    hedge: {quantile: 0.9}
    on_overflow: trim
    fallbacks: {context: [long], any: [west, long]}
    tools: [helper]
  helper: {model: west, description: Helps.}
tools:
  helper: {agent: helper}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "agentkit.yaml"
    path.write_text(text)
    return path


def test_everything_a_definition_says_is_made(tmp_path: Path) -> None:
    desk = load(write(tmp_path, MODELS + DESK))
    pool, router = desk.backends["both"], desk.router
    assert isinstance(pool, Pool) and pool.mode == "capacity"
    east, west = pool.endpoints
    assert east.gate.concurrency.most == 4 and east.gate.breaker.least_calls == 2
    assert east.gate.limits.wait(6_000, 0) == 0
    east.gate.limits.take(6_000, 0)
    assert east.gate.limits.wait(1, 0) == pytest.approx(50.01)
    assert isinstance(west.backend, RemoteBackend)
    assert isinstance(router, FallbackRouter)
    assert router.fallbacks == {"context": ("long",), "any": ("west", "long")}
    assert router.reserves == {"west", "long"}
    assert desk.resilience == Resilience(
        retry=RetryPolicy(attempts=4, patience=1), hedge=Hedge(quantile=0.9), on_overflow="trim"
    )


def test_a_model_with_limits_is_one_object_for_all_agents(tmp_path: Path) -> None:
    agents = "agents:\n  desk: {model: east, fallbacks: {down: [both]}}\n"
    desk = load(write(tmp_path, MODELS + agents))
    east, pool = desk.backends["east"], desk.backends["both"]
    assert isinstance(east, Guarded) and isinstance(pool, Pool) and pool.endpoints[0] is east


def test_without_a_word_failed_calls_are_retried(tmp_path: Path) -> None:
    assert load(write(tmp_path, MODELS + "agents:\n  desk: {model: west}\n")).resilience == Resilience()


@pytest.mark.parametrize(
    ("agents", "problem"),
    [
        ("agents:\n  desk: {model: bath}\n", "12:17: agents.desk.model: 'bath' is not one of the models.*'both'"),
        ("agents:\n  desk: {model: east, fallbacks: {down: [wast]}}\n", "'wast' is not one of the models"),
        (
            "agents:\n  desk: {model: east, fallbacks: {slow: [west]}}\n",
            "fallbacks.slow should be 'rate_limited'.*'any'",
        ),
        (
            "agents:\n  desk: {model: east, retry: {attempts: 0}}\n",
            "attempts should be greater than or equal to 1",
        ),
        ("agents:\n  desk: {model: east, hedge: {quantile: 1}}\n", "quantile should be less than 1"),
        ("  east: {endpoints: [west]}\nagents:\n  desk: {model: east}\n", "'east', which is a model already"),
        ("  more: {endpoints: [both]}\nagents:\n  desk: {model: east}\n", "'both' is not one of the models"),
    ],
)
def test_what_makes_no_sense_is_told(tmp_path: Path, agents: str, problem: str) -> None:
    with pytest.raises(SpecError, match=problem):
        load(write(tmp_path, MODELS + agents))
