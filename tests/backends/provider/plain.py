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
    connection = HTTPConnection(urlsplit(provider.origin).netloc, timeout=5)
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def post(provider: Provider, path: str, body: Mapping[str, Any]) -> Any:
    """Return the JSON of the answer, which has to be one."""
    status, said = ask(provider, "POST", path, json.dumps(body).encode(), VERSION)
    assert status == 200, said
    return said
