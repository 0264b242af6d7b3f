"""Scripts as YAML, for a provider that runs as a process: by model, a reply for ever or a list of them.

small: Hello.
large:
  - calls: [{name: search, arguments: {query: tides}}]
  - {text: High at noon., thinking: Let me look., pace: 0.02}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from agentkit.backends.provider.script import Reply, Says, Script
from agentkit.errors import ConfigError
from agentkit.messages import ToolCall


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Call(_Written):
    name: str
    arguments: dict[str, Any] = {}


class _Reply(_Written):
    text: str = ""
    calls: list[_Call] = []
    thinking: str = ""
    refusal: bool = False
    wait: float = 0.0
    pace: float = 0.0

    def reply(self) -> Reply:
        calls = tuple(ToolCall("", call.name, json.dumps(call.arguments)) for call in self.calls)
        return Reply(self.text, calls, self.thinking, self.refusal, self.wait, self.pace)


_FILE = TypeAdapter(dict[str, str | _Reply | list[str | _Reply]])


def read_scripts(path: Path) -> Mapping[str, Script]:
    """Return the scripts in the file `path`, by model; raises ConfigError."""
    try:
        written = _FILE.validate_python(yaml.safe_load(path.read_text("utf-8")))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"{path} is no script: {error}") from error
    return {
        model: [_said(said) for said in script] if isinstance(script, list) else _said(script)
        for model, script in written.items()
    }


def _said(written: str | _Reply) -> Says:
    return written if isinstance(written, str) else written.reply()
