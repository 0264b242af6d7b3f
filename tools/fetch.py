"""The web as a tool: a page as text, from public addresses only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from agentkit.costs import Cost
from agentkit.errors import PageError
from agentkit.tools.tool import Tool, tool

if TYPE_CHECKING:
    from agentkit.web import Page, Web

_TEXT = re.compile(r"text/|application/(?:[\w.+-]+\+)?(?:json|xml)|application/(?:javascript|yaml|x-yaml)", re.I)
_UNSEEN = frozenset({"script", "style", "template", "noscript", "svg"})
_LINES = frozenset(
    {"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "section", "article", "header", "footer"}
)


def fetch_tool(
    web: Web | None = None, *, name: str = "fetch", cost: Mapping[str, Any] | Cost | None = None
) -> Tool:
    """Return a tool that reads a web page; `web` says from where, by default 1 MB of the public web."""
    from agentkit.web import Web  # httpx, which an agent without this tool is spared

    source = web or Web()

    @tool(name=name, cost=cost, timeout=source.seconds + 5)
    async def fetch(url: str) -> str:
        """Read the page at a public http or https address, as text."""
        return _readable(await source.get(url))

    return fetch


def _readable(page: Page) -> str:
    if page.status >= 400:
        raise PageError(page.url, f"the server answered {page.status}")
    if page.content and not _TEXT.match(page.content_type or "text/plain"):
        raise PageError(page.url, f"it is no text but {page.content_type}")
    found = re.search(r"charset=[\"']?([\w-]+)", page.content_type, re.I)
    try:
        text = page.content.decode(found[1] if found else "utf-8", "replace")
    except LookupError:
        text = page.content.decode("utf-8", "replace")
    if "html" in page.content_type.lower():
        text = html_text(text)
    return f"{text}\n[cut after {len(page.content)} bytes]" if page.is_cut else text


def html_text(html: str) -> str:
    """Return what a reader of the page would see, block by block."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.parts).split("\n"))
    return "\n".join(line for line in lines if line)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._unseen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNSEEN:
            self._unseen.append(tag)
        elif tag in _LINES:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._unseen:
            while self._unseen.pop() != tag:  # whatever was left open inside it ends as well
                pass
        elif tag in _LINES:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(data.replace("\n", " "))
