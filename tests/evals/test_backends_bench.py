"""The benches of model calls: quick runs, so that what they compare is the same work."""

from __future__ import annotations

from agentkit.evals.benches import Options, load
from agentkit.evals.benches.backends import serving
from agentkit.evals.benches.peers.environment import worker
from agentkit.evals.benches.peers.replies import TEXT


def test_agentkit_and_bare_httpx_read_the_same_reply() -> None:
    with serving() as port:
        for name in ("bare", "agentkit"):
            with worker("backends", name, Options()) as process:
                for stream in (0, 1):
                    measured = process.measure(2, port, stream)
                    assert measured.result == TEXT
                    assert measured.cpu_ms > 0


def test_no_stream_is_lost_and_the_ledger_is_the_bill() -> None:
    metrics = load("streams")(Options(quick=True)).metrics
    assert (metrics["calls"], metrics["lost"], metrics["unbilled_nano_usd"]) == (40, 0, 0)
    assert metrics["added_p99_ms"] >= metrics["added_p50_ms"] > 0
    assert metrics["memory_ratio"] > 0
