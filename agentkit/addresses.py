"""Which addresses on the network a tool may reach: public ones, whatever the URL calls them.

A host is resolved once, every address of it has to pass, and the connection goes to what was checked: a name that
resolves differently the second time (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import anyio

from agentkit.errors import AddressRefused, ConfigError

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a host and a port to addresses; OSError when there are none."""

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?", re.IGNORECASE)
_REFUSED_CHARACTERS = re.compile(r"[\x00-\x20\x7f\\]")
_EMBEDS = [
    (ipaddress.IPv6Network(net), shift) for net, shift in (("64:ff9b::/96", 0), ("2002::/16", 80), ("::/96", 0))
]
"""Networks whose addresses stand for an IPv4 one, and how many bits follow it: NAT64, 6to4, IPv4-compatible."""
_NOT_PUBLIC = [
    ipaddress.ip_network(net)
    for net in (
        "192.88.99.0/24",
        "64:ff9b:1::/48",
        "2001::/32",
        "2001:db8::/32",
        "3fff::/20",
        "5f00::/16",
        "fec0::/10",
    )
]
"""What some versions of `ipaddress` call global: relays, tunnels, documentation."""


def is_public(address: str) -> bool:
    """Tell whether an IP address belongs to the public internet; one that embeds an IPv4 address as that."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        for network, shift in _EMBEDS:
            if ip in network:
                return is_public(str(ipaddress.IPv4Address(int(ip) >> shift & 0xFFFFFFFF)))
    if any(ip in network for network in _NOT_PUBLIC if network.version == ip.version):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified or ip.is_loopback)


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system for the addresses of `host`."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True)
class Target:
    """A checked URL: the host it names, and the addresses to connect to in its stead."""

    url: SplitResult
    host: str
    port: int
    addresses: tuple[str, ...]

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port."""
        return self.url.scheme, self.host, self.port

    @property
    def netloc(self) -> str:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.url.port is None else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class AddressRules:
    """Where requests may go: `ports` on public addresses, and the networks in `also`, such as 10.1.0.0/16."""

    ports: tuple[int, ...] = (80, 443)
    also: tuple[str, ...] = ()
    resolver: Resolver = resolve

    def __post_init__(self) -> None:
        for network in self.also:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise ConfigError(f"a network is written like 10.1.0.0/16: {error}") from error

    async def check(self, url: str) -> Target:
        """Return where `url` leads; AddressRefused when that is not allowed or cannot be told."""
        parts, host, port = _parsed(url)
        if port not in self.ports:
            raise AddressRefused(
                url, f"port {port} is not allowed; the ports are {', '.join(map(str, self.ports))}"
            )
        try:
            addresses = await self.resolver(host, port)
        except OSError as error:
            raise AddressRefused(url, f"{host} cannot be resolved: {error.strerror or error}") from error
        if not addresses:
            raise AddressRefused(url, f"{host} cannot be resolved")
        for address in addresses:
            if not self._allows(address):
                raise AddressRefused(url, "it leads to an address that is not public")
        return Target(parts, host, port, tuple(addresses))

    def _allows(self, address: str) -> bool:
        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        networks: list[_Network] = [ipaddress.ip_network(network) for network in self.also]
        return is_public(str(ip)) or any(ip in network for network in networks if network.version == ip.version)


def _parsed(url: str) -> tuple[SplitResult, str, int]:
    if _REFUSED_CHARACTERS.search(url):
        raise AddressRefused(url, "blanks, backslashes and control characters have to be escaped")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise AddressRefused(url, f"it cannot be read: {error}") from error
    if parts.scheme not in _PORTS:
        raise AddressRefused(url, "it has to begin with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise AddressRefused(url, "it must not carry a user name")
    return parts, _ascii(url, host), port if port is not None else _PORTS[parts.scheme]


def _ascii(url: str, host: str) -> str:
    try:
        ipaddress.IPv6Address(host)
        return host
    except ValueError:
        pass
    try:
        plain = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError as error:
        raise AddressRefused(url, f"the host {host!r} cannot be read") from error
    if not _HOST.fullmatch(plain) or len(plain) > 253:
        raise AddressRefused(url, f"{host!r} is not the name of a host")
    return plain
