"""What a fake provider does with a request it has read: play the script, charge for it, let things go wrong."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path
from random import Random
from typing import Any

from agentkit.backends.provider.bill import Billed, price_of
from agentkit.backends.provider.embeddings import embeddings
from agentkit.backends.provider.face import REASONS, Asked, Face, Problem
from agentkit.backends.provider.faults import REFUSALS, Exchange, Fault, streamed, whole
from agentkit.backends.provider.prompt_cache import PromptCache
from agentkit.backends.provider.script import Model, Reply, Script, Turn, object_of, player, words
from agentkit.messages import ToolCall
from agentkit.usage import Usage

ANY = ""
"""The name of the model that answers to every name."""


class Brain:
    """The models of a provider, what it remembers of prompts, and its bill; see `Provider` for the arguments."""

    def __init__(
        self,
        models: Script | Mapping[str, Script | Model],
        *,
        seed: int,
        cache_from: int,
        pause: float,
        bill_file: Path | None,
    ) -> None:
        given = models if isinstance(models, Mapping) else {ANY: models}
        self.models = {name: model if isinstance(model, Model) else Model(model) for name, model in given.items()}
        self.bill: list[Billed] = []
        self._players = {name: player(model.script) for name, model in self.models.items()}
        self._cache, self._seed, self._pause = PromptCache(cache_from), seed, pause
        self._bill_file = bill_file
        if bill_file:
            bill_file.touch()
        self._count = 0
        self.expect(())

    def expect(self, faults: Iterable[Fault | None]) -> None:
        """Let the next calls go wrong as `faults` say, and none after them."""
        self._faults = chain(faults, repeat(None))

    def answer(self, face: Face, asked: Asked) -> Exchange:
        """Return the reply to a request, or the refusal, with what goes wrong on the way."""
        fault = next(self._faults)
        if (refused := self._refused(face, fault)) is not None:
            return refused
        name = asked.model if asked.model in self.models else ANY
        if name not in self.models:
            return self.refusal(face, "unknown", f"there is no model {asked.model!r}")
        window, length = self.models[name].context_window, sum(part.tokens for part in asked.parts)
        if length > window:
            return self.refusal(face, "context", face.too_long(length, window))
        try:
            reply = _as_forced(self._players[name](asked.request), asked.forced)
        except LookupError as error:
            return self.refusal(face, "invalid", str(error))
        prompt = self._cache.read(asked.model, asked.parts, only_marked=face.caches_only_what_is_marked)
        turn = Turn.play(self._count, asked.model, reply, asked.request.max_output_tokens, prompt)
        self._charge(face.name, asked.model, turn.usage, fault)
        return self._laid_out(face, asked, turn, fault)

    def refusal(self, face: Face, problem: Problem, message: str, fault: Fault | None = None) -> Exchange:
        """Return the error of `face` for `problem`; some faults say how long to wait."""
        pause = self._pause if fault == "rate_limited_with_pause" else None
        body = json.dumps(face.error(problem, message, pause)).encode()
        headers = {} if pause is None else face.pause_headers(pause)
        return Exchange((body,), face.statuses[problem], headers=headers, length=len(body))

    def embed(self, face: Face, body: Mapping[str, Any], texts: Sequence[str]) -> Exchange:
        """Return the embeddings of `texts`, or what goes wrong instead."""
        made, fault = embeddings(body, texts), next(self._faults)
        if (refused := self._refused(face, fault)) is not None:
            return refused
        self._charge("openai-embeddings", body["model"], Usage(sum(map(words, texts))), fault)
        return whole(made, 0.0, fault)

    def _refused(self, face: Face, fault: Fault | None) -> Exchange | None:
        problem = REFUSALS.get(fault) if fault else None
        return None if problem is None else self.refusal(face, problem, REASONS[problem], fault)

    def _charge(self, dialect: str, model: str, usage: Usage, fault: Fault | None) -> None:
        priced = self.models.get(model) or self.models.get(ANY) or Model("")
        line = Billed(self._count, dialect, model, usage, price_of(usage, priced.price), fault or "")
        self._count += 1
        self.bill.append(line)
        if self._bill_file:
            with self._bill_file.open("a", encoding="utf-8") as file:
                file.write(line.to_json() + "\n")

    def _laid_out(self, face: Face, asked: Asked, turn: Turn, fault: Fault | None) -> Exchange:
        reply = turn.reply
        if not asked.stream:
            return whole(face.whole(turn, asked), reply.wait + reply.pace * len(turn.pieces), fault)
        random = Random(f"{self._seed}/{turn.number}")
        return streamed(list(face.events(turn, asked)), reply.wait, reply.pace, random, fault)


def _as_forced(reply: Reply, tool: str) -> Reply:
    """Say an object as the call of `tool`, the one that has to be called: so structured output is asked for."""
    if not tool or reply.calls or object_of(reply.text) is None:
        return reply
    return replace(reply, text="", calls=(ToolCall("", tool, reply.text),))
