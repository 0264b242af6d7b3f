"""Published routing methods in a few lines each, on our features: what our routers are measured against."""

from agentkit.evals.baselines.frugalgpt import frugalgpt
from agentkit.evals.baselines.heads import head
from agentkit.evals.baselines.ladder import Contender, Ladder
from agentkit.evals.baselines.routellm import routellm

__all__ = ["Contender", "Ladder", "frugalgpt", "head", "routellm"]
