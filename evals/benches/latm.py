"""`agentkit bench latm`: after how many tasks a made tool has paid, on families of BIG-Bench Hard.

A strong model makes the tools and a cheap one does the tasks, both scripted, at list prices (`MAKER`, `USER`) and
four characters to a token. What is recorded is what the cheap model does without a tool: whether its answer is
right and how many tokens it thinks are those of code-davinci-002, task by task. The maker writes what
`latm_tools.py` has and thinks `THINKING` tokens for each draft. With a tool the user fills in the arguments and
makes no mistake, so accuracy with tools is that of tools and dispatch, not of a model that reads.

Every task goes through `Agent.run` with all families of solved examples at hand; tests and calls run in the
sandbox, and every figure is the ledger's. A break-even is predicted from the first `PREDICTED_FROM` tasks, and
observed where the sums of the same tasks with the tool, its making included, and without it cross.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import ceil
from random import Random
from statistics import fmean
from tempfile import TemporaryDirectory

import anyio

from agentkit import Agent, Budget
from agentkit.backends.fake import Reply, ScriptedBackend, calls
from agentkit.evals.benches.base import BenchResult, Options, environment
from agentkit.evals.benches.latm_tools import ARGUMENTS, DRAFTS, code_of
from agentkit.evals.public_data import required_folder, rows
from agentkit.evals.statistics import wilson
from agentkit.messages import Message, assistant
from agentkit.prices import lookup
from agentkit.toolmaking import Example, Family, ToolMaking
from agentkit.toolmaking.example import family_of
from agentkit.toolmaking.making import When
from agentkit.tools.sandbox import Ran, Sandbox
from agentkit.types import Completion, ModelCard, Request
from agentkit.usage import Bound, Usage

SET = "routing_bbh_direct_vs_cot"
MAKER, USER = "gpt-5", "gpt-5-mini"
THINKING = 1_000
EXAMPLES = 8
TASKS, QUICK_TASKS = 140, 4
QUICK_FAMILIES = ("navigate", "word_sorting")
PREDICTED_FROM = 5
WAYS = {"thinking": "cot", "at_once": "direct"}
"""How the user answers without a tool, and the recorded arm."""


@dataclass(frozen=True, slots=True)
class Question:
    """A recorded question: whether the cheap model was right, and its tokens of output, by recorded arm."""

    family: str
    task: str
    answer: str
    right: Mapping[str, bool]
    tokens: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Done:
    """A task as it was done: nano-dollars without the making's, and those; whether it is right, and had a tool."""

    usd: int
    making: int
    right: bool
    tool: bool = False


class Metered(ScriptedBackend):
    """A scripted model whose tokens are four characters each, and whose replies may think."""

    def bound(self, request: Request) -> Bound:
        """Return the exact input and the card's prices."""
        return Bound.at_price(_read(request), self.card.price)


@dataclass(frozen=True, slots=True)
class _Box(Sandbox):
    """A sandbox that runs the same code once: it gives the same again, and costs nothing in the books."""

    ran: dict[str, Ran] = field(default_factory=dict, compare=False)

    async def run(self, code: str) -> Ran:
        if code not in self.ran:
            self.ran[code] = await Sandbox.run(self, code)
        return self.ran[code]


def run(options: Options) -> BenchResult:
    """Measure every family with a tool that is made at once, one that has to pay, and without."""
    return anyio.run(_run, options)


