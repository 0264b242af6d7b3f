"""BATS: propose an answer, verify it, then stop, dig deeper or begin again elsewhere (arXiv 2511.17006).

A tool loop proposes an answer. A model then judges each constraint of the task, and says

    success    the answer stands
    continue   the path is promising and the budget is enough for more of it
    pivot      a dead end, or too little budget for this path

and sums the work up. After a pivot the summary takes the place of the raw context. After a continue it does
when that is cheaper: with r tokens of raw context and s of summary in each of k further turns, p the price of
input and c ≤ p that of input which the provider has cached, it costs

    s·p + (k − 1)·s·c   instead of   k·r·c

since what was cached is lost with the raw context; k is taken to be the turns of the work so far. The paper goes
on until a budget is used up and lets a judge choose among verified answers; here the first success ends the work,
which is its early-stopping variant.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from agentkit.catalog import Selection
from agentkit.errors import ConfigError
from agentkit.planner.base import Plan, Step
from agentkit.types import ScopeView
from agentkit.usage import Price

PROPOSALS = 4
"""Answers that are proposed at most when nobody says; the budget ends most work before."""

GUIDANCE = """\
Plan before you act. List what the task asks for: clues to explore, which lead to candidates, and clues to \
verify, which check one. Keep them as a checklist, each item open, done, failed or partial; update it as you learn.
Spend by what the budget notes in tool results say. HIGH, 70% and more: explore several ways at once. MEDIUM: two \
or three. LOW, below 30%: only the most promising one. CRITICAL, below 10%: answer from what you have."""
"""What the tool loops are told beside the instructions."""

Choice = Literal["success", "continue", "pivot"]
Finding = Literal["satisfied", "contradicted", "unverifiable"]

VERDICT_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "constraints": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "constraint": {"type": "string"},
                    "finding": {"enum": list(get_args(Finding))},
                },
                "required": ["constraint", "finding"],
                "additionalProperties": False,
            },
        },
        "decision": {"enum": list(get_args(Choice))},
        "summary": {"type": "string"},
    },
    "required": ["constraints", "decision", "summary"],
    "additionalProperties": False,
}
"""The JSON schema of a verification."""


@dataclass(frozen=True, slots=True)
class BudgetAware:
    """Plans one step of up to `proposals` answers, each verified, and each within the agent's `max_steps`.

    Raises ConfigError for fewer than two.
    """

    proposals: int = PROPOSALS

    def __post_init__(self) -> None:
        if self.proposals < 2:
            raise ConfigError(f"BudgetAware takes 2 proposals or more, not {self.proposals}; one needs no planner")

    async def plan(self, task: str, selection: Selection, view: ScopeView) -> Plan:
        """Return the plan of one step; it costs nothing."""
        return Plan(
            (Step("main", task, proposals=self.proposals),), f"at most {self.proposals} answers, each verified"
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found: by constraint whether it is met, what to do now, and the work in short."""

    findings: tuple[tuple[str, Finding], ...]
    choice: Choice
    summary: str

    @classmethod
    def read(cls, text: str) -> Verdict:
        """Read the model's JSON; raises ValueError with what is wrong.

        An answer with a contradicted constraint is no success, whatever the model decides.
        """
        try:
            said = json.loads(_bare(text))
            findings = tuple((item["constraint"], item["finding"]) for item in said["constraints"])
            choice, summary = said["decision"], said["summary"]
        except (json.JSONDecodeError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"a verification is JSON with constraints, decision and summary: {error!r}") from None
        if choice not in get_args(Choice) or not isinstance(summary, str):
            raise ValueError(f"decision is one of {', '.join(get_args(Choice))}, and summary is text")
        if any(not isinstance(what, str) or found not in get_args(Finding) for what, found in findings):
            raise ValueError(f"a constraint is text with a finding of {', '.join(get_args(Finding))}")
        if choice == "success" and any(found == "contradicted" for _, found in findings):
            choice = "continue"
        return cls(findings, cast(Choice, choice), summary)

    @property
    def rank(self) -> int:
        """How good the answer is: constraints satisfied less those contradicted."""
        found = [finding for _, finding in self.findings]
        return found.count("satisfied") - found.count("contradicted")

    @property
    def problems(self) -> tuple[str, ...]:
        """What is not satisfied, one sentence each."""
        return tuple(f"{finding}: {what}" for what, finding in self.findings if finding != "satisfied")


def problems_of_verdict(text: str) -> tuple[str, ...]:
    """Return what keeps `text` from being a verification, nothing when it is one."""
    try:
        Verdict.read(text)
    except ValueError as error:
        return (str(error),)
    return ()


def verification_prompt(task: str, facts: Sequence[str], answer: str, view: ScopeView) -> str:
    """Return the prompt that has `answer` judged by the facts; self-contained, so that any model can judge."""
    known = "\n".join(f"- {fact}" for fact in facts) if facts else "- none"
    return (
        f"{task}\n\nFacts:\n{known}\n\nProposed answer:\n{answer}\n\n{_budget_left(view)}\n"
        "Judge the answer by the facts alone. For each constraint of the task say whether it is satisfied, "
        "contradicted or unverifiable. Then decide: success when nothing is contradicted and what matters is "
        "satisfied; continue when the path is promising and the budget is enough for more of it; pivot when it is "
        "a dead end or the budget is too small for it. Sum up what was tried, what it gave, and what to try next. "
        f"Answer with JSON only, satisfying this schema: {json.dumps(VERDICT_SCHEMA, separators=(',', ':'))}"
    )


def next_task(task: str, verdict: Verdict, *, afresh: bool) -> str:
    """Return what the next tool loop is asked; with `afresh` it has nothing but this and the instructions."""
    open_ends = "".join(f"\n- {problem}" for problem in verdict.problems)
    how = "begin again on another path" if verdict.choice == "pivot" else "dig deeper on this path"
    told = f"The last answer was checked:{open_ends}\n{verdict.summary}\nNow {how}, then answer."
    return f"{task}\n\nEarlier work, summed up. {told}" if afresh else told


def is_summary_cheaper(raw: int, summary: int, turns: int, price: Price | None) -> bool:
    """Tell whether `summary` tokens cost less than `raw` ones over `turns` further turns, lost cache included."""
    fresh = price.input if price else 1
    cached = price.cache_read if price and price.cache_read is not None else fresh
    return summary * fresh + (turns - 1) * summary * cached < turns * raw * cached


def _budget_left(view: ScopeView) -> str:
    shares = (
        f"{max(0, limit - view.spent[name]) * 100 // limit}% of {name}"
        for name, limit in sorted(view.limits.items())
        if limit
    )
    return f"Budget left: {', '.join(shares) or 'no limit'}."


def _bare(text: str) -> str:
    """Drop what chat models like to put around JSON."""
    return text[text.find("{") : text.rfind("}") + 1]
