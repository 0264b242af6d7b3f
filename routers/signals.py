"""What a reply shows of itself for free: its final answer, and a few measurements that go with right and wrong.

Nothing here calls a model. A verifier turns the measurements into a probability
(`agentkit.routers.estimators.verifier`), and answers that agree are the strongest of all signals.
"""

from __future__ import annotations

import json
import math
import re
from itertools import islice

from agentkit.routers.base import Outcome
from agentkit.types import Completion

SIGNALS = (
    "valid",
    "finished",
    "marked",
    "characters",
    "tokens",
    "lines",
    "digits",
    "doubts",
    "steps",
    "false_sums",
    "number",
    "whole",
    "negative",
    "magnitude",
    "given",
    "confidence",
    "least_confidence",
    "margin",
    "least_margin",
)
"""The measurements, in the order of `signals`."""

_MARKS = (
    re.compile(r'"(?:final_)?answer"\s*:\s*("(?:[^"\\]|\\.)*"|\[[^\n]*\]|[\w.+-]+)'),
    re.compile(r"\\boxed\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}"),
    re.compile(r"####\s*([^\n]+)"),
    re.compile(r"(?:final answer|answer is|answer:)\**\s*:?\s*([^\n]+)", re.IGNORECASE),
)
_NUMBER = re.compile(r"-?\$?\d[\d,]*(?:\.\d+)?")
_AMOUNT = re.compile(r"[\s$\\€£]*(-?\d[\d,]*(?:\.\d+)?)[\s%$\\().a-z]*")  # a number, and its unit in words
_SUM = re.compile(r"(-?\d+(?:\.\d+)?)\s*([-+*/x×])\s*(\d+(?:\.\d+)?)\s*=\s*\$?(-?\d+(?:\.\d+)?)")
_DOUBT = re.compile(r"not sure|unclear|cannot|can't|however|assum|approximately|sorry|unable", re.IGNORECASE)
_SHORT = 60  # characters of a reply that is taken as a whole for its answer
_MOST_SUMS = 50


def final_answer(completion: Completion) -> str:
    """Return what the reply comes down to, normalised so that equal answers compare equal; empty if nothing shows.

    Tool calls are an answer. In text it is what stands behind the last mark (a JSON key `answer`, a box, four
    hashes, "the answer is"), else a short text as a whole, else the last number.
    """
    if calls := completion.message.tool_calls:
        return json.dumps([[call.name, call.arguments] for call in calls], sort_keys=True, default=str)
    text = completion.message.text.strip()
    marked = _marked(text)
    if marked is not None:
        return _normalised(marked)
    if len(text) <= _SHORT:
        return _normalised(text)
    numbers = _NUMBER.findall(text)
    return _normalised(numbers[-1]) if numbers else ""


def signals(outcome: Outcome, question: str = "") -> tuple[float, ...]:
    """Return the measurements of one outcome, as SIGNALS names them; all 0 without a reply.

    Among them is the shape of the answer: whether it is a number, a whole or a negative one, how large, and
    whether the question holds it already. Of its tokens, mean and least log-probability and mean and least margin
    of the likeliest before the second (`TokenLogprob`), 0 where a model does not tell.
    """
    completion = outcome.completion
    if completion is None:
        return (0.0,) * len(SIGNALS)
    text = completion.message.text
    tokens = completion.usage.output_tokens if completion.usage else 0
    logprobs = [token.logprob for token in completion.logprobs]
    margins = [token.margin for token in completion.logprobs if token.margin is not None]
    return (
        float(outcome.valid),
        float(completion.finish_reason in ("stop", "tool_calls")),
        float(bool(completion.message.tool_calls) or _marked(text) is not None),
        math.log1p(len(text)),
        math.log1p(tokens),
        math.log1p(text.count("\n")),
        sum(map(str.isdigit, text)) / max(len(text), 1),
        math.log1p(len(_DOUBT.findall(text))),
        math.log1p(text.count("=")),
        math.log1p(_false_sums(text)),
        *_shape(final_answer(completion), question),
        sum(logprobs) / len(logprobs) if logprobs else 0.0,
        min(logprobs, default=0.0),
        sum(margins) / len(margins) if margins else 0.0,
        min(margins, default=0.0),
    )


def _shape(answer: str, question: str) -> tuple[float, float, float, float, float]:
    given = float(bool(answer) and answer.removesuffix(".0") in question.lower())
    try:
        value = float(answer)
    except ValueError:
        return 0.0, 0.0, 0.0, 0.0, given
    if not math.isfinite(value):
        return 0.0, 0.0, 0.0, 0.0, given
    return 1.0, float(value.is_integer()), float(value < 0), math.log1p(abs(value)), given


def _marked(text: str) -> str | None:
    """Return what stands behind the last mark of the first kind that occurs."""
    for mark in _MARKS:
        if found := mark.findall(text):
            return str(found[-1])
    return None


def _normalised(answer: str) -> str:
    answer = answer.strip().strip("\"'*`$ ").rstrip(".").strip().lower()
    if amount := _AMOUNT.fullmatch(answer):
        return repr(float(amount[1].replace(",", "")))
    return re.sub(r"\s+", "", answer)


def _false_sums(text: str) -> int:
    """Count written sums of two numbers whose stated result is not theirs, but for rounding."""
    return sum(not _holds(*match.groups()) for match in islice(_SUM.finditer(text), _MOST_SUMS))


def _holds(left: str, sign: str, right: str, stated: str) -> bool:
    a, b, result = float(left), float(right), float(stated)
    if sign == "/" and b == 0:
        return False
    true = {"+": a + b, "-": a - b, "/": a / b if b else 0.0}.get(sign, a * b)
    return abs(true - result) <= max(0.011 * abs(true), 0.011)
