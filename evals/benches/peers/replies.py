"""A server of fixed bytes for measuring clients: `python -P replies.py`; prints its port, serves until stdin ends.

It reads no more of a request than whether it asks for a stream, which is one chunk of HTTP an event, each written
by itself: a client that is waiting reads them one by one, as from a real provider.
"""

import json
import sys
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream

CHUNKS = 100
TEXT = "".join(f"word{number:03} " for number in range(CHUNKS))
_HEAD: dict[str, Any] = {"id": "chatcmpl-1", "created": 1_790_000_000, "model": "m", "service_tier": "default"}
_USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": CHUNKS,
    "total_tokens": 12 + CHUNKS,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}


def _whole() -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": TEXT, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = json.dumps({**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def _streamed() -> list[bytes]:
    deltas = [{"content": TEXT[at : at + 8]} for at in range(0, len(TEXT), 8)]
    choice: dict[str, Any] = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": None}
    choices = [[choice | {"delta": delta}] for delta in deltas] + [[choice | {"finish_reason": "stop"}]]
    head = _HEAD | {"object": "chat.completion.chunk", "usage": None}
    chunks = [head | {"choices": choice} for choice in choices] + [head | {"choices": [], "usage": _USAGE}]
    events = [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks] + [b"data: [DONE]\n\n"]
    start = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return [start, *(b"%x\r\n%b\r\n" % (len(event), event) for event in events), b"0\r\n\r\n"]


WHOLE, STREAMED = _whole(), _streamed()


async def answer(stream: SocketStream) -> None:
    """Answer the requests of a connection until it is closed."""
    async with stream:
        try:
            while True:
                request = await _request(stream)
                if b'"stream":true' not in request.replace(b": ", b":"):
                    await stream.send(WHOLE)
                    continue
                for part in STREAMED:
                    await stream.send(part)
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return


async def _request(stream: SocketStream) -> bytes:
    """Return the body of the next request."""
    read = b""
    while b"\r\n\r\n" not in read:
        read += await stream.receive()
    head, _, body = read.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += await stream.receive()
    return body


async def serve() -> None:
    """Serve until stdin ends."""
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listener.serve, answer)
        sys.stdout.write(f"{listener.extra(SocketAttribute.local_port)}\n")
        sys.stdout.flush()
        await anyio.to_thread.run_sync(sys.stdin.read)
        group.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(serve)
