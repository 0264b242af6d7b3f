"""Runs one script in the environment of a peer: `python -P worker.py SCRIPT`, with anyio and the standard library.

The script has an `async def run(…)`. For each line `[N, …]` of JSON on stdin it is awaited N times with the other
values, and a line of JSON tells the CPU time of one, in milliseconds, and what the last one returned.
"""

import json
import runpy
import sys
import time
from collections.abc import Awaitable, Callable

import anyio

_REPLIES, sys.stdout = sys.stdout, sys.stderr  # what a framework prints is no reply


async def serve(run: Callable[..., Awaitable[object]]) -> None:
    """Answer the lines of stdin until it ends."""
    for line in sys.stdin:
        count, *arguments = json.loads(line)
        result: object = None
        start = time.process_time()
        for _ in range(count):
            result = await run(*arguments)
        cpu_ms = (time.process_time() - start) / count * 1e3
        _REPLIES.write(json.dumps({"cpu_ms": cpu_ms, "result": result}) + "\n")
        _REPLIES.flush()


if __name__ == "__main__":
    anyio.run(serve, runpy.run_path(sys.argv[1])["run"])
