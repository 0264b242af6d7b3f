"""Model names to backends: `provider:model`, a model of an agent definition, or a backend somebody made.

Backends are imported when they are asked for, so that a remote agent never loads what a local one needs.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agentkit import prices
from agentkit.backends.base import Backend
from agentkit.errors import ConfigError, MissingExtra, MissingSecret
from agentkit.types import Capabilities, ModelCard
from agentkit.usage import Price

if TYPE_CHECKING:
    from agentkit.spec import LocalModelSpec, OpenAIModelSpec

OPENAI_URL = "https://api.openai.com/v1"
_KINDS = "openai:MODEL, zoo:nano, zoo:pico or local:FOLDER"


def resolve(model: str) -> Backend:
    """Return the backend of `openai:MODEL`, `zoo:NAME` or `local:FOLDER`.

    OPENAI_API_KEY and OPENAI_BASE_URL are read from the environment. Raises ConfigError for another spelling,
    MissingSecret without a key, MissingExtra without the `local` extra.
    """
    provider, _, name = model.partition(":")
    if not name:
        raise ConfigError(f"model {model!r} names no provider; write {_KINDS}")
    if provider == "openai":
        return _openai(name)
    if provider in ("zoo", "local"):
        return local(zoo=name) if provider == "zoo" else local(path=name)
    raise ConfigError(f"model {model!r}: provider {provider!r} is not known; write {_KINDS}")


def local(
    *,
    zoo: str | None = None,
    path: str | None = None,
    name: str | None = None,
    price: Price | None = None,
    quality: float | None = None,
    device: Literal["cpu", "cuda", "auto"] = "auto",
    threads: int | None = 1,
) -> Backend:
    """Return a model of this machine: one of the zoo, or a folder in Hugging Face format."""
    try:
        from agentkit.local_models import LocalBackend  # the `local` extra
        from agentkit.local_models import zoo as shipped
    except ModuleNotFoundError as error:
        raise MissingExtra("local", error.name or "torch") from error
    if zoo is not None:
        if zoo not in shipped.CARDS:
            raise ConfigError(f"the zoo has no model {zoo!r}; it has {', '.join(shipped.CARDS)}")
        card, folder = shipped.CARDS[zoo], shipped.folder(zoo)
    else:
        folder = Path(path or "")
        card = ModelCard(folder.name, backend="local", model=folder.name)
    quality = card.quality if quality is None else quality
    card = replace(card, name=name or card.name, price=price or card.price, quality=quality)
    return LocalBackend(card, folder, device=device, threads=threads)


def from_spec(name: str, spec: LocalModelSpec | OpenAIModelSpec) -> Backend:
    """Return the backend of a definition's model."""
    price = spec.price.to_price() if spec.price else None
    if spec.backend == "local":
        return local(
            zoo=spec.zoo,
            path=spec.path,
            name=name,
            price=price,
            quality=spec.quality,
            device=spec.device,
            threads=spec.threads or 1,
        )
    from agentkit.backends.openai import OpenAIBackend

    card = _openai_card(name, spec.model, price)
    card = replace(
        card,
        quality=spec.quality,
        context_window=spec.context_window or card.context_window,
        max_output_tokens=spec.max_output_tokens or card.max_output_tokens,
        capabilities=replace(card.capabilities, **spec.capabilities),
    )
    key = spec.api_key.get_secret_value() if spec.api_key else None
    base_url, key = _endpoint(spec.base_url, key, name)
    return OpenAIBackend(card, base_url=base_url, api_key=key, token_cap_field=spec.token_cap_field)


def _openai(model: str) -> Backend:
    from agentkit.backends.openai import OpenAIBackend

    base_url, key = _endpoint(None, None, model)
    return OpenAIBackend(_openai_card(model, model, None), base_url=base_url, api_key=key)


def _openai_card(name: str, model: str, price: Price | None) -> ModelCard:
    capabilities = Capabilities(json_schema=True)
    return ModelCard(name, "openai", model, price or prices.lookup(model), capabilities=capabilities)


def _endpoint(base_url: str | None, key: str | None, wanted_by: str) -> tuple[str, str | None]:
    """Return address and key; the environment's key is only ever sent to the environment's address.

    OpenAI itself needs a key; a compatible server of one's own may not.
    """
    if base_url is None:
        base_url = os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
        key = key or os.environ.get("OPENAI_API_KEY")
    if not key and base_url == OPENAI_URL:
        raise MissingSecret("OPENAI_API_KEY", wanted_by)
    return base_url, key
