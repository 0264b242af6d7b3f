"""Embeddings as an OpenAI-compatible server gives them: POST /v1/embeddings.

A vector is made from the words of its text alone, so texts that share words are near each other.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from random import Random
from struct import pack
from typing import Any

from agentkit.backends.provider.script import words

DIMENSIONS = 64


def texts_of(body: Mapping[str, Any]) -> list[str]:
    """Return the texts; raises LookupError or TypeError."""
    given = body["input"]
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise TypeError("input is a text or a list of texts")
    return texts


def embeddings(body: Mapping[str, Any], texts: Sequence[str]) -> dict[str, Any]:
    """Return the body of the reply, vectors as base64 when that is asked for."""
    size = body.get("dimensions") or DIMENSIONS
    vectors = [embed(text, size) for text in texts]
    packed = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if packed else vector}
        for index, vector in enumerate(vectors)
    ]
    tokens = sum(map(words, texts))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "model": body["model"], "data": data, "usage": usage}


def embed(text: str, size: int = DIMENSIONS) -> list[float]:
    """Return a vector of length 1: the sum of a random direction for each word."""
    vector = [0.0] * size
    for word in text.lower().split() or [""]:
        random = Random(word)
        vector = [value + random.gauss() for value in vector]
    length = math.hypot(*vector)
    return [value / length for value in vector]


def _packed(vector: Sequence[float]) -> str:
    return base64.b64encode(pack(f"<{len(vector)}f", *vector)).decode()
