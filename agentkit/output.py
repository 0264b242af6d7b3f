"""Typed answers: what a model is told about the output type, and how its text is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic

from pydantic_core import ValidationError
from typing_extensions import TypeVar

from agentkit.errors import OutputError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T", default=str)


class OutputType(Generic[T]):
    """Reads an answer's text as `type`. Text is taken as it is for `str`, as JSON for everything else."""

    def __init__(self, type: type[T]) -> None:
        self.type = type

    @property
    def is_text(self) -> bool:
        """Whether any text is an answer."""
        return self.type is str

    @cached_property
    def schema(self) -> Mapping[str, Any] | None:
        """The JSON schema a model is asked to satisfy; None for text."""
        return None if self.is_text else self._adapter.json_schema()

    @property
    def instructions(self) -> str:
        """What a model is told, for those that take no schema."""
        if self.is_text:
            return ""
        return f"Answer with JSON only, satisfying this schema: {json.dumps(self.schema, separators=(',', ':'))}"

    def read(self, text: str) -> T:
        """Return the answer; raises OutputError with what is wrong, one line each."""
        if self.is_text:
            return text  # type: ignore[return-value]  # T is str
        try:
            return self._adapter.validate_json(_bare(text))
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, e['loc'])) or 'the answer'}: {e['msg']}" for e in error.errors()]
            raise OutputError(text, problems) from error

    def problems(self, text: str) -> tuple[str, ...]:
        """Return what keeps `text` from being an answer, nothing when it is one."""
        if self.is_text:
            return ()
        try:
            self.read(text)
        except OutputError as error:
            return error.problems
        return ()

    @cached_property
    def _adapter(self) -> TypeAdapter[T]:
        from pydantic import TypeAdapter  # half of pydantic, which a text answer is spared

        return TypeAdapter(self.type)


def _bare(text: str) -> str:
    """Drop the Markdown fence that chat models like to put around JSON."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```") and "\n" in text:
        return text[text.index("\n") + 1 : -3]
    return text
