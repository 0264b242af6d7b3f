"""Tools: what a model can call, what a call may cost, and how a Python function becomes one.

@tool(cost={"usd": "0.001"})
async def search(query: str, limit: int = 5) -> list[str]:
    "Search the web."
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, overload

from anyio import to_thread
from pydantic_core import SchemaValidator, core_schema

from agentkit.costs import Cost, nano_usd
from agentkit.errors import ConfigError
from agentkit.tools import docstring
from agentkit.tools.context import Context
from agentkit.types import ToolSpec

Handler = Callable[[Mapping[str, Any], Context[Any]], Awaitable[object]]
"""Runs one call: the parsed arguments and the context in, the result out."""

Parser = Callable[[str], dict[str, Any]]
"""Reads the JSON text of the arguments; raises pydantic's ValidationError."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_JSON_OBJECT = SchemaValidator(core_schema.dict_schema(core_schema.str_schema()))


@dataclass(frozen=True, slots=True, eq=False)
class Tool:
    """Something a model can call: a function, an agent, a remote procedure.

    `cost` is the most one call spends beyond being counted. `timeout` is in seconds, None leaves the call
    to the deadline of the run. Without a `parse` of its own a tool accepts any JSON object. The name and the
    description of a `foreign` tool are text of somebody else's. A tool that `spends` draws from the scope it is
    called in, as an agent does, the least of which `expects` says (None where no price is known); after one that
    `hands_over` another agent goes on. `returns` is the type of its results or their JSON schema, None for
    anything: plans are checked against it. `gives` names what is known to be in a result, for the search among
    many tools.
    """

    spec: ToolSpec
    function: Handler
    cost: Cost = field(default_factory=Cost)
    timeout: float | None = None
    parse: Parser = _JSON_OBJECT.validate_json
    foreign: bool = False
    spends: bool = False
    returns: Any = None
    gives: tuple[str, ...] = ()
    hands_over: bool = False
    expects: Callable[[], Cost | None] = Cost

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"tool name {self.name!r} is refused by model providers; use up to 64 letters, digits, '_', '-'"
            )
        if self.timeout is not None and not self.timeout > 0:
            raise ConfigError(f"tool {self.name!r}: timeout must be above 0 seconds, not {self.timeout!r}")
        if "tool_calls" in self.cost or f"tool_calls[{self.name}]" in self.cost:
            raise ConfigError(
                f"tool {self.name!r}: every call counts as one by itself; leave tool_calls out of cost"
            )

    @property
    def name(self) -> str:
        """The name the model calls it by."""
        return self.spec.name

    @property
    def hold(self) -> Cost:
        """What the ledger holds for one call: `cost` and the call itself, in total and by name."""
        return self.cost + {"tool_calls": 1, f"tool_calls[{self.name}]": 1}


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    cost: Mapping[str, Any] | None = None,
    timeout: float | None = 60.0,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    cost: Mapping[str, Any] | None = None,
    timeout: float | None = 60.0,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a tool of a typed function, sync (run in a worker thread) or async.

    The schema comes from the annotations, descriptions from the docstring and its `Args:` section. `cost` is
    what one call may spend: `usd` in dollars, other resources as in the ledger; a `Cost` is taken as it is.
    `timeout` in seconds. ConfigError names the function and the parameter that cannot be used.
    """
    if function is None:
        return lambda f: _from_function(f, name, description, cost, timeout)
    return _from_function(function, name, description, cost, timeout)


def _from_function(
    function: Callable[..., Any],
    name: str | None,
    description: str | None,
    cost: Mapping[str, Any] | None,
    timeout: float | None,
) -> Tool:
    from agentkit.tools.signature import Signature  # half of pydantic, which an agent without tools is spared

    doc = inspect.getdoc(function) or ""
    signature = Signature.of(function, docstring.parameters(doc))
    name = name or function.__name__
    description = docstring.summary(doc) if description is None else description
    spec = ToolSpec(name, description, signature.schema())
    handler, price = _handler(function, signature.contexts), _cost(name, cost or {})
    return Tool(spec, handler, price, timeout, signature.parse, returns=signature.returns, gives=signature.results)


def _handler(function: Callable[..., Any], contexts: tuple[str, ...]) -> Handler:
    is_async = inspect.iscoroutinefunction(function)

    async def run(arguments: Mapping[str, Any], context: Context[Any]) -> object:
        call = partial(function, **arguments, **dict.fromkeys(contexts, context))
        if is_async:
            return await call()
        # A thread cannot be stopped: on timeout it is left to finish, its result unheard.
        result = await to_thread.run_sync(call, abandon_on_cancel=True)
        return await result if inspect.isawaitable(result) else result

    return run


def _cost(name: str, hint: Mapping[str, Any]) -> Cost:
    if isinstance(hint, Cost):
        return hint
    if not isinstance(hint, Mapping):
        raise ConfigError(f"tool {name!r}: a cost is amounts such as {{'usd': '0.001'}}, not {hint!r}")
    try:
        return Cost({key: nano_usd(value) if key == "usd" else value for key, value in hint.items()})
    except (ValueError, ArithmeticError) as error:
        raise ConfigError(f"tool {name!r}: cost {dict(hint)!r} cannot be read: {error}") from error
