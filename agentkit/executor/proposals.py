"""Carries out a step whose answers are verified, as `planner/bats.py` says; and any other, by one tool loop.

A verification is a model call like any other: bounded, held, settled at what is billed. So is what a lost prompt
cache costs. The best answer so far is kept, so that a limit met on the way ends the work with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from agentkit.errors import BackendError, BudgetError, NoEligibleModel
from agentkit.executor.job import Job
from agentkit.executor.tool_loop import StepResult, opening, run_tool_loop
from agentkit.executor.turn import take_turn
from agentkit.messages import Message
from agentkit.planner import Step
from agentkit.planner.bats import (
    GUIDANCE,
    VERDICT_SCHEMA,
    Verdict,
    is_summary_cheaper,
    next_task,
    problems_of_verdict,
    verification_prompt,
)
from agentkit.tools import Registry
from agentkit.trace import Failed, Retried, Verified
from agentkit.usage import Price

_CHARACTERS_PER_TOKEN = 4
_REFUSALS = (BudgetError, BackendError, NoEligibleModel)


async def work_on(job: Job, step: Step, task: str) -> StepResult:
    """Carry out `step` on the text `task`; raises what `run_tool_loop` raises while there is no answer."""
    if step.proposals == 1:
        return await run_tool_loop(job, step.id, task)
    instructions = "\n".join(filter(None, (job.instructions, GUIDANCE)))
    return await _Proposals(replace(job, instructions=instructions), step, task).run()


@dataclass(frozen=True, slots=True)
class _Proposal:
    """An answer and what its verification found, None for no verification."""

    result: StepResult
    verdict: Verdict | None

    @property
    def rank(self) -> int:
        return self.verdict.rank if self.verdict else 0


class _Proposals:
    """Proposes and verifies until an answer stands, or there is no budget for another."""

    def __init__(self, job: Job, step: Step, task: str) -> None:
        self._job, self._step, self._task = job, step, task
        self._spent_before = job.scope.view().spent
        self._best: _Proposal | None = None

    async def run(self) -> StepResult:
        history, task = self._job.history, self._task
        for done in range(1, self._step.proposals + 1):
            try:
                result = await run_tool_loop(replace(self._job, history=history), self._step.id, task)
            except _REFUSALS as error:
                if self._best is None:
                    raise
                self._job.emit(Failed(f"step:{self._step.id}", str(error)))
                break
            if result.ended != "answered":
                if self._best is None:
                    return result
                break
            verdict = await self._verdict(result.text)
            if verdict is not None and verdict.choice == "success":
                return result
            self._keep(_Proposal(result, verdict))
            if verdict is None or not self._affords_another(done):
                break
            history, task = self._next(result, verdict)
        return self._answer()

    async def _verdict(self, answer: str) -> Verdict | None:
        """Have `answer` verified; None when the budget or the models do not allow it.

        The judge reads no instructions: those of a typed answer would ask for another JSON than a verdict.
        """
        judge = replace(
            self._job,
            tools=Registry(()),
            instructions="",
            output_schema=VERDICT_SCHEMA,
            check=problems_of_verdict,
        )
        prompt = verification_prompt(self._task, self._job.progress.facts, answer, self._job.scope.view())
        try:
            outcome = await take_turn(judge, self._step.id, prompt, opening(judge, prompt), 0, set())
        except _REFUSALS as error:  # the answer is there, only nobody has checked it
            self._job.emit(Failed(f"verify:{self._step.id}", str(error)))
            return None
        if outcome.completion is None or outcome.problems:
            return None
        verdict = Verdict.read(outcome.completion.message.text)
        self._job.emit(Verified(self._step.id, outcome.model, verdict.problems))
        return verdict

    def _keep(self, proposal: _Proposal) -> None:
        """Keep the better answer; of two that are as good the later one, which knows more."""
        if self._best is None or proposal.rank >= self._best.rank:
            self._best = proposal
        self._job.progress.text = self._best.result.text.strip()

    def _affords_another(self, done: int) -> bool:
        """Tell whether what is left covers what an answer has cost so far."""
        view = self._job.scope.view()
        spent = view.spent.minus(self._spent_before)
        return all(left * done >= spent[name] for name, left in view.available.items())

    def _next(self, result: StepResult, verdict: Verdict) -> tuple[tuple[Message, ...], str]:
        """Return history and task of the next proposal: the raw context goes on, or a summary in its place."""
        conversation = result.messages[1:]  # without the instructions, which every tool loop opens with
        work = conversation[len(self._job.history) :]
        size = sum(map(_characters, work))
        turns = sum(message.role == "assistant" for message in work)
        afresh = next_task(self._task, verdict, afresh=True)
        tokens, summary = size // _CHARACTERS_PER_TOKEN, len(afresh) // _CHARACTERS_PER_TOKEN
        if verdict.choice == "pivot" or is_summary_cheaper(tokens, summary, turns, self._price()):
            self._job.emit(Retried(self._step.id, f"{verdict.choice}; a summary replaces {tokens} tokens or so"))
            return self._job.history, afresh
        self._job.emit(Retried(self._step.id, f"{verdict.choice}; the conversation goes on"))
        return conversation, next_task(self._task, verdict, afresh=False)

    def _price(self) -> Price | None:
        """Return the price of the cheapest reader, None when no price is known."""
        prices = (card.price for card in self._job.cards if card.price is not None)
        return min(prices, key=lambda price: price.input, default=None)

    def _answer(self) -> StepResult:
        """Return the best answer there is, and say that it is not verified."""
        assert self._best is not None
        problems = self._best.verdict.problems if self._best.verdict else ()
        return replace(self._best.result, ended="unverified", problems=("the answer is not verified", *problems))


def _characters(message: Message) -> int:
    return len(message.text) + sum(len(call.name) + len(call.arguments) for call in message.tool_calls)
