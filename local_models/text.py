"""Text in, token ids out and back: tokenizer.json, chat template and streaming detokenisation of one folder.

The template runs in jinja2's immutable sandbox with the filters and globals that Hugging Face templates
expect, so the same folder renders the same prompt here and in transformers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from agentkit.errors import LocalModelError
from agentkit.messages import Message
from agentkit.types import ToolSpec

_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


class ChatTemplate:
    """A Hugging Face chat template; `special_tokens` are the names it may print, such as bos_token."""

    def __init__(self, source: str, special_tokens: Mapping[str, str] | None = None) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationBlock, loopcontrols]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = _strftime_now
        self._special_tokens = dict(special_tokens or {})
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise LocalModelError(
                f"the chat template is not valid jinja ({error}); mend chat_template.jinja"
            ) from error

    def render(
        self, messages: Iterable[Message], tools: Sequence[ToolSpec] = (), *, add_generation_prompt: bool = True
    ) -> str:
        """Return the prompt text; raises LocalModelError when the template refuses the conversation."""
        try:
            return self._template.render(
                messages=[_wire_message(message) for message in messages],
                tools=[_wire_tool(tool) for tool in tools] or None,
                documents=None,
                add_generation_prompt=add_generation_prompt,
                **self._special_tokens,
            )
        except (TemplateError, TypeError) as error:
            raise LocalModelError(f"the chat template refuses this conversation: {error}") from error


class ChatTokenizer:
    """Tokenizer, chat template and stop tokens of one model folder."""

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate, stop_ids: Iterable[int] = ()) -> None:
        tokenizer.no_truncation()  # a stored limit would silently shorten prompts, and their price
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self.template = template
        self.stop_ids = frozenset(stop_ids)

    @classmethod
    def from_folder(cls, folder: Path) -> ChatTokenizer:
        """Read tokenizer.json, the chat template and the stop tokens; raises LocalModelError when absent."""
        path = folder / "tokenizer.json"
        try:
            tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except Exception as error:  # the package raises bare Exception on malformed files
            raise LocalModelError(
                f"{str(path)!r} cannot be read ({error}); put the model's tokenizer.json there"
            ) from error
        return cls(tokenizer, _template(folder), _stop_ids(folder))

    @property
    def size(self) -> int:
        """Number of tokens, added ones included."""
        return int(self._tokenizer.get_vocab_size())

    def prompt(self, messages: Iterable[Message], tools: Sequence[ToolSpec] = (), *, begin: str = "") -> list[int]:
        """Return the token ids of a prompt for the next assistant turn, which is made to start with `begin`."""
        return self.encode(self.template.render(messages, tools) + begin)

    def encode(self, text: str) -> list[int]:
        """Return token ids; special tokens are recognised in the text and none are added."""
        try:
            ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        except (TypeError, UnicodeError) as error:
            raise LocalModelError(f"the text is not valid Unicode ({error}); remove lone surrogates") from error
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`, special tokens included."""
        text: str = self._tokenizer.decode(ids, skip_special_tokens=False)
        return text


class Detokenizer:
    """Turns a stream of token ids into text, holding back characters whose bytes are not all there.

    The package's own DecodeStream loses a truncated last character and fails on broken byte runs; this keeps two
    marks into the ids instead, and decodes from the last one that is known to end a character. `before` are the
    last ids of the text that is gone on with: a tokenizer may drop the space that a text begins with.
    """

    def __init__(self, tokenizer: ChatTokenizer, before: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._ids = list(before)  # those already shown, as context for what follows, then those still held
        self._shown = len(self._ids)

    def feed(self, token: int) -> str:
        """Take the next token; return the text that is complete by now."""
        self._ids.append(token)
        text = self._new_text()
        if not text or text.endswith("\ufffd"):
            return ""
        self._ids, self._shown = self._ids[self._shown :], len(self._ids) - self._shown
        return text

    def close(self) -> str:
        """Return what was held back; bytes that never became a character read as U+FFFD."""
        text = self._new_text()
        self._shown = len(self._ids)
        return text

    def _new_text(self) -> str:
        context = self._tokenizer.decode(self._ids[: self._shown])
        return self._tokenizer.decode(self._ids)[len(context) :]


class _GenerationBlock(Extension):
    """`{% generation %}` marks assistant turns for training masks; for a prompt it is transparent."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _template(folder: Path) -> ChatTemplate:
    config = _read_json(folder / "tokenizer_config.json")
    names = {name: value for name in _SPECIAL_TOKENS if (value := config.get(name))}
    special = {name: value["content"] if isinstance(value, dict) else value for name, value in names.items()}
    path = folder / "chat_template.jinja"
    source = path.read_text(encoding="utf-8") if path.exists() else config.get("chat_template")
    if not isinstance(source, str):
        raise LocalModelError(f"{str(folder)!r} has no chat template; put one into chat_template.jinja")
    return ChatTemplate(source, special)


def _stop_ids(folder: Path) -> list[int]:
    for name in ("generation_config.json", "config.json"):
        eos = _read_json(folder / name).get("eos_token_id")
        if eos is not None:
            return eos if isinstance(eos, list) else [eos]
    return []


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise LocalModelError(f"{str(path)!r} cannot be read as JSON ({error}); fetch it again") from error
    return content if isinstance(content, dict) else {}


def _wire_message(message: Message) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.tool_calls:
        wire["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": _arguments(call.arguments)},
            }
            for call in message.tool_calls
        ]
    if message.role == "tool":
        wire |= {"tool_call_id": message.call_id, "name": message.name}
    return wire


def _wire_tool(tool: ToolSpec) -> dict[str, Any]:
    parameters = json.loads(json.dumps(tool.parameters, default=dict))  # a schema may be made of any mappings
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}


def _arguments(text: str) -> dict[str, Any] | str:
    """Return the object templates want, or the text itself where the model wrote something else."""
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return arguments if isinstance(arguments, dict) else text


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(pattern: str) -> str:
    return datetime.now().strftime(pattern)
