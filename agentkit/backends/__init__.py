"""Backends: everything that completes conversations, behind one protocol.

The names below are loaded when they are first used: a remote agent needs neither fakes nor cassettes.
"""

from typing import TYPE_CHECKING

from agentkit.lazy import load_lazily

if TYPE_CHECKING:
    from agentkit.backends.base import Assembler, Backend, whole
    from agentkit.backends.cache import CachingBackend
    from agentkit.backends.cassette import Recorder, Replayer
    from agentkit.backends.fake import Faulty, ScriptedBackend, calls
    from agentkit.backends.remote import RemoteBackend
    from agentkit.http import Timeouts

__getattr__ = load_lazily(
    __name__,
    {
        "Assembler": "agentkit.backends.base",
        "Backend": "agentkit.backends.base",
        "CachingBackend": "agentkit.backends.cache",
        "Faulty": "agentkit.backends.fake",
        "Recorder": "agentkit.backends.cassette",
        "RemoteBackend": "agentkit.backends.remote",
        "Replayer": "agentkit.backends.cassette",
        "ScriptedBackend": "agentkit.backends.fake",
        "Timeouts": "agentkit.http",
        "calls": "agentkit.backends.fake",
        "whole": "agentkit.backends.base",
    },
)

__all__ = [
    "Assembler",
    "Backend",
    "CachingBackend",
    "Faulty",
    "Recorder",
    "RemoteBackend",
    "Replayer",
    "ScriptedBackend",
    "Timeouts",
    "calls",
    "whole",
]
