"""Backends: everything that completes conversations, behind one protocol."""

from agentkit.backends.base import Assembler, Backend, whole
from agentkit.backends.cassette import Recorder, Replayer
from agentkit.backends.fake import Faulty, ScriptedBackend, calls
from agentkit.backends.openai import OpenAIBackend
from agentkit.http import Timeouts

__all__ = [
    "Assembler",
    "Backend",
    "Faulty",
    "OpenAIBackend",
    "Recorder",
    "Replayer",
    "ScriptedBackend",
    "Timeouts",
    "calls",
    "whole",
]
