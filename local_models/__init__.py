"""Open models on this machine: one more kind of backend. Needs the `local` extra; torch is loaded at first use."""

from agentkit.local_models.backend import LocalBackend

__all__ = ["LocalBackend"]
