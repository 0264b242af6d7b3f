"""What an agent definition may say about what tools do, and may do."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, StringConstraints

from agentkit.costs import Cost, nano_usd
from agentkit.errors import ConfigError
from agentkit.spec_parts import Count, Flag, Spec, Text, number
from agentkit.tool_spec import ToolCost
from agentkit.tools.policy import AfterUntrusted, ArgumentRule, Effect, Policy, Rule

ToolPattern = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_*?-]{1,64}$")]
Number = Annotated[float, BeforeValidator(number)]


class ArgumentSpec(Spec):
    """What an argument of a tool may be."""

    choices: Annotated[tuple[str | int | float | bool, ...], Field(min_length=1)] | None = None
    pattern: Text | None = None
    """A regular expression that the whole value matches."""
    least: Number | None = None
    most: Number | None = None
    hosts: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    """The value is an address at one of these hosts, or below one."""
    untrusted: Flag = False
    """May come from text that anybody could have written, where other arguments may not."""


class RuleSpec(Spec):
    """What a tool does and may do in one run."""

    effect: Effect = "write"
    arguments: dict[Text, ArgumentSpec] = {}
    approval: Flag = False
    """Ask before every call; refused where nobody can be asked."""
    max_calls: Count | None = None
    max_cost: ToolCost | None = None
    after_untrusted: AfterUntrusted | None = None
    """Once the run has read text that anybody could have written: `deny` calls, `ask` before them, take those
    whose values the user `asked` for, or `allow` them. Reading is allowed and the rest denied if not given."""
    asked_for: tuple[Text, ...] = ()
    """With `asked`: words of which the user's task has at least one."""
    trusted_output: Flag = False
    """What the tool gives back is as good as the user's word."""
    trusted_spec: Flag = False
    """Believe the description of a tool from elsewhere."""

    def to_rule(self) -> Rule:
        """Return the rule; ConfigError for a pattern that cannot be read."""
        return Rule(
            effect=self.effect,
            arguments={name: ArgumentRule(**dict(spec)) for name, spec in self.arguments.items()},
            approval=self.approval,
            max_calls=self.max_calls,
            max_cost=None if self.max_cost is None else Cost(usd=nano_usd(self.max_cost.usd)),
            after_untrusted=self.after_untrusted,
            asked_for=self.asked_for,
            trusted_output=self.trusted_output,
            trusted_spec=self.trusted_spec,
        )


PolicySpec = Annotated[dict[ToolPattern, RuleSpec], Field(min_length=1)]
"""Rules by the name of a tool or a pattern such as `send_*`; a tool without one counts as `write`."""


def to_policy(spec: dict[str, RuleSpec]) -> Policy:
    """Return the policy; ConfigError names the tool whose rule is wrong."""
    rules: dict[str, Rule] = {}
    for name, rule in spec.items():
        try:
            rules[name] = rule.to_rule()
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from error
    return Policy(rules)
