"""Fake providers on loopback for tests of anything that calls a model: real sockets, no cost (`serve` extra).

    with Provider("Hello.") as provider:
        model = "openai", provider.url("openai")

As a process of its own: `python -m agentkit.backends.provider --help`.
"""

from agentkit.backends.provider.bill import Billed
from agentkit.backends.provider.faults import FAULTS, Fault, at_random
from agentkit.backends.provider.script import Model, Reply, Script
from agentkit.backends.provider.server import Provider, Received

__all__ = ["Billed", "FAULTS", "Fault", "Model", "Provider", "Received", "Reply", "Script", "at_random"]
