"""Estimators of quality and cost by model, fitted on recorded outcomes; needs the `routing` extra."""

from agentkit.routers.estimators.fitted import FittedEstimator
from agentkit.routers.estimators.fitting import HEADS, Choice, fit_estimator
from agentkit.routers.estimators.hull import Frontier, Trail, upper_hull
from agentkit.routers.estimators.table import Counts, Item, OutcomeTable
from agentkit.routers.estimators.table_files import read_table

__all__ = [
    "Choice",
    "Counts",
    "FittedEstimator",
    "Frontier",
    "HEADS",
    "Item",
    "OutcomeTable",
    "Trail",
    "fit_estimator",
    "read_table",
    "upper_hull",
]
