"""A fake remote model that works the order desk: right, but on the items on which a real model erred.

Where it errs it does the look-ups and then states the value that answers another question of the same kind.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from agentkit.backends import ScriptedBackend
from agentkit.backends.fake import calls, errs_on
from agentkit.evals.suites.order_desk.questions import Question, Step
from agentkit.messages import Message
from agentkit.types import Completion, ModelCard, Request


def desk_remote(card: ModelCard, questions: Sequence[Question], wrong: Sequence[bool]) -> ScriptedBackend:
    """Return the model; it knows `questions`, and `wrong` says of each recorded item whether it failed."""
    known = {question.text: question for question in questions}
    other = {one.text: _another(one, questions) for one in questions}

    def play(request: Request, *, errs: bool) -> Completion | str:
        asked = next(message.text for message in request.messages if message.role == "user")
        question = known[asked]
        done = _made(request.messages)
        for step in question.steps:
            if step not in done and any(tool.name == step[0] for tool in request.tools):
                return calls(step)
        return (other[asked] if errs else question).sentence

    script = errs_on(wrong, lambda request: play(request, errs=False), lambda request: play(request, errs=True))
    return ScriptedBackend(script, card=card)


def _another(question: Question, questions: Sequence[Question]) -> Question:
    alike = [one for one in questions if one.kind == question.kind and one.answer != question.answer]
    return alike[0] if alike else next(one for one in questions if one.answer != question.answer)


def _made(messages: Sequence[Message]) -> list[Step]:
    """Return the calls that were made in the conversation, those of others included."""
    found = []
    for call in (call for message in messages for call in message.tool_calls):
        try:
            found.append((call.name, json.loads(call.arguments)))
        except ValueError:
            continue  # a malformed call was answered with an error
    return found
