"""A policy at work in one run: it admits or denies each call, and remembers what the run has read.

What a run starts, such as an agent that is its tool, is held to the policies of both, and what it reads taints
both.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from agentkit.costs import Cost
from agentkit.errors import ToolDenied
from agentkit.messages import ToolCall, ToolResult
from agentkit.tools.context import enforcer_around
from agentkit.tools.policy import Approval, Policy, Rule
from agentkit.tools.taint import Provenance
from agentkit.tools.tool import Tool


class Enforcer:
    """The policy of one run; `trusted` are the texts of its user, `tools` what its models are offered."""

    def __init__(
        self, policy: Policy, trusted: Iterable[str], tools: Iterable[Tool], *, tainted_by: Iterable[str] = ()
    ) -> None:
        self._policy, self._outer = policy, enforcer_around.get()
        self.provenance = Provenance(trusted, tainted_by)
        self._calls: Counter[str] = Counter()
        self._spent: dict[str, Cost] = {}
        for tool in tools:
            if tool.foreign and not policy.rule(tool.name).trusted_spec:
                self._taint(f"the description of {tool.name}")

    async def admit(self, tool: Tool, call: ToolCall) -> None:
        """Count a call that may run; ToolDenied says why one may not. Whoever is to approve it is asked."""
        if self._outer is not None:
            await self._outer.admit(tool, call)
        rule = self._policy.rule(tool.name)
        arguments = _read(call)
        self._check(tool, rule, arguments)
        question = self._question(tool.name, rule, arguments)
        self._calls[tool.name] += 1  # before anybody is asked, so that calls side by side count as well
        self._spent[tool.name] = self._spent.get(tool.name, Cost()) + tool.cost
        if question is not None and not await self._approved(question):
            raise ToolDenied(tool.name, f"{question.reason}, and was not approved")

    def observe(self, result: ToolResult) -> None:
        """Remember what a tool gave back, which the models of the run are about to read."""
        if self._outer is not None:
            self._outer.observe(result)
        if self._policy.rule(result.name).trusted_output and not result.is_error:
            self.provenance.trust(result.content)
        else:
            self.provenance.taint(result.name)

    @contextmanager
    def around(self) -> Iterator[None]:
        """Hold what a tool starts inside the block to this policy as well."""
        token = enforcer_around.set(self)
        try:
            yield
        finally:
            enforcer_around.reset(token)

    def _taint(self, source: str) -> None:
        self.provenance.taint(source)
        if self._outer is not None:
            self._outer._taint(source)

    def _check(self, tool: Tool, rule: Rule, arguments: Mapping[str, Any]) -> None:
        for name, limit in rule.arguments.items():
            if name in arguments and (problem := limit.problem(arguments[name])):
                raise ToolDenied(tool.name, f"{name!r} {problem}")
        if rule.max_calls is not None and self._calls[tool.name] >= rule.max_calls:
            raise ToolDenied(tool.name, f"it may be called {rule.max_calls} times in a run, and has been")
        if rule.max_cost is not None:
            total = self._spent.get(tool.name, Cost()) + tool.cost
            if any(total[resource] > limit for resource, limit in rule.max_cost.items()):
                raise ToolDenied(tool.name, "its calls have used up what the policy lets them cost")

    def _question(self, name: str, rule: Rule, arguments: Mapping[str, Any]) -> Approval | None:
        """Return what has to be approved before the call may run, None if nothing has; ToolDenied."""
        reason = "its policy asks for approval"
        untrusted: tuple[str, ...] = ()
        if self.provenance.tainted_by and rule.tainted != "allow":
            source = self.provenance.tainted_by[0]
            untrusted = self._untrusted(rule, arguments)
            reason = f"the call may be the wish of whoever wrote what {source} gave back"
            if source.startswith("the "):
                reason = f"the call may be the wish of whoever wrote {source}"
            if rule.tainted == "deny":
                raise ToolDenied(name, f"{reason}; its policy allows none after that")
            if rule.tainted == "asked":
                if untrusted:
                    raise ToolDenied(name, f"{reason}: the user did not name {', '.join(untrusted)}")
                if rule.asked_for and not self.provenance.says(rule.asked_for):
                    raise ToolDenied(name, f"{reason}: the user did not ask to {' or '.join(rule.asked_for)}")
            if rule.tainted == "ask":
                return Approval(name, rule.effect, arguments, reason, untrusted)
        return Approval(name, rule.effect, arguments, reason, untrusted) if rule.approval else None

    def _untrusted(self, rule: Rule, arguments: Mapping[str, Any]) -> tuple[str, ...]:
        free = {name for name, limit in rule.arguments.items() if limit.untrusted}
        return self.provenance.untrusted({name: v for name, v in arguments.items() if name not in free})

    async def _approved(self, question: Approval) -> bool:
        if self._policy.approve is None:
            return False
        try:
            return await self._policy.approve(question) is True
        except Exception:  # who cannot be asked has not agreed
            return False


def enforcer_for(
    policy: Policy | None, task: str, trusted: Iterable[str], tools: Iterable[Tool], history_read: bool
) -> Enforcer:
    """Return the enforcer of a run; without a policy of its own it allows everything, and remembers what was read.

    A task that a tainted run hands down is no word of the user's. Raises ConfigError for a misspelled rule.
    """
    outer: Enforcer | None = enforcer_around.get()
    texts, tainted_by = [*trusted], ["the history"] if history_read else []
    if outer is not None:
        tainted_by += outer.provenance.tainted_by
        texts += outer.provenance.texts
    if not tainted_by or outer is None:
        texts.append(task)
    tools = tuple(tools)
    if policy is not None:
        policy.check(tool.spec for tool in tools)
    allowing = Policy({"*": Rule(after_untrusted="allow")})
    return Enforcer(policy or allowing, texts, tools, tainted_by=tainted_by)


def _read(call: ToolCall) -> Mapping[str, Any]:
    """Return the arguments as the model wrote them; what was left out is filled in by the application."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):  # parsers differ in which of them they take
            raise ToolDenied(call.name, "an argument is given twice")
        return dict(pairs)

    try:
        arguments = json.loads(call.arguments.strip() or "{}", object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise ToolDenied(call.name, "its arguments cannot be read") from error
    if not isinstance(arguments, dict):
        raise ToolDenied(call.name, "its arguments are no map")
    return arguments
