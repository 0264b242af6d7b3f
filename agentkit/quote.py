"""What a run will cost, said before anything is spent, from what earlier runs of the same agent cost.

Cost is forecast (`budgets/forecast.py`) as a multiple of the task's published minimum, which is known beforehand
and grows with the task. Without earlier runs the range goes from the minimum to the maximum, neither of which is
learnt: a run that needs no final answer of its own may spend less than the minimum.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentkit.budgets.forecast import MEMORY, Forecast
from agentkit.costs import NANO, Cost
from agentkit.errors import BackendError
from agentkit.executor.continuation import MOST_PIECES
from agentkit.executor.finish_line import ANSWER_TOKENS
from agentkit.executor.turn import DEFAULT_OUTPUT
from agentkit.planner import Plan, SingleStepPlanner, Step
from agentkit.routers import FallbackRouter, RuleRouter
from agentkit.tools import Registry
from agentkit.trace import Answered, Stamped
from agentkit.usage import Bound
from agentkit.work import Work, least_cost

if TYPE_CHECKING:
    from agentkit.planner.dry_run import DryRun

QUOTED = ("usd", "tokens", "input_tokens", "output_tokens", "requests", "tool_calls", "gpu_us")
"""The resources of a quote."""


@dataclass(frozen=True, slots=True)
class Quote:
    """What a run will spend, by resource, as `runs` earlier ones tell.

    One run of ten spends less than `p10`, and one of ten more than `p90`. None passes `maximum`: the budget's
    limit, or what all turns can cost. A resource absent from `p50`, `p90` or `maximum` has no bound there. `plan`
    is the plan, if it is known beforehand, on stand-ins; `problems` says what keeps it from running to its end.
    """

    minimum: Cost
    p10: Mapping[str, int]
    p50: Mapping[str, int]
    p90: Mapping[str, int]
    maximum: Mapping[str, int]
    runs: int
    plan: DryRun | None = None
    problems: tuple[str, ...] = ()

    @property
    def feasible(self) -> bool:
        """Whether the limits pay the minimum; else a run would answer nothing and spend nothing."""
        return all(self.minimum[name] <= most for name, most in self.maximum.items())


class History:
    """What the earlier runs of an agent cost: those of this process, or those in the trace file they leave."""

    def __init__(self) -> None:
        self.runs = 0
        self._forecasts = {name: Forecast() for name in QUOTED}
        self._fresh: deque[tuple[str, Answered]] = deque(maxlen=MEMORY)
        self._offset = 0
        self._open: dict[str, str] = {}  # by run: the tasks in the file that have no answer yet

    def add(self, task: str, answered: Answered) -> None:
        """Count a run that is over; one that was infeasible tells nothing."""
        if answered.status != "infeasible":
            self._fresh.append((task, answered))

    def read(self, path: Path) -> None:
        """Count the runs that were added to the trace file since it was last read."""
        if not path.exists():
            return
        if path.stat().st_size < self._offset:  # it was rotated
            self._offset = 0
        with path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):  # somebody is writing it
                    break
                self._offset += len(line)
                if b'"kind": "run"' in line or b'"kind": "answer"' in line:
                    self._read_line(line)

    def forecasts(self, minimum: Callable[[str], Cost]) -> Mapping[str, Forecast]:
        """Return the forecast of each resource, as a multiple of a task's `minimum`."""
        while self._fresh:  # here and not in `add`, since a minimum takes longer than a run should wait for it
            task, answered = self._fresh.popleft()
            try:
                least = minimum(task)
            except BackendError:  # the agent was another one then, and took tasks that this one does not
                continue
            for name, forecast in self._forecasts.items():
                cut_short = answered.status == "exhausted"
                forecast.observe(answered.spent[name] / _unit(least, name), cut_short=cut_short)
            self.runs += 1
        return self._forecasts

    def _read_line(self, line: bytes) -> None:
        try:
            row = json.loads(line)
            if row["kind"] == "run":
                self._open[row["run"]] = row["task"]
            elif (task := self._open.pop(row["run"], None)) is not None:
                self.add(task, Answered(row["status"], row["stop_reason"], "", Cost(row["spent"])))
        except (ValueError, KeyError, TypeError):  # a crash may leave half a line, and the next run goes on in it
            return
        if len(self._open) > MEMORY:  # runs that failed have no answer
            del self._open[next(iter(self._open))]


class Recorder:
    """The sink that tells a history how a run of `task` ended."""

    def __init__(self, history: History, task: str) -> None:
        self._history, self._task = history, task

    def write(self, stamped: Stamped) -> None:
        """Take the next event."""
        if isinstance(stamped.event, Answered):
            self._history.add(self._task, stamped.event)

    def close(self) -> None:
        """Do nothing: there is nothing to release."""


def quote(work: Work[Any], history: History, plan: Plan | str | None = None) -> Quote:
    """Return what `work` will spend, and its `plan` on stand-ins; raises UnboundedCost as its run would.

    Without one the plan is that of a `FixedPlanner`; text is read as one that a model wrote.
    """
    if plan is None and type(work.planner) is SingleStepPlanner:
        return _quote(work, history, None)
    from agentkit.planner.fixed import FixedPlanner  # what few runs need is loaded when they do
    from agentkit.planner.plan_text import read_plan

    unread: tuple[str, ...] = ()
    if plan is None and isinstance(work.planner, FixedPlanner):
        plan = work.planner.plan_of(work.task)
    elif isinstance(plan, str):
        plan, unread = read_plan(plan, Registry(work.tools))
    if plan is None:
        return replace(_quote(work, history, None), problems=unread)
    dry = _on_stand_ins(work, plan)
    made = _quote(work, history, dry)
    return replace(made, plan=dry, problems=(*unread, *dry.problems, *_unpaid(work, dry, made.minimum)))


