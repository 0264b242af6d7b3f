"""Plans made by a chat model: steps as JSON, run while the plan is still being written.

After LLMCompiler (arXiv 2312.04511): a planner writes the graph of calls, an executor runs it in parallel, and a
last turn joins the results into an answer or asks for a further plan. Here references are objects that are checked
against the tools' schemas, a step starts with its last brace, and the joining turn is one of the tool loop.

With `when="pays"` a plan is made when it is likely to be cheaper than a tool loop. With P tokens of prompt (what
every turn reads again), t turns and n calls, an output token priced like r of input, the loop reads about t·P and

    plan   2·P + G + r·s·n   <   t·P   tool loop

where G is the length of both planning prompts without the tools, and s that of a step. The items that the task
lists are taken for n, and t = n + 1: one call a turn, which is what models mostly do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from agentkit.catalog import Selection
from agentkit.errors import ConfigError
from agentkit.planner.base import Plan, Step
from agentkit.planner.policy import OnFailure, Planning
from agentkit.tools import Registry
from agentkit.types import ScopeView

PROMPT_TOKENS = 270
STEP_TOKENS = 30
OUTPUT_RATIO = 4
_LISTED = re.compile(r",|;|\?|\n|\band\b|\bor\b|\bthen\b", re.IGNORECASE)

When = Literal["always", "pays", "asked"]

FORM: Final = """\
Write one JSON object a line and nothing else:
{"id": "a", "tool": "name of a tool", "with": {its arguments}}
{"id": "b", "task": "what a helper with the same tools is to find out", "needs": ["a"]}
In place of a value {"$from": "a"} stands for the result of step a, and \
{"$from": "a", "path": ["items", 0, "id"]} for a part of it; refer to steps above only."""
"""What a plan looks like, as models are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMPlanner:
    """Has one of the agent's models plan the tool calls, and runs them side by side.

    `when` is `always`, `pays` for tasks where a plan is likely to be cheaper than a tool loop, or `asked`: a tool
    loop whose model is told that it may write a plan instead of calling tools one by one. A plan has at most
    `max_steps` steps and is gone on with at most `max_replans` times; `concurrency` steps run at a time, None for
    all that are ready. With `refine` the first plan is run on stand-ins and shown to the model with what came of
    it, that many times at most and until it writes the same again; only then does a step start (a plan that was
    asked for runs as it is). Raises ConfigError for limits that make no sense.
    """

    when: When = "always"
    max_replans: int = 1
    max_steps: int = 32
    concurrency: int | None = None
    on_failure: OnFailure = field(default_factory=lambda: OnFailure("isolate"))
    refine: int = 0

    def __post_init__(self) -> None:
        if self.when not in get_args(When):
            raise ConfigError(f"a planner plans {' or '.join(get_args(When))}, not {self.when!r}")
        self._planning()

    async def plan(self, task: str, selection: Selection, view: ScopeView) -> Plan:
        """Return a plan of one step, which a model will plan; it costs nothing yet."""
        if not any(key.startswith(("tool:", "agent:")) for key in selection.chosen):
            return Plan((Step("main", task),), "one tool loop: there is no tool to plan with")
        if self.when == "pays" and not pays(task, selection.cost["tokens"]):
            return Plan((Step("main", task),), "one tool loop: a plan would cost more")
        reason = "one tool loop, which may plan" if self.when == "asked" else "a model plans the steps"
        return Plan((Step("main", task, planning=self._planning()),), reason)

    def _planning(self) -> Planning:
        asked = self.when == "asked"
        return Planning(self.max_replans, self.max_steps, self.concurrency, self.on_failure, self.refine, asked)


def pays(task: str, prompt_tokens: int) -> bool:
    """Tell whether a plan is likely to be cheaper than a tool loop, whose turns each read `prompt_tokens`."""
    calls = sum(1 for item in _LISTED.split(task) if item.strip())
    return 2 * prompt_tokens + PROMPT_TOKENS + OUTPUT_RATIO * STEP_TOKENS * calls < (calls + 1) * prompt_tokens


def planning_prompt(task: str, tools: Registry, planning: Planning) -> str:
    """Return what the model is asked that plans `task`."""
    described = "\n".join(
        f"- {tool.name}: {tool.spec.description} Arguments: {json.dumps(tool.spec.parameters)}" for tool in tools
    )
    return (
        f"{task}\n\nBefore you answer, plan the tool calls that this takes. {FORM}\n"
        "Steps run as soon as what they refer to is there, side by side; make as few wait as possible. Plan only "
        "calls whose arguments are known or are results as they are: you will see all results before you answer. "
        f"At most {planning.max_steps} steps.\nTools:\n{described}"
    )


def repair_prompt(problems: list[str]) -> str:
    """Return what the model is told about steps that cannot run."""
    listed = "\n".join(f"- {problem}" for problem in problems)
    return f"These steps cannot be run:\n{listed}\nWrite them again, corrected, and nothing else; others are fine."


def refining_prompt(task: str, tools: Registry, planning: Planning, plan: str, findings: Sequence[str]) -> str:
    """Return what the model is asked that has written `plan`, of which a dry run had these `findings`."""
    listed = "\n".join(f"- {finding}" for finding in findings)
    return (
        f"{planning_prompt(task, tools, planning)}\n\nThis is the plan so far:\n{plan}\nIt was run on stand-ins:\n"
        f"{listed}\nIf nothing is to be improved write it as it is, else write the whole plan anew, better."
    )


def offer_prompt() -> str:
    """Return what the model is told that may plan and need not."""
    return (
        "Use the tools as you need them. Where the task takes several calls that do not need each other you may "
        f"plan them at once instead, and they run side by side. {FORM}"
    )


def replan_prompt() -> str:
    """Return what the model is told that has the results of a plan and may go on with it."""
    return f"Answer the task. Only if these results do not suffice, plan further steps instead. {FORM}"
