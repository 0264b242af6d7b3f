"""What tools may do in a run: the effect of each, limits of its arguments, and what untrusted text forbids.

    policy = Policy({
        "find_*": Rule("read", trusted_output=True),
        "cancel_order": Rule("write", after_untrusted="asked", asked_for=("cancel",), max_calls=1),
        "pay": Rule("money", arguments={"amount": ArgumentRule(most=100)}, approval=True),
    }, approve=ask_the_user)

A tool that no rule names counts as `write`. Once a run has read untrusted text (`taint.py`), calls that change
something, spend money, run code or reach the network are denied unless their rule says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from agentkit.costs import Cost
from agentkit.errors import ConfigError
from agentkit.types import ToolSpec

Effect = Literal["read", "write", "money", "exec", "net"]
AfterUntrusted = Literal["deny", "ask", "asked", "allow"]
"""A call after untrusted text was read: denied, only with approval, only as the user asked, or like any other."""


@dataclass(frozen=True, slots=True)
class ArgumentRule:
    """What an argument may be; `hosts` takes addresses at these hosts and below them.

    `untrusted` lets the value come from untrusted text where the others may not: the body of a message, say.
    """

    choices: tuple[object, ...] | None = None
    pattern: str | None = None
    least: float | None = None
    most: float | None = None
    hosts: tuple[str, ...] | None = None
    untrusted: bool = False

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise ConfigError(f"an argument's pattern {self.pattern!r} cannot be read: {error}") from error
        for name, bound in (("least", self.least), ("most", self.most)):
            if bound is not None and (isinstance(bound, bool) or not isinstance(bound, int | float)):
                raise ConfigError(f"{name} of an argument is a number such as 100, not {bound!r}")

    def problem(self, value: object) -> str:
        """Return what is wrong with `value`, nothing when it is fine; each item of a list has to be."""
        if isinstance(value, list):
            return next(filter(None, map(self.problem, value)), "")
        if self.choices is not None and value not in self.choices:
            return f"has to be one of {', '.join(map(str, self.choices))}"
        if self.pattern is not None and not re.fullmatch(self.pattern, str(value)):
            return f"has to match {self.pattern}"
        return self._out_of_range(value) or self._elsewhere(value)

    def _out_of_range(self, value: object) -> str:
        if self.least is None and self.most is None:
            return ""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "has to be a number"
        if self.least is not None and not value >= self.least:
            return f"has to be {self.least:g} at least"
        return f"has to be {self.most:g} at most" if self.most is not None and not value <= self.most else ""

    def _elsewhere(self, value: object) -> str:
        if self.hosts is None:
            return ""
        try:
            parts = urlsplit(str(value))
        except ValueError:
            return "is no address"
        host = (parts.hostname or "").rstrip(".")
        # what a client may read otherwise than we do is refused: a backslash, a blank, another character set
        if parts.username is not None or not re.fullmatch(r"[\x21-\x5b\x5d-\x7e]+", str(value)):
            return "is no plain address"
        if any(host == known or host.endswith(f".{known}") for known in self.hosts):
            return ""
        return f"has to be an address at {', '.join(self.hosts)}"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a tool does and may.

    `approval` asks before every call, `max_calls` and `max_cost` limit one run. `after_untrusted` is `allow` for
    reading and `deny` for everything else unless given; `asked` allows a call all of whose values the user, or
    another trusted text, has named, and of whose words `asked_for` one. With `trusted_output` what the tool gives
    back is as good as the user's word; `trusted_spec` believes the description of a tool from elsewhere.
    """

    effect: Effect = "write"
    arguments: Mapping[str, ArgumentRule] = field(default_factory=dict)
    approval: bool = False
    max_calls: int | None = None
    max_cost: Cost | None = None
    after_untrusted: AfterUntrusted | None = None
    asked_for: tuple[str, ...] = ()
    trusted_output: bool = False
    trusted_spec: bool = False

    def __post_init__(self) -> None:
        if self.effect not in get_args(Effect):
            raise ConfigError(f"an effect is one of {', '.join(get_args(Effect))}, not {self.effect!r}")
        if self.after_untrusted not in (None, *get_args(AfterUntrusted)):
            known = ", ".join(get_args(AfterUntrusted))
            raise ConfigError(f"after_untrusted is one of {known}, not {self.after_untrusted!r}")

    @property
    def tainted(self) -> AfterUntrusted:
        """What holds once untrusted text was read."""
        return self.after_untrusted or ("allow" if self.effect == "read" else "deny")


@dataclass(frozen=True, slots=True)
class Approval:
    """What somebody is asked to approve; `untrusted` are the arguments that may be the wish of somebody else."""

    tool: str
    effect: Effect
    arguments: Mapping[str, Any]
    reason: str
    untrusted: tuple[str, ...] = ()


Approver = Callable[[Approval], Awaitable[bool]]
"""Says whether a call may run; whatever it raises means no."""

_UNNAMED = Rule()


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules by the name of a tool or a pattern such as `send_*`; the exact name, else the longest pattern holds.

    Without `approve` nothing is approved.
    """

    rules: Mapping[str, Rule] = field(default_factory=dict)
    approve: Approver | None = None

    def rule(self, name: str) -> Rule:
        """Return the rule for the tool `name`."""
        if name in self.rules:
            return self.rules[name]
        fitting = [pattern for pattern in self.rules if fnmatchcase(name, pattern)]
        return self.rules[max(fitting, key=len)] if fitting else _UNNAMED

    def check(self, tools: Iterable[ToolSpec]) -> None:
        """Raise ConfigError for a rule that is misspelled and would hold for nothing: its tool, or an argument.

        A rule for a tool that is not there is no mistake by itself, since several agents may share a policy.
        """
        specs = {tool.name: tool for tool in tools}
        unruled = [name for name in specs if self.rule(name) is _UNNAMED]
        for key, rule in self.rules.items():
            if key not in specs and (close := get_close_matches(key, unruled, n=1, cutoff=0.8)):
                raise ConfigError(
                    f"the policy has a rule for {key!r}, which is no tool here, and none for {close[0]!r}; "
                    f"did you mean {close[0]!r}? If not, give {close[0]!r} a rule of its own"
                )
            self._check_arguments(key, rule, [spec for name, spec in specs.items() if self.rule(name) is rule])

    def _check_arguments(self, key: str, rule: Rule, specs: list[ToolSpec]) -> None:
        names = sorted({name for spec in specs for name in spec.parameters.get("properties", ())})
        unknown = sorted(set(rule.arguments) - set(names))
        if unknown and names and not any(spec.parameters.get("additionalProperties") for spec in specs):
            close = get_close_matches(unknown[0], names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(map(repr, names))}"
            raise ConfigError(f"the policy limits an argument {unknown[0]!r} that {key!r} does not take; {hint}")
