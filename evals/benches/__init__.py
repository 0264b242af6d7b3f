"""Benches: what agentkit promises, measured beside what others do."""

from agentkit.evals.benches.base import BENCHES, BenchResult, Options, load

__all__ = ["BENCHES", "BenchResult", "Options", "load"]
