"""The operations of an OpenAPI 3 document as tools, each a request to the one server that is named.

The document is somebody else's text: descriptions are cut to a length, references lead nowhere outside it, and
requests go to the server's own origin, which has to be public unless its network is named.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from agentkit.costs import Cost
from agentkit.errors import ConfigError, ToolFailed
from agentkit.redaction import excerpt
from agentkit.tools.json_schema import schema_parser
from agentkit.tools.source import MAX_DESCRIPTION, tool_name
from agentkit.tools.tool import Tool
from agentkit.types import ToolSpec

if TYPE_CHECKING:
    from agentkit.web import Web

_METHODS = ("get", "put", "post", "delete", "patch")
_DEEPEST = 20
_JSON = re.compile(r"application/(?:[\w.+-]+\+)?json(?:;.*)?", re.I)


@dataclass(frozen=True, slots=True)
class OpenApi:
    """A document at `path`, JSON or YAML, as a `ToolSource`; `tools` gives the same without opening.

    `server` is the address requests go to, by default the document's first. `headers` go with each of them, such
    as a key. `only` names operations, by default all that take JSON; `prefix` goes before their names, `also` are
    networks that are not public and may be reached. `cost` is what a call costs, `timeout` bounds it in seconds.
    """

    path: str | Path
    server: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    only: Sequence[str] | None = None
    prefix: str = ""
    also: tuple[str, ...] = ()
    cost: Cost = field(default_factory=Cost)
    timeout: float = 30.0
    limit: int = 200_000

    @asynccontextmanager
    async def open(self, seconds: float | None = None) -> AsyncGenerator[Sequence[Tool], None]:
        """Give the tools; each call opens and closes its own connection."""
        yield self.tools()

    def tools(self) -> Sequence[Tool]:
        """Return the tools; ConfigError when the document cannot be read or used."""
        document = _read(Path(self.path))
        base = self._base(document)
        web = self._web(base)
        offered = {operation.id: operation for operation in _operations(document)}
        if unknown := [name for name in self.only or () if name not in offered]:
            raise ConfigError(f"{str(self.path)!r} has no operation {unknown[0]!r}; it has {', '.join(offered)}")
        chosen = list(offered) if self.only is None else self.only
        return [self._tool(offered[name], base, web) for name in chosen]

    def _base(self, document: Mapping[str, Any]) -> str:
        servers = document.get("servers") or [{}]
        base = str(self.server or servers[0].get("url", "")).rstrip("/")
        if urlsplit(base).scheme not in ("http", "https") or "{" in base:
            raise ConfigError(f"{str(self.path)!r} names no server that can be used ({base!r}); give server=")
        return base

    def _web(self, base: str) -> Web:
        from agentkit.addresses import AddressRules
        from agentkit.web import Web  # httpx, which an agent without these tools is spared

        parts = urlsplit(base)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        rules = AddressRules(ports=(port,), also=self.also)
        return Web(rules, dict(self.headers), self.limit, self.timeout, redirects=0)

    def _tool(self, operation: _Operation, base: str, web: Web) -> Tool:
        name = tool_name(operation.id, self.prefix)

        async def call(arguments: Mapping[str, Any], _: object) -> str:
            path, headers, body = operation.request(arguments)
            page = await web.send(operation.method, base + path, body, headers)
            text = page.content.decode("utf-8", "replace")
            if page.status >= 400:
                raise ToolFailed(name, f"the server answered {page.status}: {excerpt(text, 500)}")
            return (f"{text}\n[cut after {self.limit} bytes]" if page.is_cut else text) or f"[done: {page.status}]"

        schema = operation.schema
        spec = ToolSpec(name, excerpt(operation.description, MAX_DESCRIPTION), schema)
        parse, timeout = schema_parser(schema), self.timeout + 5
        return Tool(spec, call, self.cost, timeout, parse, foreign=True, gives=operation.gives)


@dataclass(frozen=True, slots=True)
class _Operation:
    """One request that can be made: `places` says by argument where it goes and under which name.

    `gives` names what a good answer has in it.
    """

    id: str
    method: str
    path: str
    description: str
    schema: dict[str, Any]
    places: Mapping[str, tuple[str, str]]
    gives: tuple[str, ...]

    def request(self, arguments: Mapping[str, Any]) -> tuple[str, dict[str, str], bytes | None]:
        """Return path with query, headers and body."""
        path, query, headers, body = self.path, list[tuple[str, str]](), dict[str, str](), None
        for argument, value in arguments.items():
            place, name = self.places[argument]
            if place == "path":
                if (text := _written(value)) in ("", ".", ".."):
                    raise ToolFailed(self.id, f"{argument!r} cannot be {text!r} in a path")
                path = path.replace(f"{{{name}}}", quote(text, safe=""))
            elif place == "query":
                query += [(name, _written(item)) for item in (value if isinstance(value, list) else [value])]
            elif place == "header":
                if not (text := _written(value)).isprintable() or not text.isascii():
                    raise ToolFailed(self.id, f"{argument!r} cannot go into a header")
                headers[name] = text
            else:
                body, headers["content-type"] = json.dumps(value).encode(), "application/json"
        return f"{path}?{urlencode(query)}" if query else path, headers, body


def _read(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        text = path.read_text("utf-8")
        document = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"the OpenAPI document {str(path)!r} cannot be read: {error}") from error
    if not isinstance(document, dict) or not str(document.get("openapi", "")).startswith("3."):
        raise ConfigError(f"{str(path)!r} is no OpenAPI 3 document; convert older ones first")
    return document


def _operations(document: Mapping[str, Any]) -> Iterator[_Operation]:
    for path, item in (document.get("paths") or {}).items():
        if not str(path).startswith("/"):  # it would become part of the host
            raise ConfigError(f"the path {path!r} has to begin with '/'")
        for method in _METHODS:
            if isinstance(item, dict) and isinstance(item.get(method), dict):
                shared = item.get("parameters") or []
                if (operation := _operation(document, path, method, item[method], shared)) is not None:
                    yield operation


def _operation(
    document: Mapping[str, Any], path: str, method: str, written: Mapping[str, Any], shared: Sequence[Any]
) -> _Operation | None:
    """Return an operation, None if it needs what a JSON object of arguments cannot give."""
    properties: dict[str, Any] = {}
    required: list[str] = []
    places: dict[str, tuple[str, str]] = {}
    given = {
        (p["name"], p["in"]): p
        for p in (_resolved(p, document) for p in (*shared, *(written.get("parameters") or ())))
    }
    for (name, place), parameter in given.items():
        if place == "cookie" or "schema" not in parameter:
            if parameter.get("required"):
                return None
            continue
        argument = name if name not in properties else f"{place}_{name}"
        places[argument] = (place, name)
        properties[argument] = {**parameter["schema"], **_described(parameter)}
        required += [argument] if parameter.get("required") or place == "path" else []
    if body := _resolved(written.get("requestBody") or {}, document):
        schema = next(
            (media.get("schema", {}) for kind, media in body["content"].items() if _JSON.fullmatch(kind)), None
        )
        if schema is None and body.get("required"):
            return None
        if schema is not None:
            places["body"] = ("body", "")
            properties["body"] = {**schema, **_described(body)}
            required += ["body"] if body.get("required") else []
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    name = str(written.get("operationId") or f"{method}{path}").strip("/")
    described = str(written.get("summary") or written.get("description") or f"{method.upper()} {path}")
    return _Operation(name, method.upper(), path, described, schema, places, _gives(document, written))


def _gives(document: Mapping[str, Any], written: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the properties of a good answer, or of the objects in a list of them."""
    for status, answer in (written.get("responses") or {}).items():
        for kind, media in (_resolved(answer, document).get("content") or {}).items():
            if str(status).startswith("2") and _JSON.fullmatch(kind):
                schema = media.get("schema") or {}
                return tuple(map(str, (schema.get("items") or schema).get("properties") or ()))
    return ()


def _described(node: Mapping[str, Any]) -> dict[str, str]:
    return {"description": excerpt(str(node["description"]), 300)} if node.get("description") else {}


def _resolved(node: Any, document: Mapping[str, Any], within: tuple[str, ...] = ()) -> Any:
    """Put what references stand for in their place; one that leads back into itself allows anything."""
    if isinstance(node, list):
        return [_resolved(item, document, within) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(reference := node.get("$ref"), str):
        if reference in within or len(within) > _DEEPEST:
            return {}
        return _resolved(_found(reference, document), document, (*within, reference))
    made = {key: _resolved(item, document, within) for key, item in node.items()}
    if made.pop("nullable", False) is True and isinstance(made.get("type"), str):  # OpenAPI 3.0
        made["type"] = [made["type"], "null"]
    return made


def _found(reference: str, document: Mapping[str, Any]) -> Any:
    node: Any = document
    for part in reference.removeprefix("#/").split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if not reference.startswith("#/") or not isinstance(node, dict) or key not in node:
            raise ConfigError(f"the reference {reference!r} leads to nothing in the OpenAPI document")
        node = node[key]
    return node


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
