"""Reads what a model needs from a docstring: the summary and the meaning of each parameter."""

from __future__ import annotations

import re

_SECTION = re.compile(r"(?:Args|Arguments|Parameters):\s*")
_PARAMETER = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)")


def summary(docstring: str) -> str:
    """Return the first paragraph on one line; `docstring` is clean, as from `inspect.getdoc`."""
    return " ".join(docstring.partition("\n\n")[0].split())


def parameters(docstring: str) -> dict[str, str]:
    """Return the descriptions of the `Args:` section by parameter, each on one line."""
    lines = iter(docstring.splitlines())
    if not any(_SECTION.fullmatch(line) for line in lines):  # leaves `lines` at the section's first line
        return {}
    described: dict[str, str] = {}
    margin, name = 0, ""
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if line.strip() and not indent:
            break
        margin = margin or indent
        if indent == margin and (match := _PARAMETER.fullmatch(line.strip())):
            name, described[match[1]] = match[1], match[2]
        elif name:
            described[name] = f"{described[name]} {line.strip()}".strip()
    return described
