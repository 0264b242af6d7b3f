"""Server-sent events: the bytes of a streamed answer as events."""

from __future__ import annotations

import codecs
from typing import NamedTuple


class ServerEvent(NamedTuple):
    """One server-sent event; a tuple, since a stream makes hundreds."""

    data: str
    event: str = "message"


class SseParser:
    """Turns the bytes of a server-sent event stream into events, however the bytes are split.

    Follows the WHATWG rules: CR, LF and CRLF end lines, comments and unknown fields are skipped, an event
    that no blank line ends is not an event. Lines are found in bytes, which no encoded character can mislead, and
    only what events say is decoded.
    """

    def __init__(self) -> None:
        self._begun = False
        self._rest = b""
        self._after_cr = False
        self._data: list[bytes] = []
        self._event = ""

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Take the next bytes and return the events they complete."""
        if self._is_plain(chunk):
            self._begun = True
            return [ServerEvent(chunk[6:-2].decode("utf-8", "replace"))]
        if self._after_cr and chunk:  # the second half of a CRLF that the chunks split
            chunk, self._after_cr = chunk.removeprefix(b"\n"), False
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if lines and not self._begun:
            self._begun, lines[0] = True, lines[0].removeprefix(codecs.BOM_UTF8)
        events: list[ServerEvent] = []
        for line in lines:
            if line.startswith(b"data: "):  # nearly every line
                self._data.append(line[6:])
            elif line:
                self._take(line)
            else:
                if self._data:
                    data = b"\n".join(self._data).decode("utf-8", "replace")
                    events.append(ServerEvent(data, self._event or "message"))
                    self._data.clear()
                self._event = ""
        return events

    def _is_plain(self, chunk: bytes) -> bool:
        """Tell whether nothing is pending and `chunk` is one event of one line of data, as nearly all are."""
        return (
            chunk.startswith(b"data: ")
            and chunk.find(b"\n") == len(chunk) - 2
            and chunk.endswith(b"\n")
            and b"\r" not in chunk
            and not (self._rest or self._data or self._event or self._after_cr)
        )

    def _take(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._event = value.decode("utf-8", "replace")
