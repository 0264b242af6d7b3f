"""Made tools on disk: one file a tool, named by the hash of what it says, and a journal of what each cost.

The journal is one JSON object a line, appended whole, so several processes may keep one store.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from agentkit.errors import ConfigError
from agentkit.toolmaking.economics import Economics
from agentkit.toolmaking.made_tool import MadeTool

What = Literal["made", "failed", "used", "direct"]
_JOURNAL = "journal.jsonl"


class ToolStore:
    """The made tools in `folder`, which is created when something is first kept."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def keep(self, made: MadeTool) -> None:
        """Write `made`; the same tool again is the same file."""
        path = self.folder / f"{made.digest}.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            scratch = path.with_suffix(".part")
            scratch.write_text(json.dumps(made.to_json(), indent=2) + "\n", "utf-8")
            scratch.replace(path)
        except OSError as error:
            raise self._unwritable(error) from error

    def tools(self) -> Iterator[MadeTool]:
        """Yield the tools there are, oldest first; a file that is not what its name says is refused."""
        for path in sorted(self.folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns):
            try:
                made = MadeTool.from_json(json.loads(path.read_text("utf-8")))
            except (ValueError, KeyError, TypeError, OSError):
                made = None
            if made is None or made.digest != path.stem:
                raise ConfigError(f"{path} is not the tool that was kept; remove it, or put back what it was")
            yield made

    def tool_of(self, family: str) -> MadeTool | None:
        """Return the newest tool of `family`, None when there is none."""
        return next((made for made in reversed(list(self.tools())) if made.family == family), None)

    def note(self, family: str, what: What, usd: int) -> None:
        """Add to the journal that something of `family` was charged with `usd` nano-dollars."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / _JOURNAL).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"family": family, "what": what, "usd": usd}) + "\n")
        except OSError as error:
            raise self._unwritable(error) from error

    def economics(self, family: str) -> Economics:
        """Return what the tasks of `family` have cost, with the tool and without."""
        return Economics.of(event for event in self._events() if event["family"] == family)

    def making_price(self) -> float | None:
        """Return what a making has cost on average, None before the first."""
        prices = [event["usd"] for event in self._events() if event["what"] in ("made", "failed")]
        return sum(prices) / len(prices) if prices else None

    def _events(self) -> Iterator[Mapping[str, Any]]:
        path = self.folder / _JOURNAL
        if not path.exists():
            return
        for line in path.read_text("utf-8").splitlines():
            try:
                event = json.loads(line)
                read = {"family": event["family"], "what": event["what"], "usd": int(event["usd"])}
            except (ValueError, KeyError, TypeError):  # a crash may leave half a line
                continue
            if read["what"] in get_args(What):
                yield read

    def _unwritable(self, error: OSError) -> ConfigError:
        return ConfigError(f"the tool store {str(self.folder)!r} cannot be written: {error.strerror}")
