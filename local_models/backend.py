"""A local model as a backend: the same requests, deltas and bill as a remote one."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from anyio import to_thread

from agentkit.backends.base import Assembler
from agentkit.errors import BackendUnavailable, BadRequest, ContextOverflow, LocalModelError, MissingExtra
from agentkit.local_models.config import LlamaConfig
from agentkit.local_models.toolcalls import forced_opening, offered_tools
from agentkit.messages import Message
from agentkit.types import Completion, Delta, ModelCard, Request
from agentkit.usage import Bound

if TYPE_CHECKING:  # torch and tokenizers are loaded with the model, not with this module
    from agentkit.local_models.generate import Engine
    from agentkit.local_models.text import ChatTokenizer

# Wall time on a GPU has no bound of its own: a generation is allowed this much, and ends when it is used up.
_GPU_US_FIXED = 5_000_000
_GPU_US_PER_INPUT_TOKEN = 1_000
_GPU_US_PER_OUTPUT_TOKEN = 50_000


class LocalBackend:
    """Runs the Llama-family model in `folder` (Hugging Face format) on this machine, loaded at first use.

    `device` "auto" is the GPU if there is one. `threads` goes to torch.set_num_threads when the model is loaded,
    which later threads of the process inherit; None leaves it alone. A request without a temperature is greedy,
    one with `tool_choice="required"` starts with a tool call, and `output_schema` is not enforced. A conversation
    that ends with an assistant turn is gone on with inside that turn.
    """

    def __init__(
        self,
        card: ModelCard,
        folder: Path | str,
        *,
        device: Literal["cpu", "cuda", "auto"] = "cpu",
        threads: int | None = 1,
    ) -> None:
        capabilities = replace(
            card.capabilities, logprobs=True, prefill=True, stop_ends_billing=True, streams_every_billed_token=True
        )
        self._card = replace(card, capabilities=capabilities)
        self._folder, self._device, self._threads = Path(folder), device, threads
        self._loading = threading.Lock()
        self._text: tuple[ChatTokenizer, int] | None = None
        self._engine: Engine | None = None

    @property
    def card(self) -> ModelCard:
        """The model behind this backend."""
        return self._card

    def bound(self, request: Request) -> Bound:
        """Return the exact prompt tokens and the card's prices; raises ContextOverflow and BadRequest."""
        return self._bound(len(self._prompt(request)))

    async def complete(self, request: Request) -> Completion:
        """Return the whole reply."""
        assembler = Assembler()
        async for delta in self.stream(request):
            assembler.add(delta)
        return assembler.partial()

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """Yield the reply in pieces, each with the usage so far; the last one has the finish reason."""
        prompt = self._prompt(request)
        engine = await to_thread.run_sync(self._loaded_engine)
        steps = self._steps(engine, request, prompt)
        seen = Assembler()
        try:
            while deltas := await engine.advance(steps):
                for delta in deltas:
                    seen.add(delta)
                    yield delta
        except RuntimeError as error:  # what torch raises, out of memory included
            raise BackendUnavailable(self._card.name, str(error), partial=seen.partial()) from error
        finally:
            steps.close()

    async def aclose(self) -> None:
        """Release the model's memory; a later call loads it again."""
        self._engine = None

    def _prompt(self, request: Request) -> list[int]:
        if request.max_output_tokens < 1:
            raise BadRequest(self._card.name, "max_output_tokens is below 1; leave room for an answer")
        tokenizer, window = self._loaded_text()
        try:
            earlier, begun = _begun(request.messages)
            prompt = tokenizer.prompt(earlier, offered_tools(request), begin=begun + forced_opening(request))
        except LocalModelError as error:
            raise BadRequest(self._card.name, str(error)) from error
        if not prompt:
            raise BadRequest(self._card.name, "the chat template makes an empty prompt of this conversation")
        if len(prompt) >= window:
            raise ContextOverflow(self._card.name, len(prompt), window)
        return prompt

    def _bound(self, prompt_tokens: int) -> Bound:
        bound = Bound.at_price(prompt_tokens, self._card.price)
        if self._torch_device() == "cpu":
            return bound
        return replace(
            bound,
            gpu_us_fixed=_GPU_US_FIXED,
            gpu_us_per_token=_GPU_US_PER_OUTPUT_TOKEN,
            gpu_us_per_input_token=_GPU_US_PER_INPUT_TOKEN,
        )

    def _steps(self, engine: Engine, request: Request, prompt: list[int]) -> Generator[Delta, None, None]:
        from agentkit.local_models.reply import Reply

        tokenizer, window = self._loaded_text()
        gpu_us = self._bound(len(prompt)).at(request.max_output_tokens)["gpu_us"]
        return Reply(engine, tokenizer, request, prompt, window=window, gpu_us_limit=gpu_us or None).deltas()

    def _loaded_text(self) -> tuple[ChatTokenizer, int]:
        """Return the tokenizer and the context window in tokens."""
        if self._text is None:  # looked at before the lock, which is held for as long as weights are read
            with self._loading, self._load_errors():
                tokenizer, window = _open_text(self._folder)
                self._text = tokenizer, min(window, self._card.context_window)
        return self._text

    def _loaded_engine(self) -> Engine:
        with self._loading, self._load_errors():
            if self._engine is None:
                import torch

                from agentkit.local_models.generate import Engine
                from agentkit.local_models.weights import load_model

                if self._threads is not None:
                    torch.set_num_threads(self._threads)
                self._engine = Engine(load_model(self._folder, device=self._torch_device()))
            return self._engine

    def _torch_device(self) -> str:
        if self._device != "auto":
            return self._device
        with self._load_errors():
            import torch

            return "cuda" if torch.cuda.is_available() else "cpu"

    @contextmanager
    def _load_errors(self) -> Iterator[None]:
        try:
            yield
        except ModuleNotFoundError as error:
            raise MissingExtra("local", error.name or "torch") from error
        except (LocalModelError, RuntimeError) as error:
            raise BackendUnavailable(self._card.name, str(error)) from error


def _begun(messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], str]:
    """Split off the assistant turn that has begun, if the last one is such."""
    if messages and messages[-1].role == "assistant" and not messages[-1].tool_calls:
        return messages[:-1], messages[-1].text
    return messages, ""


def _open_text(folder: Path) -> tuple[ChatTokenizer, int]:
    from agentkit.local_models.text import ChatTokenizer

    config, tokenizer = LlamaConfig.from_folder(folder), ChatTokenizer.from_folder(folder)
    if tokenizer.size > config.vocab_size:
        raise LocalModelError(
            f"{str(folder)!r} has {tokenizer.size} tokens in tokenizer.json, {config.vocab_size} in config.json; "
            "take both from the same checkpoint"
        )
    return tokenizer, config.max_position_embeddings
