"""How an exchange is put on the wire: uvicorn serves, and its socket is at hand for what ASGI cannot say."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import anyio

from agentkit.backends.provider.faults import Act, Exchange
from agentkit.errors import MissingExtra

try:
    from uvicorn.protocols.http.h11_impl import H11Protocol
except ImportError as error:
    raise MissingExtra("serve", "uvicorn") from error

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Wire(H11Protocol):
    """A connection whose handlers find it as `request.state.transport`."""

    def connection_made(self, transport: Any) -> None:
        """Let the state of every request name the connection."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class Played:
    """The response that plays `exchange`."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the steps one after the other, and end the body unless one of them ended it otherwise."""
        for step in self._exchange.steps:
            if isinstance(step, bytes):
                await self._send(send, step)
            elif isinstance(step, Act):
                _act(step, scope["state"]["transport"])
                while (await receive())["type"] != "http.disconnect":
                    pass
                return
            elif step:
                await anyio.sleep(step)
        await self._send(send, b"", more_body=False)

    async def _send(self, send: Send, data: bytes, *, more_body: bool = True) -> None:
        if not self._started:
            self._started = True
            headers = _encoded(self._exchange)
            await send({"type": "http.response.start", "status": self._exchange.status, "headers": headers})
        await send({"type": "http.response.body", "body": data, "more_body": more_body})


def _act(act: Act, transport: Any) -> None:
    if act is Act.CUT:
        transport.close()
    elif act is Act.RESET:
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()


def _encoded(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    headers: Mapping[str, str] = {"content-type": exchange.content_type, **exchange.headers}
    if exchange.length is not None:
        headers = {**headers, "content-length": str(exchange.length)}
    return [(name.encode(), value.encode()) for name, value in headers.items()]