async def _run(options: Options) -> BenchResult:
    questions = _questions()
    families = [_family(name, asked) for name, asked in questions.items() if name in DRAFTS]
    metrics: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    sums: dict[str, float] = defaultdict(float)

    async def measure(family: Family) -> None:
        stream = questions[family.name][EXAMPLES:]
        Random(family.name).shuffle(stream)
        stream = stream[: QUICK_TASKS if options.quick else options.repeats or TASKS]
        done = await _done(stream, families)
        options.progress(f"latm: {family.name}, {len(stream)} tasks")
        _report(family.name, done, metrics, intervals)
        for way, tasks in done.items():
            sums[f"all_{way}_usd"] += sum(task.usd + task.making for task in tasks) / 1e9
            sums[f"all_{way}_right"] += sum(task.right for task in tasks)
        sums["all_tasks"] += len(stream)

    async with anyio.create_task_group() as group:
        for family in families:
            if not options.quick or family.name in QUICK_FAMILIES:
                group.start_soon(measure, family)
    metrics |= _dispatch(questions, families) | sums
    places = {way: {"usd": sums[f"all_{way}_usd"]} for way in ("direct_thinking", "direct_at_once", "strong")}
    models = {"maker": MAKER, "user": USER, "recorded": "code-davinci-002"}
    return BenchResult("latm", metrics, intervals, places, environment(**models, thinking=THINKING))


async def _done(stream: Sequence[Question], families: Sequence[Family]) -> dict[str, list[Done]]:
    """Do the tasks in every way, one after another."""
    box = _Box()
    done = {f"direct_{way}": await _direct(stream, arm, USER) for way, arm in WAYS.items()}
    done["strong"] = await _direct(stream, WAYS["thinking"], MAKER)
    done["always"] = await _made(stream, families, "always", box)
    done["pays"] = await _made(stream, families, "pays", box)
    return done


def _report(
    name: str,
    done: Mapping[str, Sequence[Done]],
    metrics: dict[str, float],
    intervals: dict[str, tuple[float, float]],
) -> None:
    for way, tasks in done.items():
        right = sum(task.right for task in tasks)
        metrics[f"{name}_{way}_usd_per_task"] = fmean(task.usd for task in tasks) / 1e9
        metrics[f"{name}_{way}_accuracy"] = right / len(tasks)
        intervals[f"{name}_{way}_accuracy"] = wilson(right, len(tasks))
    made = done["always"]
    metrics[f"{name}_making_usd"] = sum(task.making for task in made) / 1e9
    metrics[f"{name}_tasks"] = len(made)
    if not made[0].tool:  # no tool could be made, so nothing breaks even
        return
    for against in ("direct_thinking", "direct_at_once", "strong"):
        without = done[against]
        saving = fmean(task.usd for task in without[:PREDICTED_FROM]) - fmean(
            task.usd for task in made[:PREDICTED_FROM]
        )
        key = f"{name}_break_even_against_{against}"
        if saving > 0:
            metrics[f"{key}_predicted_tasks"] = ceil(made[0].making / saving)
        sums = zip(accumulate(t.usd + t.making for t in made), accumulate(t.usd for t in without), strict=True)
        crossed = next((place for place, (ours, theirs) in enumerate(sums, 1) if ours <= theirs), None)
        if crossed is not None:
            metrics[f"{key}_observed_tasks"] = crossed


def _dispatch(questions: Mapping[str, Sequence[Question]], families: Sequence[Family]) -> dict[str, float]:
    """Return how many questions are given to their family, and how many of other kinds to any."""
    found: dict[bool, list[bool]] = {True: [], False: []}
    for name, asked in questions.items():
        for question in asked[EXAMPLES:]:
            family = family_of(question.task, families)
            found[name in DRAFTS].append((family.name if family else None) == (name if name in DRAFTS else None))
    return {
        "dispatch_right_share": fmean(found[True]),
        "dispatch_others_left_alone_share": fmean(found[False]),
    }


async def _direct(stream: Sequence[Question], arm: str, model: str) -> list[Done]:
    """Do the tasks without tools."""
    agent = Agent(_user(stream, arm, model))
    done = []
    for question in stream:
        answer = await agent.run(question.task, budget=Budget.unlimited())
        done.append(Done(answer.spent["usd"], 0, answer.text == question.answer))
    return done


