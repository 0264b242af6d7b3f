"""Files below one folder as tools: listed, read, searched and, where allowed, written; nothing outside is reached.

Every path is opened part by part from the folder's own descriptor, and no part may be a link. So neither `..` nor
a link, not even one that is put there in between, leads out. A hard link is the file itself: keep them out.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from agentkit.costs import Cost
from agentkit.errors import ConfigError, ToolFailed
from agentkit.tools.tool import Tool, tool

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe would wait for its writer for ever
_MOST_ENTRIES = 1_000
_MOST_HITS = 50
_DEEPEST = 12


@dataclass(frozen=True, slots=True)
class Folder:
    """The tools `list_files`, `read_file`, `search_files` and, if `writable`, `write_file` below `root`.

    `prefix` goes before their names. `limit` is the most bytes of a file that are read or written at once, `cost`
    what one call costs. A `ToolSource`; `tools` gives the same without opening.
    """

    root: str | Path
    writable: bool = False
    prefix: str = ""
    limit: int = 200_000
    cost: Cost = field(default_factory=Cost)

    def __post_init__(self) -> None:
        if not Path(self.root).is_dir():
            raise ConfigError(f"{str(self.root)!r} is no folder; name one that exists")

    @asynccontextmanager
    async def open(self, seconds: float | None = None) -> AsyncGenerator[Sequence[Tool], None]:
        """Give the tools; there is nothing to close."""
        yield self.tools()

    def tools(self) -> Sequence[Tool]:
        """Return the tools."""

        @tool(name=f"{self.prefix}list_files", cost=self.cost)
        def list_files(folder: str = ".") -> str:
            """List a folder: one name a line, folders with a slash, files with their size in bytes."""
            with self._opened(folder, _FOLDER) as handle:
                return "\n".join(_listed(handle)) or "[empty]"

        @tool(name=f"{self.prefix}read_file", cost=self.cost)
        def read_file(path: str, start: int = 0) -> str:
            """Read a text file from byte `start` on."""
            with self._opened(path, _FILE) as handle:
                size = _size(handle, path)
                content = os.pread(handle, self.limit, start) if 0 <= start <= size else b""
                rest = size - start - len(content)
                more = f"\n[{rest} more bytes; go on with start={start + len(content)}]" if rest > 0 else ""
                return content.decode("utf-8", "replace") + more

        @tool(name=f"{self.prefix}search_files", cost=self.cost)
        def search_files(text: str, folder: str = ".") -> str:
            """Find the lines that contain a text, in all files of a folder and below it."""
            with self._opened(folder, _FOLDER) as handle:
                hits = [hit for hit, _ in zip(self._hits(handle, "", text, 0), range(_MOST_HITS + 1))]  # noqa: B905
            shown = "\n".join(hits[:_MOST_HITS])
            return (f"{shown}\n[only the first {_MOST_HITS}]" if len(hits) > _MOST_HITS else shown) or "[nothing]"

        @tool(name=f"{self.prefix}write_file", cost=self.cost)
        def write_file(path: str, text: str) -> str:
            """Write a text file, in place of one of that name if there is one; folders are made."""
            return self._write(path, text)

        return [list_files, read_file, search_files, *([write_file] if self.writable else [])]

    @contextmanager
    def _opened(self, path: str, flags: int) -> Iterator[int]:
        """Open `path` part by part; ToolFailed when a part is missing, a link or leads up."""
        with _said(path):
            handle = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                parts = _parts(path)
                for place, part in enumerate(parts):
                    inner = os.open(part, flags if place == len(parts) - 1 else _FOLDER, dir_fd=handle)
                    os.close(handle)
                    handle = inner
                yield handle
            finally:
                os.close(handle)

    def _write(self, path: str, text: str) -> str:
        content = text.encode("utf-8", "replace")
        if len(content) > self.limit:
            raise ToolFailed("write_file", f"at most {self.limit} bytes can be written, not {len(content)}")
        *folders, name = _parts(path) or [""]
        if not name:
            raise ToolFailed("write_file", f"{path!r} is no file name")
        for depth in range(1, len(folders) + 1):
            with self._opened("/".join(folders[: depth - 1]), _FOLDER) as handle, suppress(FileExistsError):
                os.mkdir(folders[depth - 1], dir_fd=handle)
        with self._opened("/".join(folders), _FOLDER) as handle, _said(path):
            passing = (
                f".{secrets.token_hex(8)}"  # renamed over the old one: a link there is replaced, not followed
            )
            made = os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=handle)
            try:
                with os.fdopen(made, "wb") as file:
                    file.write(content)
                os.rename(passing, name, src_dir_fd=handle, dst_dir_fd=handle)
            except BaseException:
                os.unlink(passing, dir_fd=handle)
                raise
        return f"{len(content)} bytes written to {path}"

    def _hits(self, handle: int, place: str, text: str, depth: int) -> Iterator[str]:
        for name in sorted(os.listdir(handle))[:_MOST_ENTRIES]:
            here = f"{place}{name}"
            with suppress(OSError):
                kind = os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode
                inner = os.open(name, _FOLDER if stat.S_ISDIR(kind) else _FILE, dir_fd=handle)
                try:
                    if stat.S_ISDIR(kind) and depth < _DEEPEST:
                        yield from self._hits(inner, f"{here}/", text, depth + 1)
                    elif stat.S_ISREG(kind):
                        lines = os.pread(inner, self.limit, 0).decode("utf-8", "replace").splitlines()
                        yield from (f"{here}:{n}: {line[:200]}" for n, line in enumerate(lines, 1) if text in line)
                finally:
                    os.close(inner)


def _parts(path: str) -> list[str]:
    if "\0" in path or path.startswith(("/", "~")) or re.match(r"[A-Za-z]:", path):
        raise ToolFailed("files", f"{path!r} has to be a path inside the folder")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ToolFailed("files", f"{path!r} must not go up with '..'")
    return parts


@contextmanager
def _said(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        links = (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)
        reason = "it is or leads through a link or a file" if error.errno in links else error.strerror
        raise ToolFailed("files", f"{path!r}: {reason}") from error


def _listed(handle: int) -> Iterator[str]:
    names = sorted(os.listdir(handle))
    for name in names[:_MOST_ENTRIES]:
        with suppress(OSError):
            found = os.stat(name, dir_fd=handle, follow_symlinks=False)
            kind = found.st_mode
            yield (
                f"{name}/"
                if stat.S_ISDIR(kind)
                else f"{name} {found.st_size}"
                if stat.S_ISREG(kind)
                else f"{name} (other)"
            )
    if len(names) > _MOST_ENTRIES:
        yield f"[{len(names) - _MOST_ENTRIES} more]"


def _size(handle: int, path: str) -> int:
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        raise ToolFailed("files", f"{path!r} is no file")
    return found.st_size
