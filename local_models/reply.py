"""From sampled tokens to deltas: text without stop strings, tool calls, log-probabilities and usage."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from agentkit.local_models.generate import Engine, Generation, Token
from agentkit.local_models.sampling import Sampling
from agentkit.local_models.stops import StopStrings
from agentkit.local_models.text import ChatTokenizer, Detokenizer
from agentkit.local_models.toolcalls import ToolCallParser, forced_opening
from agentkit.types import Delta, FinishReason, Request, TokenLogprob, ToolCallDelta
from agentkit.usage import Usage

_SEAM = 4
"""Tokens before a reply that goes on with a text; they show how its first token reads."""


class Reply:
    """The answer to one request whose prompt is already in tokens; `window` bounds the whole sequence.

    A call is read as one even where no tools were offered: it is no answer, and the caller must see that.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: ChatTokenizer,
        request: Request,
        prompt: Sequence[int],
        *,
        window: int,
        gpu_us_limit: int | None = None,
    ) -> None:
        self._generation = Generation(
            engine,
            prompt,
            _sampling(request),
            cap=request.max_output_tokens,
            window=window,
            stop_ids=tokenizer.stop_ids,
            logprobs=request.logprobs,
            gpu_us_limit=gpu_us_limit,
        )
        self._tokenizer = tokenizer
        begun = any(message.role == "assistant" for message in request.messages[-1:])
        before = prompt[-_SEAM:] if begun else ()
        self._detokenizer, self._stops = Detokenizer(tokenizer, before), StopStrings(request.stop)
        self._parser = ToolCallParser(forced_opening(request))
        self._output_tokens = 0

    def deltas(self) -> Generator[Delta, None, None]:
        """Yield a delta for each step, all with the usage so far: a stream closed early has its bill too."""
        for token in self._generation.steps():
            if token is None:
                yield Delta(usage=self._usage())
                continue
            self._output_tokens += 1
            text, calls = self._read(token)
            yield Delta(text, calls, self._logprobs(token), usage=self._usage())
            if self._stops.found:
                break
        text, calls = self._rest()
        yield Delta(text, calls, finish_reason=self._finish(), usage=self._usage())

    def _read(self, token: Token) -> tuple[str, tuple[ToolCallDelta, ...]]:
        if token.id in self._tokenizer.stop_ids:
            return "", ()
        text = self._stops.feed(self._detokenizer.feed(token.id))
        return self._parser.feed(text)

    def _rest(self) -> tuple[str, tuple[ToolCallDelta, ...]]:
        text = self._stops.feed(self._detokenizer.close()) + self._stops.close()
        text, calls = self._parser.feed(text)
        more_text, more_calls = self._parser.close()
        return text + more_text, calls + more_calls

    def _logprobs(self, token: Token) -> tuple[TokenLogprob, ...]:
        if token.certainty is None:
            return ()
        return (TokenLogprob(self._tokenizer.decode([token.id]), *token.certainty),)

    def _finish(self) -> FinishReason:
        if self._generation.finish == "length" and not self._stops.found:
            return "length"
        return "tool_calls" if self._parser and self._parser.count else "stop"

    def _usage(self) -> Usage:
        generation = self._generation
        return Usage(
            input_tokens=generation.read_tokens - generation.reused_tokens,
            cache_read_tokens=generation.reused_tokens,
            output_tokens=self._output_tokens,
            gpu_us=generation.gpu_us,
        )


def _sampling(request: Request) -> Sampling:
    top_p = 1.0 if request.top_p is None else request.top_p
    return Sampling(temperature=request.temperature or 0.0, top_p=top_p, seed=request.seed)
