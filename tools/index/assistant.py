"""A language model that helps a tool search: before, between and after.

The three phases of Toolshed (arXiv 2410.14594): documents are enriched by what a tool would be asked for, once for
each schema; the need is taken apart and said in other words; what was found is ranked again, and the model says
what no tool in sight does, so that it can be searched for. Each is one short call that `scope` pays.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentkit.backends.base import bound_of, charge_of
from agentkit.costs import Cost
from agentkit.errors import BackendError, BadResponse, ConfigError, UnboundedCost
from agentkit.messages import user
from agentkit.tools.tool import Tool
from agentkit.trace import Event, Reserved, ended
from agentkit.types import Request
from agentkit.usage import Usage

if TYPE_CHECKING:
    from agentkit.backends.base import Backend
    from agentkit.budgets import Scope

Emit = Callable[[Event], None]
"""Takes what was paid, and what could not be done."""
BATCH = 8
"""Tools that one call describes."""
MOST_NEEDS = 6
_TOKENS_A_TOOL, _NEED_TOKENS, _RANK_TOKENS = 80, 200, 300
_SHOWN = 300


class Assistant:
    """Asks `backend`; what it says of tools is kept by their schemas, over runs in the file `cache` if given.

    Every method raises BudgetError when a call does not fit, and BackendError when it fails or cannot be read.
    """

    def __init__(self, backend: Backend, cache: Path | None = None) -> None:
        self._backend, self._cache = backend, cache
        self._said: dict[str, str] = {}
        self._documents: dict[str, Tool] = {}
        if cache is not None and cache.exists():
            self._said = _kept(cache)

    def document(self, tool: Tool) -> Tool:
        """Return `tool` with what is known of when it is asked for in its description, the same one every time."""
        key = _schema(tool)
        if not self._said.get(key):
            return tool
        if key not in self._documents:
            described = f"{tool.spec.description} {self._said[key]}"
            self._documents[key] = replace(tool, spec=replace(tool.spec, description=described))
        return self._documents[key]

    async def describe(self, tools: Sequence[Tool], scope: Scope, emit: Emit) -> None:
        """Learn what the tools that it does not know yet are asked for, several with a call."""
        new = [tool for tool in tools if _schema(tool) not in self._said]
        for start in range(0, len(new), BATCH):
            batch = new[start : start + BATCH]
            prompt = (
                "For each tool write two short questions that a user may ask who needs it, and its topics, as one "
                f'JSON object {{"tool name": "question? question? topic, topic"}}. Nothing else.\n{_listed(batch)}'
            )
            said = await self._object(prompt, _TOKENS_A_TOOL * len(batch), scope, emit)
            self._said.update({_schema(tool): str(said.get(tool.name, "")) for tool in batch})
            if self._cache is not None:
                _keep(self._said, self._cache)

    async def needs(self, need: str, scope: Scope, emit: Emit) -> tuple[str, ...]:
        """Return what `need` asks tools for, one by one and in other words."""
        prompt = (
            f"Which single things would tools have to do for this request, {MOST_NEEDS} at most? Say each in "
            "a few words as a tool's description would, also steps it does not name. JSON only: "
            f'{{"needs": ["…"]}}\nRequest: {need}'
        )
        said = (await self._object(prompt, _NEED_TOKENS, scope, emit)).get("needs")
        return tuple(str(one) for one in said[:MOST_NEEDS]) if isinstance(said, list) else ()

    async def ranking(
        self, need: str, tools: Sequence[Tool], scope: Scope, emit: Emit
    ) -> tuple[tuple[Tool, ...], str]:
        """Return those of `tools` that the model would use, best first, and what it lacks, if anything."""
        prompt = (
            'Which of these tools does the request need? JSON only: {"tools": ["best name first"], "missing": '
            f'"what none of them does, or nothing"}}\nRequest: {need}\n{_listed(tools)}'
        )
        said = await self._object(prompt, _RANK_TOKENS, scope, emit)
        by_name = {tool.name: tool for tool in tools}
        names = said.get("tools")
        named = [str(name) for name in names] if isinstance(names, list) else []
        kept = tuple(by_name[name] for name in dict.fromkeys(named) if name in by_name)
        return kept, str(said.get("missing") or "")

    async def _object(self, prompt: str, cap: int, scope: Scope, emit: Emit) -> dict[str, Any]:
        text = await self._reply(prompt, cap, scope, emit)
        start = text.find("{")
        try:
            found = json.JSONDecoder().raw_decode(text, start)[0] if start >= 0 else None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise BadResponse(self._backend.card.name, f"no JSON object in {text[:_SHOWN]!r}")
        return found

    async def _reply(self, prompt: str, cap: int, scope: Scope, emit: Emit) -> str:
        card = self._backend.card
        request = Request(messages=(user(prompt),), max_output_tokens=min(cap, card.max_output_tokens))
        bound = bound_of(self._backend, request)
        if not bound.priced and "usd" in scope.view().available:
            raise UnboundedCost(card.name, "its price is unknown")
        cost = bound.at(request.max_output_tokens)
        hold = await scope.reserve(cost, what=f"model:{card.name}", dispatch=True)
        emit(Reserved(hold.id, hold.what, hold.held, dispatched=True))
        charge: Cost | None = None
        usage: Usage | None = None
        try:
            completion = await self._backend.complete(request)
            usage = completion.usage
            charge = charge_of(usage, card) if usage else None
        except BackendError as error:
            if not error.may_be_billed:
                charge = Cost(requests=1)
            raise
        finally:
            for event in ended(await hold.settle(charge), usage):
                emit(event)
        return completion.message.text


def _kept(cache: Path) -> dict[str, str]:
    try:
        return {str(key): str(text) for key, text in json.loads(cache.read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(f"{cache} is not what a tool search keeps; remove it, or name another file") from error


def _keep(said: Mapping[str, str], cache: Path) -> None:
    scratch = cache.with_name(f"{cache.name}.part")  # a crash leaves no half a file
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(json.dumps(said), "utf-8")
        scratch.replace(cache)
    except OSError as error:
        raise ConfigError(f"the file {str(cache)!r} cannot be written: {error.strerror}") from error


def _schema(tool: Tool) -> str:
    spec = tool.spec
    said = json.dumps([spec.name, spec.description, spec.parameters], sort_keys=True, default=str)
    return sha256(said.encode()).hexdigest()[:32]


def _listed(tools: Sequence[Tool]) -> str:
    lines = []
    for tool in tools:
        arguments = ", ".join(tool.spec.parameters.get("properties") or ())
        lines.append(f"- {tool.name}({arguments}): {tool.spec.description[:_SHOWN]}")
    return "\n".join(lines)
