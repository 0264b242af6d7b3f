"""How the families of Claude models think, and what they refuse. As of November 2026."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from agentkit.backends.effort import effort_of, thinking_budget
from agentkit.types import Effort, ModelCard, Request

_LEAST_BUDGET = 1_024
_NAME = re.compile(r"claude-(?:(?P<name>[a-z]+)-)?(?P<major>\d+)(?:[-.](?P<minor>\d{1,2})(?!\d))?")
_EFFORT: Mapping[Effort, str] = {"minimal": "low", "low": "low", "medium": "medium", "high": "high"}


class Rules(NamedTuple):
    """What a family of models takes.

    `budgets`: thinking is asked for by a number of tokens, not by an effort. `off` is the type of thinking that
    turns it off, empty where it is off unless asked for, None where nothing turns it off. `forces`: a tool may be
    forced. `samples`: temperature and top_p are taken.
    """

    budgets: bool = False
    off: str | None = None
    forces: bool = False
    samples: bool = False


_BY_VERSION = (
    (r".*-([0-3]\.|4\.[0-5]$)", Rules(budgets=True, off="", forces=True, samples=True)),
    (r".*-4\.6", Rules(off="", forces=True, samples=True)),
    (r".*-4\.", Rules(off="", forces=True)),
    (r"(opus|sonnet)-5\.0", Rules(off="disabled", forces=True)),
    (r"sonnet-5\.", Rules(off="between_tools")),
    (r"haiku-5\.", Rules(off="disabled")),
)
_NEWEST = Rules()
_OTHERS = Rules(budgets=True, off="", forces=True, samples=True)


def rules_of(model: str) -> Rules:
    """Return the rules for `model`; an unknown Claude counts as the newest, which refuses the most.

    Models of other makers behind this dialect take what the first models that thought took.
    """
    if "claude" not in model:
        return _OTHERS
    found = _NAME.search(model)
    version = f"{found['name'] or ''}-{found['major']}.{found['minor'] or 0}" if found else ""
    return next((rules for pattern, rules in _BY_VERSION if re.match(pattern, version)), _NEWEST)


def thinking(
    request: Request, card: ModelCard, *, forced: bool, cut_in: bool
) -> tuple[dict[str, Any], str | None]:
    """Return how much to think, as the thinking and the effort of the body, both empty for the model's own way.

    Thinking is part of the output that max_tokens caps, so a budget leaves room for the answer. It is refused
    when a tool is `forced`, and a budget also in a tool loop that was begun without it (`cut_in`).
    """
    rules, effort = rules_of(card.model), effort_of(request, card)
    if rules.budgets:
        budget = thinking_budget(effort, request.max_output_tokens, least=_LEAST_BUDGET)
        enabled = budget and not forced and not cut_in
        return {"type": "enabled", "budget_tokens": budget} if enabled else {}, None
    if forced or (effort == "none" and rules.off is not None):
        return {"type": rules.off} if rules.off else {}, None
    if effort is None or effort == "none":
        return {}, "low" if effort else None
    return {"type": "adaptive"}, _EFFORT[effort]
