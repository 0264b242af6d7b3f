"""Replay of routers over recorded outcomes: folds, runs, metrics and reports."""

__all__: list[str] = []
