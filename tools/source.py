"""What supplies several tools at once: a server, an interface description, a folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from agentkit.tools.tool import Tool

MAX_DESCRIPTION = 2_000
"""Characters of a foreign description that are kept: each of them is paid for with every model call."""
_REFUSED = re.compile(r"[^a-zA-Z0-9_-]")


@runtime_checkable
class ToolSource(Protocol):
    """Something whose tools can be had while it is open; each run of an agent opens its own."""

    def open(self, seconds: float | None = None) -> AbstractAsyncContextManager[Sequence[Tool]]:
        """Open it within `seconds` and give its tools; leaving the block ends whatever it started.

        Raises ToolSourceError when it cannot be opened.
        """
        ...


def tool_name(name: str, prefix: str = "") -> str:
    """Return `prefix` and `name` as a tool name that model providers take."""
    return _REFUSED.sub("_", f"{prefix}{name}")[:64]
