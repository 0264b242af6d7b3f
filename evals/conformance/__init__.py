"""The conformance kit: what a hard budget must do, as cases that any agent framework can be put through.

`subject.py` says what a framework shows of itself, `provider.py` is the model it calls and whose bill counts,
`cases.py` is what must hold. `pytest -p agentkit.evals.conformance.plugin --conformance=SUBJECT` runs them.
"""

from agentkit.evals.conformance.cases import CASES, Violation
from agentkit.evals.conformance.provider import PROMPT_TOKENS, Child, Provider, ProviderDown, Reply
from agentkit.evals.conformance.subject import Account, Feature, Recorded, Subject, Work

__all__ = [
    "Account",
    "CASES",
    "Child",
    "Feature",
    "PROMPT_TOKENS",
    "Provider",
    "ProviderDown",
    "Recorded",
    "Reply",
    "Subject",
    "Violation",
    "Work",
]