async def _made(stream: Sequence[Question], families: Sequence[Family], when: When, box: Sandbox) -> list[Done]:
    """Do the tasks with tools that are made on the way."""
    done = []
    with TemporaryDirectory() as store:
        smith = Agent(_maker(families), name="smith", max_output_tokens=8_000)
        making = ToolMaking(smith, families, store, when=when, sandbox=box)
        agent = Agent(_user(stream, WAYS["thinking"], USER), tool_making=making)
        for question in stream:
            answer = await agent.run(question.task, budget=Budget.unlimited())
            assert answer.tool_making is not None
            spent = answer.tool_making.making["usd"]
            right = answer.text.casefold().split() == question.answer.casefold().split()
            with_tool = answer.tool_making.tool is not None
            done.append(Done(answer.spent["usd"] - spent, spent, right, with_tool))
    return done


def _user(stream: Sequence[Question], arm: str, model: str) -> ScriptedBackend:
    """Return the cheap model: with a tool it calls it and says what it gave, without it is as recorded."""
    known = {question.task: question for question in stream}

    def reply(request: Request) -> Reply:
        last = request.messages[-1]
        if last.role == "tool":
            return _said(request, assistant(last.text))
        question = known[last.text]
        if request.tools:
            call = calls((request.tools[0].name, ARGUMENTS[question.family](question.task)))
            return _said(request, call.message)
        text = question.answer if question.right[arm] else "wrong"
        return _said(request, assistant(text), question.tokens[arm])

    return Metered(reply, card=_card(model))


def _maker(families: Sequence[Family]) -> ScriptedBackend:
    """Return the strong model, which writes the drafts one after another and fills in calls."""
    drafts = {name: list(map(code_of, functions)) for name, functions in DRAFTS.items()}

    def reply(request: Request) -> Reply:
        asked = request.messages[-1].text
        family = next(family for family in families if family.examples[0].task in asked)
        if asked.startswith("The function "):
            listed = "\n".join(json.dumps(ARGUMENTS[family.name](example.task)) for example in family.examples)
            return _said(request, assistant(listed))
        left = drafts[family.name]
        return _said(request, assistant(left.pop(0) if len(left) > 1 else left[0]), THINKING)

    return Metered(reply, card=_card(MAKER))


def _said(request: Request, message: Message, thought: int = 0) -> Completion:
    """Return the reply with its usage: what was read, thought and written."""
    usage = Usage(_read(request), output_tokens=thought + ceil(_characters(message) / 4))
    return Completion(message, "tool_calls" if message.tool_calls else "stop", usage)


def _read(request: Request) -> int:
    offered = sum(len(t.name) + len(t.description) + len(json.dumps(t.parameters)) for t in request.tools)
    return ceil((sum(map(_characters, request.messages)) + offered) / 4)


def _characters(message: Message) -> int:
    return len(message.text) + sum(len(call.name) + len(call.arguments) for call in message.tool_calls)


def _card(model: str) -> ModelCard:
    return ModelCard(model, backend="fake", model=model, price=lookup(model), max_output_tokens=8_000)


def _family(name: str, asked: Sequence[Question]) -> Family:
    return Family(name, tuple(Example(question.task, question.answer) for question in asked[:EXAMPLES]))


def _questions() -> dict[str, list[Question]]:
    """Return the questions by family; stories of three, five and seven objects are one."""
    folder = required_folder(SET)
    right: dict[str, dict[str, bool]] = defaultdict(dict)
    tokens: dict[str, dict[str, int]] = defaultdict(dict)
    with gzip.open(folder / "outcomes.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            arm = row["model"].rpartition("/")[2]
            right[row["query_id"]][arm] = float(row["score"]) >= 0.5
            tokens[row["query_id"]][arm] = int(float(row["output_tokens"]))
    found: dict[str, list[Question]] = defaultdict(list)
    for row in rows(folder / "queries.jsonl.gz"):
        name = "tracking_shuffled_objects" if row["task"].startswith("tracking") else row["task"]
        key = row["query_id"]
        found[name].append(Question(name, row["query"], row["ref"], right[key], tokens[key]))
    return found
