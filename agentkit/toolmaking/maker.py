"""Makes a tool from solved examples, as LATM does (arXiv 2305.17126): propose, verify, wrap.

Propose: a strong model reads a few solved tasks and writes a function. Verify: it turns these tasks and some that
were held back into calls, without being shown the latters' answers; the function runs in the sandbox on all of
them, and what fails goes back to the model. Wrap: code, schema and calls become a tool that shows how it is used.

A function that repeats the answers it was shown passes nothing that was held back. Every reply is paid by the
scope, and so is every run of the tests, which counts as a call of `check_tool`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from agentkit.budgets import Scope
from agentkit.costs import Cost
from agentkit.errors import BackendError, BudgetError, ConfigError, RoutingError, ToolError
from agentkit.messages import ToolCall
from agentkit.refining import refine
from agentkit.toolmaking.calls import Came, run_calls
from agentkit.toolmaking.example import Example, Family
from agentkit.toolmaking.made_tool import Demonstration, MadeTool, as_tool
from agentkit.toolmaking.prompts import calling_prompt, proposing_prompt, revising_prompt
from agentkit.toolmaking.proposal import Proposal
from agentkit.tools import Tool, parse_arguments
from agentkit.tools.sandbox import Sandbox
from agentkit.trace import Event, Failed, Reserved, Verified, ended

CHECK = Cost({"tool_calls": 1, "tool_calls[check_tool]": 1})
"""What one run of the tests is charged with: it takes no model."""
SHOWN = 3
"""Examples that the model sees solved; LATM shows as many."""
_DEMONSTRATED = 2

UNMAKABLE = (BudgetError, BackendError, RoutingError, ToolError)
"""What ends a making: the budget, the models, or a sandbox that cannot be shut."""

Until = Literal["passes", "stable"]
Accept = Callable[[str, str], bool]
"""Says of a result and of the answer that was expected whether the result will do."""


class Reply(Protocol):
    """What a model said, and whether it could say all of it."""

    @property
    def text(self) -> str:
        """The text of the reply."""
        ...

    @property
    def status(self) -> str:
        """`complete` for a whole reply."""
        ...


class Model(Protocol):
    """Whoever writes the tools; an `Agent` is one."""

    name: str

    async def run(self, task: str, *, scope: Scope) -> Reply:
        """Answer `task`, paid by `scope`."""
        ...

    def minimum(self, task: str) -> Cost:
        """Return the least that an answer to `task` costs."""
        ...


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a tool is made for: it has to pass on `examples`, of which the maker sees the first `shown` solved."""

    family: str
    examples: tuple[Example, ...]
    shown: int

    @property
    def solved(self) -> tuple[Example, ...]:
        """The examples that the maker sees with their answers."""
        return self.examples[: self.shown]


@dataclass(frozen=True, slots=True)
class Draft:
    """A proposal with the calls that test it and what those found; the same draft has the same code and calls."""

    reply: str = field(compare=False)
    proposal: Proposal | None
    calls: tuple[str, ...] = ()
    problems: tuple[str, ...] = field(default=(), compare=False)


