"""Pages for tools: fetched from where `addresses` allows, within every limit, with nothing of ours given away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urljoin

import anyio

from agentkit.addresses import AddressRules
from agentkit.errors import AddressRefused, PageError
from agentkit.http import Transport, ask


@dataclass(frozen=True, slots=True)
class Page:
    """What a URL gave: where it was found after redirects, and at most the bytes that were wanted."""

    url: str
    status: int
    content_type: str
    content: bytes
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Web:
    """Makes requests to where `rules` allow, without cookies, credentials or proxies of the environment.

    `headers` go to the origin that is asked, and to no other it redirects to. `limit` is in bytes, unpacked;
    `seconds` is for the whole, `redirects` included.
    """

    rules: AddressRules = field(default_factory=AddressRules)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    limit: int = 1_000_000
    seconds: float = 20.0
    redirects: int = 5
    transport: Transport | None = None

    async def get(self, url: str) -> Page:
        """Return what lies at `url`; raises AddressRefused, and PageError when it cannot be had."""
        return await self.send("GET", url)

    async def send(
        self, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Page:
        """Make any request; only a GET follows redirects."""
        try:
            with anyio.fail_after(self.seconds):
                return await self._follow(method, url, body, {**self.headers, **(headers or {})})
        except TimeoutError as error:
            raise PageError(url, f"no answer within {self.seconds:g} s") from error

    async def _follow(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Page:
        first = target = await self.rules.check(url)
        for _ in range(1 + self.redirects):
            own = headers if target.origin == first.origin else {}
            reply = await ask(target, method, own, body, self.limit, self.transport)
            if reply.location is None:
                kind = reply.headers.get("content-type", "")
                return Page(target.url.geturl(), reply.status, kind, reply.content, reply.is_cut)
            if method != "GET":
                raise PageError(url, f"it redirects to {reply.location!r}; only reading follows that")
            onward = urljoin(target.url.geturl(), reply.location)
            if target.url.scheme == "https" and not onward.startswith("https:"):
                raise AddressRefused(onward, "a redirect must not leave https")
            target = await self.rules.check(onward)
        raise PageError(url, f"more than {self.redirects} redirects")
