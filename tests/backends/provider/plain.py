"""Plain requests to a provider, by the standard library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from agentkit.backends.provider import Provider

VERSION = {"anthropic-version": "2023-06-01"}


def ask(
    provider: Provider, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
) -> tuple[int, Any]:
    """Return the status and the JSON of the answer."""
    status, said = _answer(provider, method, path, body, headers)
    return status, json.loads(said)


def post(provider: Provider, path: str, body: Mapping[str, Any]) -> Any:
    """Return the JSON of the answer, which has to be one."""
    status, said = ask(provider, "POST", path, json.dumps(body).encode(), VERSION)
    assert status == 200, said
    return said


def events(provider: Provider, path: str, body: Mapping[str, Any]) -> list[str]:
    """Return the data of the events of a streamed answer."""
    status, said = _answer(provider, "POST", path, json.dumps(body).encode(), VERSION)
    assert status == 200, said
    return [line[6:].rstrip("\r") for line in said.decode().split("\n") if line.startswith("data: ")]


def _answer(
    provider: Provider, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
) -> tuple[int, bytes]:
    connection = HTTPConnection(urlsplit(provider.origin).netloc, timeout=60)
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
