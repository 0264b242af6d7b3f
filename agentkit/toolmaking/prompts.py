"""What the maker is asked; each prompt stands alone, so that no call reads what others said."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agentkit.toolmaking.example import Example
from agentkit.toolmaking.proposal import Proposal

FORM = """\
Write exactly one public Python function; helpers begin with '_'. Annotate its parameters with str, int, float, \
bool, list[…] or dict[str, …]; they are what a reader takes out of the task's text, so keep them plain. Return \
the answer in the form that the examples have. Standard library only, no files, no network, no input or output. \
The docstring says in one sentence what the function is for, then describes the parameters in a section 'Args:'."""


def proposing_prompt(examples: Sequence[Example]) -> str:
    """Return what asks for a function that solves tasks such as `examples`."""
    return (
        f"Here are solved tasks of one kind.\n\n{_solved(examples)}\n\nWrite a tool that solves any task of this "
        f"kind. {FORM}\nReply with the code in one ```python block."
    )


def calling_prompt(proposal: Proposal, schema: Mapping[str, Any], tasks: Sequence[str]) -> str:
    """Return what asks for the arguments with which `proposal` solves each of `tasks`."""
    listed = "\n\n".join(f"Task {number}: {task}" for number, task in enumerate(tasks, 1))
    return (
        f"The function {proposal.name}: {proposal.doc}\nIts arguments as a JSON schema: {json.dumps(schema)}\n\n"
        f"{listed}\n\nWrite the arguments that solve each task, as JSON objects, one a line, in the order of the "
        "tasks and nothing else. Take them from the task's text; do not solve the task yourself."
    )


def revising_prompt(examples: Sequence[Example], code: str, problems: Iterable[str]) -> str:
    """Return what asks for a better version of `code`, or for the same when there is none."""
    found = "\n".join(f"- {problem}" for problem in problems)
    verdict = f"It does not pass its tests:\n{found}" if found else "It passes its tests."
    return (
        f"Here are solved tasks of one kind.\n\n{_solved(examples)}\n\nThis is a tool for them:\n"
        f"```python\n{code}\n```\n{verdict}\nWrite it again, corrected or simpler; if nothing is to be improved, "
        f"write it as it is. {FORM}\nReply with the code in one ```python block."
    )


def abstracting_prompt(example: Example, code: str) -> str:
    """Return what asks for the general function behind the `code` that solved one task."""
    return (
        f"This code solved a task.\n\n{_solved((example,))}\n\n```python\n{code}\n```\nMake it general: a "
        "function that solves any task of this kind, in which what belongs to this task alone is a parameter, and "
        f"whose name and parameters say nothing of it. {FORM}\nReply with the code in one ```python block."
    )


def _solved(examples: Sequence[Example]) -> str:
    return "\n\n".join(f"Task: {example.task}\nAnswer: {example.answer}" for example in examples)
