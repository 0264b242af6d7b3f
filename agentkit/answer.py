"""What a run gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

from typing_extensions import TypeVar

from agentkit.costs import Cost
from agentkit.messages import Message
from agentkit.trace import Stamped
from agentkit.types import Receipt, Status

if TYPE_CHECKING:
    from agentkit.toolmaking import Economics

T = TypeVar("T", default=str)


@dataclass(frozen=True, slots=True)
class MadeFor:
    """What tool making did for a task: the made tool it was given, if one, and why; what making it cost just now.

    `economics` is what tasks of the `family` have cost with the tool and without, this one included, and after how
    many uses the making pays; None where that is not counted.
    """

    family: str | None
    tool: str | None
    reason: str
    making: Cost
    economics: Economics | None


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """The best answer a run has, how it ended, and what it cost.

    `output` is `text` read as the agent's output type; None when the text does not satisfy it: typed output is
    never invented. `receipts` add up to `spent`, and `unmet` says in sentences what falls short. `tool_making` is
    there for agents that make tools.

    `status` and the codes of `stop_reason` that go with it:

    - complete: `answered`
    - degraded, it falls short: `invalid_output`, `truncated` at the output cap, `filtered` by the provider; or
      `empty`, `max_steps`, `context` when the conversation outgrew the model, and the text is the wrap-up's
    - exhausted, a limit stopped the work and the text is the wrap-up's: `limit:RESOURCE` such as `limit:usd` or
      `limit:tool_calls[search]`, `time`, or `frozen` after an overrun, when the text is what is known without it
    - infeasible, the budget is below the minimum and nothing was spent: `infeasible:RESOURCE`, or
      `infeasible:frozen` after an overrun in a scope around the run; the text is empty
    """

    output: T | None
    text: str
    status: Status
    stop_reason: str
    spent: Cost
    receipts: tuple[Receipt, ...]
    messages: tuple[Message, ...]
    trace: tuple[Stamped, ...]
    unmet: tuple[str, ...] = ()
    budget_origin: str = ""
    tool_making: MadeFor | None = None
