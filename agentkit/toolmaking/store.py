"""Made tools on disk: one file a tool, named by the hash of what it says, and a journal of what each cost.

The journal is one JSON object a line, appended whole, so several processes may keep one store.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from agentkit.errors import ConfigError
from agentkit.toolmaking.economics import Economics, What
from agentkit.toolmaking.made_tool import MadeTool

_JOURNAL = "journal.jsonl"


class ToolStore:
    """The made tools in `folder`, which is created when something is first kept."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._families: dict[str, Economics] = {}
        self._offset = 0

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
        self._read()
        return self._families.get(family, Economics())

    def making_price(self) -> float | None:
        """Return what a making has cost on average, None before the first."""
        self._read()
        makings = sum(each.makings for each in self._families.values())
        return sum(each.making for each in self._families.values()) / makings if makings else None

    def _read(self) -> None:
        """Count what was added to the journal since it was last read."""
        path = self.folder / _JOURNAL
        if not path.exists():
            return
        if path.stat().st_size < self._offset:  # it is another one now
            self._families, self._offset = {}, 0
        with path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):  # somebody is writing it
                    break
                self._offset += len(line)
                self._count(line)

    def _count(self, line: bytes) -> None:
        try:
            event = json.loads(line)
            family, what, usd = event["family"], event["what"], int(event["usd"])
        except (ValueError, KeyError, TypeError):  # a crash may leave half a line, and the next one goes on in it
            return
        if what in get_args(What):
            self._families[family] = self._families.get(family, Economics()).plus(what, usd)

    def _unwritable(self, error: OSError) -> ConfigError:
        return ConfigError(f"the tool store {str(self.folder)!r} cannot be written: {error.strerror}")
