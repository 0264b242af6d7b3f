"""Reads a plan while it is being written: steps are JSON objects, one after another, in whatever text.

A step is complete with its last brace, so how the text is cut into pieces changes nothing. Prose and code fences
around the objects are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from agentkit.errors import PlanError
from agentkit.planner.base import Plan, Step
from agentkit.planner.check import problems_of_use
from agentkit.planner.policy import OnFailure
from agentkit.planner.tool_use import REFERENCE, Ref, ToolUse
from agentkit.tools import Registry

_ARGUMENTS = ("with", "arguments", "args")
"""The key that is asked for, and those that models write from habit."""
_SHOWN = 80


class PlanReader:
    """Turns text into steps that can run; `problems` says what is wrong with those that cannot.

    A step may refer to those above it only, so no plan has a circle. No more than `limit` steps are read.
    """

    def __init__(self, tools: Registry, on_failure: OnFailure, limit: int) -> None:
        self.steps: dict[str, Step] = {}
        self.problems: list[str] = []
        self._tools, self._on_failure, self._limit = tools, on_failure, limit
        self._objects = _Objects()

    def feed(self, piece: str) -> list[Step]:
        """Take the next piece of the text and return the steps that it completes."""
        found = []
        for text in self._objects.feed(piece):
            for entry in self._entries(text):
                try:
                    step = self._step(entry)
                except (PlanError, RecursionError) as error:
                    self.problems.append(f"{_shown(str(entry))}: {error}")
                else:
                    self.steps[step.id] = step
                    found.append(step)
        return found

    def begin_again(self) -> None:
        """Take what follows as a text of its own; the steps so far stay, the problems are forgotten."""
        self._objects = _Objects()
        self.problems = []

    def _entries(self, text: str) -> list[Mapping[str, Any]]:
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            self.problems.append(f"{_shown(text)}: not JSON: {error}")
            return []
        listed = next((found[key] for key in ("steps", "plan") if isinstance(found.get(key), list)), None)
        return [found] if listed is None else [entry for entry in listed if isinstance(entry, dict)]

    def _step(self, entry: Mapping[str, Any]) -> Step:
        step_id, needs = str(entry.get("id", len(self.steps) + 1)), entry.get("needs", [])
        if len(self.steps) >= self._limit:
            raise PlanError(f"a plan has {self._limit} steps at most; leave out what matters least")
        if step_id in self.steps:
            raise PlanError(f"there is a step {step_id!r} already; take another id")
        if not isinstance(needs, list):
            raise PlanError("needs is a list of step ids")
        use, task = self._use(entry), entry.get("task", "")
        if use is None and not (isinstance(task, str) and task.strip()):
            raise PlanError("a step has a tool or a task")
        named = tuple(dict.fromkeys(map(str, needs)))
        step = Step(step_id, "" if use else task, named, call=use, on_failure=self._on_failure)
        if unknown := [need for need in step.needs if need not in self.steps]:
            raise PlanError(f"there is no step {unknown[0]!r} above it")
        return step

    def _use(self, entry: Mapping[str, Any]) -> ToolUse | None:
        if "tool" not in entry:
            return None
        arguments: Any = next((entry[key] for key in _ARGUMENTS if key in entry), {})
        if not isinstance(entry["tool"], str) or not isinstance(arguments, dict):
            raise PlanError("tool is a name and with an object of arguments")
        use = ToolUse.read(entry["tool"], arguments)
        problems = problems_of_use(use, self._tools)
        for value in use.arguments.values():
            if isinstance(value, str) and value.startswith("$") and value.strip("${}") in self.steps:
                problems += (f'{value!r} is plain text; write {{"$from": {json.dumps(value.strip("${}"))}}}',)
        if problems:
            raise PlanError("; ".join(problems))
        return use


def read_plan(text: str, tools: Registry, limit: int = 32) -> tuple[Plan | None, tuple[str, ...]]:
    """Return the plan in `text` as a model writes it, None without a step that can run, and what cannot."""
    reader = PlanReader(tools, OnFailure("isolate"), limit)
    steps = reader.feed(text)
    return Plan(tuple(steps), "written by a model") if steps else None, tuple(reader.problems)


def written(step: Step) -> str:
    """Return the line that `PlanReader` reads as `step`."""
    if step.call is None:
        return json.dumps({"id": step.id, "task": step.task, "needs": step.needs})
    arguments = step.call.arguments_with(lambda place, ref: _written(ref))
    return json.dumps({"id": step.id, "tool": step.call.tool, "with": arguments, "needs": step.needs})


def _written(ref: Ref) -> dict[str, Any]:
    return {REFERENCE: ref.step, "path": ref.path} if ref.path else {REFERENCE: ref.step}


class _Objects:
    """Cuts a text into its outermost JSON objects, character by character."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._depth = 0
        self._in_string = self._escaped = False

    def feed(self, piece: str) -> Iterator[str]:
        for character in piece:
            if self._depth:
                self._open.append(character)
            if self._in_string:
                self._read_string(character)
            elif character == "{":
                if not self._depth:
                    self._open = [character]
                self._depth += 1
            elif character == '"' and self._depth:
                self._in_string = True
            elif character == "}" and self._depth:
                self._depth -= 1
            if self._open and not self._depth:
                yield "".join(self._open)
                self._open = []

    def _read_string(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            self._in_string = False
        elif character == "\n":  # no JSON string goes on there: the object is broken, and the next one may not be
            self._in_string, self._depth = False, 0


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
