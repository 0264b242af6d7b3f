"""Evaluation: suites of tasks, statistics, and benches that compare agentkit with its peers."""

__all__: list[str] = []