def same_text(result: str, answer: str) -> bool:
    """Tell whether both are the same text but for case and spaces."""
    return result.casefold().split() == answer.casefold().split()


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Has `model` make tools that `sandbox` tests; `rounds` is how often a draft is revised at most.

    A draft is revised until it `passes`, or until it is `stable`: passes, and the model would change nothing.
    """

    model: Model
    sandbox: Sandbox
    rounds: int = 3
    until: Until = "passes"
    accept: Accept = same_text
    emit: Callable[[Event], None] = lambda event: None

    async def make(self, family: Family, scope: Scope) -> MadeTool | None:
        """Return a tool that passes on every example of `family`, None when there is none.

        Raises what the model's run and the budget raise before there is a draft.
        """
        shown = min(SHOWN, len(family.examples) - 1)  # one at least is held back
        assignment = Assignment(family.name, family.examples, shown)
        return await self.settle(assignment, proposing_prompt(assignment.solved), scope)

    async def settle(self, assignment: Assignment, prompt: str, scope: Scope) -> MadeTool | None:
        """Have a draft written by `prompt`, and revised until it passes; raises as `make` does."""
        first = await self._draft(assignment, prompt, None, scope)
        if first is None:
            return None

        async def revise(draft: Draft) -> Draft | None:
            code = draft.proposal.code if draft.proposal else draft.reply
            again = revising_prompt(assignment.solved, code, draft.problems)
            try:
                revised = await self._draft(assignment, again, draft, scope)
            except UNMAKABLE as error:  # what there is may do
                self.emit(Failed(f"make:{assignment.family}", str(error)))
                return None
            return None if revised is None or (revised.problems and not draft.problems) else revised

        refined = await refine(
            first,
            revise,
            rounds=self.rounds,
            is_done=lambda draft: self.until == "passes" and not draft.problems,
        )
        draft = refined.proposal
        if draft.problems or draft.proposal is None:
            return None
        demonstrated = zip(assignment.examples[:_DEMONSTRATED], draft.calls, strict=False)
        shows = tuple(Demonstration(example.task, call) for example, call in demonstrated)
        return MadeTool(assignment.family, draft.proposal.code, shows)

    async def _draft(
        self, assignment: Assignment, prompt: str, earlier: Draft | None, scope: Scope
    ) -> Draft | None:
        """Ask for a function and test it; None when the model could not answer."""
        said = await self._ask(prompt, scope)
        if said is None:
            self.emit(Verified(f"make:{assignment.family}", self.model.name, ("there is no whole reply",)))
            return None
        draft = await self._tested(said, assignment, earlier, scope)
        self.emit(Verified(f"make:{assignment.family}", self.model.name, draft.problems))
        return draft

    async def _tested(self, said: str, assignment: Assignment, earlier: Draft | None, scope: Scope) -> Draft:
        try:
            proposal = Proposal.read(said)
            tool = as_tool(proposal, self.sandbox)
        except (ValueError, ConfigError) as error:
            return Draft(said, None, problems=(str(error),))
        calls = _kept(earlier, proposal)
        try:
            tasks = [example.task for example in assignment.examples]
            calls = calls or await self._calls(proposal, tool, tasks, scope)
        except ValueError as error:
            return Draft(said, proposal, problems=(str(error),))
        came = await check(self.sandbox, proposal, calls, scope, self.emit)
        return Draft(said, proposal, calls, self._problems(assignment, came))

    async def _calls(self, proposal: Proposal, tool: Tool, tasks: Sequence[str], scope: Scope) -> tuple[str, ...]:
        """Have each task turned into the arguments of a call; raises ValueError with what is wrong with them."""
        said = await self._ask(calling_prompt(proposal, tool.spec.parameters, tasks), scope)
        calls = _objects(said or "")
        if len(calls) != len(tasks):
            raise ValueError(f"{len(tasks)} calls were asked for, and {len(calls)} JSON objects written")
        for call in calls:
            try:
                parse_arguments(tool, ToolCall("", tool.name, call))
            except ToolError as error:
                raise ValueError(str(error)) from None
        return calls

    def _problems(self, assignment: Assignment, came: Sequence[Came]) -> tuple[str, ...]:
        """Say which examples fail; the answers of those held back stay unsaid."""
        found: list[str] = []
        for place, (example, result) in enumerate(zip(assignment.examples, came, strict=True)):
            if result.failed or not self.accept(result.text, example.answer):
                gives = f"it fails: {result.text}" if result.failed else f"it gives {result.text[:200]!r}"
                wants = f"not {example.answer!r}" if place < assignment.shown else "which is wrong"
                found.append(f"for the task {example.task[:300]!r} {gives}, {wants}")
        return tuple(found)

    async def _ask(self, prompt: str, scope: Scope) -> str | None:
        reply = await self.model.run(prompt, scope=scope)
        return reply.text if reply.status == "complete" else None


async def check(
    sandbox: Sandbox, proposal: Proposal, calls: Sequence[str], scope: Scope, emit: Callable[[Event], None]
) -> list[Came]:
    """Run `calls`, the JSON of their arguments, on the proposal; charged as one call of `check_tool`."""
    hold = await scope.reserve(CHECK, what="tool:check_tool", dispatch=True)
    emit(Reserved(hold.id, hold.what, hold.held, dispatched=True))
    try:
        return await run_calls(sandbox, proposal.code, proposal.name, [_arguments(call) for call in calls])
    finally:
        for event in ended(await hold.settle(CHECK)):
            emit(event)


def _arguments(call: str) -> Mapping[str, Any]:
    arguments: dict[str, Any] = json.loads(call)
    return arguments


def _kept(earlier: Draft | None, proposal: Proposal) -> tuple[str, ...]:
    """Return the calls of an earlier draft that is called alike; those of the same one may be what is wrong."""
    if earlier is None or earlier.proposal is None or earlier.proposal == proposal:
        return earlier.calls if earlier is not None and not earlier.problems else ()
    return earlier.calls if earlier.proposal.parameters == proposal.parameters else ()


def _objects(text: str) -> tuple[str, ...]:
    """Return the JSON objects in `text`, whatever stands between them."""
    decoder, found, place = json.JSONDecoder(), list[str](), text.find("{")
    while place >= 0:
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            found.append(json.dumps(value))
        place = text.find("{", end)
    return tuple(found)
