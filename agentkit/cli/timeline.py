"""Events of a run in words."""

from __future__ import annotations

from collections.abc import Mapping

from agentkit.cli.amounts import brief, listed
from agentkit.trace import (
    Answered,
    Charged,
    Composed,
    Dispatched,
    Event,
    Extended,
    Failed,
    Overrun,
    Planned,
    Replanned,
    Reserved,
    Retried,
    Routed,
    RunStarted,
    Settled,
    TextDelta,
    ToolFinished,
    ToolStarted,
    Verified,
    Voided,
)


def describe(event: Event) -> str:
    """Return what happened, in one line."""
    match event:
        case RunStarted():
            return f"{event.agent} is asked {event.task!r}; budget {listed(event.limits, event.seconds)}"
        case Composed():
            more = [*left_out(event), *([event.more] if event.more else [])]
            return "; ".join([f"equipped with {', '.join(event.chosen)}", *more])
        case Planned() | Replanned():
            return f"{', '.join(event.needs)}: {event.reason}"
        case Routed():
            return f"{event.model or 'stop'}: {event.reason}"
        case Retried():
            return f"again: {event.reason}"
        case ToolStarted():
            return f"{event.name}({event.arguments})"
        case ToolFinished():
            return f"{event.name} {'failed: ' if event.is_error else 'gave '}{event.content}"
        case TextDelta():
            return f"{event.model}: {event.text}"
        case Verified() if event.about and not event.problems:
            said = {True: "right", False: "wrong", None: "neither right nor wrong"}[event.right]
            return f"{event.model}: the reply of {event.about} is {said}"
        case Verified():
            return f"{event.model}: {'; '.join(event.problems) or 'valid'}"
        case Answered():
            return f"{event.status}: {event.text or event.stop_reason}"
        case Failed():
            return f"{event.where}: {event.error}"
        case _:
            return _describe_hold(event)


def left_out(event: Composed) -> list[str]:
    """Return which models a run goes without, and why."""
    without = sorted(key for key in event.reasons if key.startswith("model:") and key not in event.chosen)
    return [f"without {key}: {event.reasons[key]}" for key in without]


def _is_from_cache(usage: object) -> bool:
    """Tell by a live usage record, or by one that was read back from a trace."""
    return usage.get("from_cache") is True if isinstance(usage, Mapping) else getattr(usage, "from_cache", False)


def _describe_hold(event: Event) -> str:
    match event:
        case Reserved():
            return f"{event.what} holds {brief(event.cost)}"
        case Dispatched():
            return f"{event.hold} leaves"
        case Extended():
            return f"{event.hold} holds {brief(event.more)} more"
        case Settled(usage=usage) if _is_from_cache(usage):
            return f"{event.what} cost nothing: the reply is from the cache"
        case Settled():
            return f"{event.what} cost {brief(event.charged)}"
        case Voided():
            return f"{event.hold} is released"
        case Charged():
            return f"{event.what} is charged in full: {brief(event.charged)}"
        case Overrun():
            return f"{event.what} was billed {brief(event.excess)} above its hold"
        case _:
            return event.kind
