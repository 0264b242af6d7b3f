"""The proxy that the environment puts before an address, as httpx and curl read it."""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies

_PORTS = {"http": 80, "https": 443}


def proxy_before(url: str) -> str | None:
    """Return the proxy by which `url` is reached, None where there is none or `NO_PROXY` lists its host."""
    scheme, proxies = urlsplit(url).scheme, getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or _is_excepted(url, proxies.get("no", "")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_excepted(url: str, exceptions: str) -> bool:
    """Whether `NO_PROXY` lists an address.

    An entry is a host with its subdomains, after a dot these alone, after a scheme the host alone, or `*`; a port
    may follow.
    """
    parts = urlsplit(url)
    name = parts.hostname or ""
    host = f"[{name}]" if ":" in name else name
    names = {name, host, f"{host}:{parts.port or _PORTS.get(parts.scheme)}"}
    for entry in exceptions.lower().split(","):
        scheme, _, listed = entry.strip().rpartition("://")
        suffix = f".{listed.removeprefix('.')}"
        if listed == "*" or (scheme in ("all", parts.scheme) and listed in names):
            return True
        if listed and not scheme and any(one == listed or one.endswith(suffix) for one in names):
            return True
    return False
