"""Calls of a made function, run in the sandbox; several share a process, since starting one takes longest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentkit.tools.result import result_text
from agentkit.tools.sandbox import Sandbox

_MARK = "#agentkit-made:"
"""Begins the lines that are results; what else the code prints is not heard."""
_RUN = """
import json as _json
for _arguments in _json.loads({calls!r}):
    try:
        _said = ["returned", {name}(**_arguments)]
        _line = _json.dumps(_said)
    except Exception as _error:
        _line = _json.dumps(["raised", f"{{type(_error).__name__}}: {{_error}}"])
    print({mark!r} + _line)
"""


@dataclass(frozen=True, slots=True)
class Came:
    """What came of a call: the text of its result, or what went wrong."""

    text: str
    failed: bool = False


async def run_calls(sandbox: Sandbox, code: str, name: str, calls: Sequence[Mapping[str, Any]]) -> list[Came]:
    """Call function `name` of `code` once for each of `calls`, in one process; one result each.

    Nothing the code does raises here but ToolFailed, when the sandbox cannot be shut.
    """
    ran = await sandbox.run(code + _RUN.format(calls=json.dumps(list(calls)), name=name, mark=_MARK))
    lines = [line[len(_MARK) :] for line in ran.output.splitlines() if line.startswith(_MARK)]
    came = [_came(line) for line in lines[: len(calls)]]
    why = {"timeout": f"it took longer than {sandbox.seconds:g} s", "output": "it printed too much"}
    last = next((line for line in reversed(ran.output.splitlines()) if line.strip()), "")
    missing = why.get(ran.ended) or last[:200] or "it gave no result"
    return came + [Came(missing, failed=True)] * (len(calls) - len(came))


def _came(line: str) -> Came:
    try:
        how, value = json.loads(line)
    except ValueError:  # cut where too much was printed, or written by the code itself
        return Came("its result cannot be read", failed=True)
    return Came(result_text(value), failed=how != "returned")