def _unpaid(work: Work[Any], dry: DryRun, minimum: Cost) -> Iterator[str]:
    """Say for which resources the budget, less the final answer that is held, does not pay the calls of a plan."""
    for name, limit in work.budget.limits().items():
        if (needed := dry.calls[name] + minimum[name]) > limit:
            what = (
                f"${needed / NANO:.6g} of ${limit / NANO:.6g}" if name == "usd" else f"{needed} of {limit} {name}"
            )
            yield f"the budget does not pay its calls: they and a final answer take {what}"


def _quote(work: Work[Any], history: History, dry: DryRun | None) -> Quote:
    forecasts = history.forecasts(lambda task: least_cost(replace(work, task=task)))
    minimum, maximum, runs = least_cost(work), _maximum(work, dry), history.runs
    ranges = {name: _range(forecasts[name], name, minimum, maximum) for name in QUOTED}
    p10, p50, p90 = ({name: round(r[i]) for name, r in ranges.items() if math.isfinite(r[i])} for i in range(3))
    made = Quote(minimum, p10, p50, p90, maximum, runs)
    nothing = dict.fromkeys(QUOTED, 0)
    return made if made.feasible else replace(made, p10=nothing, p50=nothing, p90=nothing)


def _range(forecast: Forecast, name: str, minimum: Cost, maximum: Mapping[str, int]) -> tuple[float, ...]:
    unit = _unit(minimum, name)
    multiples = forecast.range(minimum[name] / unit, maximum.get(name, math.inf) / unit)
    return tuple(multiple * unit for multiple in multiples)


def _unit(minimum: Cost, name: str) -> int:
    return minimum[name] or 1  # a final answer takes no tool calls: those are counted as they are


def _maximum(work: Work[Any], dry: DryRun | None) -> dict[str, int]:
    """Return the limits, and where there is none what all turns can cost."""
    most = _turns(work) if dry is None else _plan(work, dry)
    return {**most, **{name: min(limit, most.get(name, limit)) for name, limit in work.budget.limits().items()}}


def _turns(work: Work[Any]) -> Mapping[str, int]:
    """Return the cost of every turn and the wrap-up, each with every model at its full context window.

    It is unknown when tools may spend, and when a plan or a router of another kind may make more calls than that.
    The cards are believed: a model refuses what is longer than its context window.
    """
    if work.tools or work.sources or work.tool_making or type(work.planner) is not SingleStepPlanner:
        return {}
    turn = _turn(work)
    most = {name: (_calls(work) + _wrap_up_calls(work)) * amount for name, amount in turn.items()}
    return {**most, "tool_calls": 0} if most else {}


def _plan(work: Work[Any], dry: DryRun) -> Mapping[str, int]:
    """Return the cost of every step of a plan and of the wrap-up, where both are bounded and all there is."""
    if work.tool_making or (work.tool_search and work.tool_search.spends):
        return {}
    turn = {**_turn(work), "tool_calls": 0}
    return {name: most + _wrap_up_calls(work) * turn[name] for name, most in dry.maximum.items() if name in turn}


def _on_stand_ins(work: Work[Any], plan: Plan) -> DryRun:
    """Run `plan` on stand-ins; what is a task costs its turns, and whatever its tools charge has no bound."""
    from agentkit.planner.dry_run import dry_run

    charged = {name for tool in work.tools for name in tool.hold}
    spends = any(tool.spends or tool.hands_over for tool in work.tools) or bool(work.sources)
    turn = {name: _calls(work) * amount for name, amount in _turn(work).items() if name not in charged}

    def price(step: Step) -> Mapping[str, int]:
        return {} if spends or step.proposals > 1 or step.planning else turn

    return dry_run(plan, Registry(work.tools), price, QUOTED, others=bool(work.sources))


def _turn(work: Work[Any]) -> Mapping[str, int]:
    """Return the most that one call of every model costs; nothing where a router may make any number of them."""
    router = work.router.router if isinstance(work.router, FallbackRouter) else work.router
    if type(router) is not RuleRouter or work.resilience.on_overflow == "summarise":
        return {}
    cards = [backend.card for backend in work.backends.values()]
    cap = work.sampling.max_output_tokens or DEFAULT_OUTPUT
    costs = [
        Bound.at_price(card.context_window, card.price).at(max(ANSWER_TOKENS, min(cap, card.max_output_tokens)))
        for card in cards
    ]
    turn = sum(costs, Cost())
    return {name: turn[name] for name in turn if name != "usd" or all(card.price for card in cards)}


def _calls(work: Work[Any]) -> int:
    """Return how often a tool loop calls a model at most."""
    # only what is limited can force a smaller cap, and only such a reply is gone on with
    pieces = MOST_PIECES if work.budget.limits() or work.parent is not None else 1
    return work.max_steps * pieces * work.resilience.most_calls


def _wrap_up_calls(work: Work[Any]) -> int:
    return work.resilience.most_calls + 1
