"""Model names to backends: `provider:model`, a model of an agent definition, or a backend somebody made.

Backends are imported when they are asked for, so that a remote agent never loads what a local one needs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import urlsplit

from agentkit import prices
from agentkit.backends.base import Backend
from agentkit.errors import ConfigError, MissingExtra, MissingSecret
from agentkit.types import ModelCard
from agentkit.usage import Price

if TYPE_CHECKING:
    from agentkit.backends.dialect import Dialect
    from agentkit.backends.openai_chat import TokenCapField
    from agentkit.model_spec import CacheSpec, LocalModelSpec, ModelSpec, RemoteSpec


class Provider(NamedTuple):
    """Where a provider's models are asked for, and what the environment calls their address and key.

    `version` ends the address, which the environment has without it: so do the provider's own clients.
    """

    base_url: str | None
    url_variable: str
    key_variables: tuple[str, ...]
    version: str = ""


_OPENAI = Provider("https://api.openai.com/v1", "OPENAI_BASE_URL", ("OPENAI_API_KEY",))
PROVIDERS: Mapping[str, Provider] = {
    "openai": _OPENAI,
    "openai-responses": _OPENAI,
    "anthropic": Provider("https://api.anthropic.com/v1", "ANTHROPIC_BASE_URL", ("ANTHROPIC_API_KEY",), "/v1"),
    "gemini": Provider(
        "https://generativelanguage.googleapis.com/v1beta",
        "GOOGLE_GEMINI_BASE_URL",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        "/v1beta",
    ),
    "azure": Provider(None, "AZURE_OPENAI_ENDPOINT", ("AZURE_OPENAI_API_KEY",)),
}
_SPELLINGS = f"{', '.join(f'{name}:MODEL' for name in PROVIDERS)}, zoo:nano, zoo:pico or local:FOLDER"


def resolve(model: str) -> Backend:
    """Return the backend of `PROVIDER:MODEL`, `zoo:NAME` or `local:FOLDER`.

    Address and key of a provider come from the environment. Raises ConfigError for another spelling,
    MissingSecret without a key, MissingExtra without the `local` extra.
    """
    provider, _, name = model.partition(":")
    if not name:
        raise ConfigError(f"model {model!r} names no provider; write {_SPELLINGS}")
    if provider in PROVIDERS:
        from agentkit.backends.remote import RemoteBackend

        url, key = _base_url(provider, None), _key(provider, None, None, name)
        card = _card(provider, name, url)
        return RemoteBackend(card, _dialect(provider, url, card.price), base_url=url, api_key=key)
    if provider in ("zoo", "local"):
        return local(zoo=name) if provider == "zoo" else local(path=name)
    raise ConfigError(f"model {model!r}: provider {provider!r} is not known; write {_SPELLINGS}")


def local(
    *,
    zoo: str | None = None,
    path: str | None = None,
    name: str | None = None,
    price: Price | None = None,
    usd_per_call: Decimal | None = None,
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
    card = replace(
        card,
        name=name or card.name,
        price=price or card.price,
        usd_per_call=usd_per_call,
        quality=card.quality if quality is None else quality,
    )
    return LocalBackend(card, folder, device=device, threads=threads)


def from_spec(name: str, spec: ModelSpec) -> Backend:
    """Return the backend of a definition's model."""
    if spec.backend == "local":
        return _local_from_spec(name, spec)
    from agentkit.backends.remote import RemoteBackend
    from agentkit.http import Timeouts

    url = _base_url(spec.backend, spec.base_url)
    headers = {header.lower(): value.get_secret_value() for header, value in spec.headers.items()}
    key = spec.api_key.get_secret_value() if spec.api_key else None
    card = remote_card(name, spec)
    backend = RemoteBackend(
        card,
        _dialect(
            spec.backend,
            url,
            card.price,
            token_cap_field=spec.token_cap_field if spec.backend == "openai" else None,
            api_version=spec.api_version if spec.backend == "azure" else None,
        ),
        base_url=url,
        api_key=None if "authorization" in headers else _key(spec.backend, spec.base_url, key, name),
        headers=headers,
        timeouts=Timeouts(**spec.timeouts.model_dump()) if spec.timeouts else None,
    )
    return _cached(backend, spec.cache) if spec.cache else backend


def _cached(backend: Backend, spec: CacheSpec) -> Backend:
    from agentkit.backends.cache import CachingBackend

    size = spec.max_megabytes * 1_000_000
    return CachingBackend(backend, spec.path, ttl=spec.ttl, max_bytes=size, sampled=spec.sampled)


def remote_card(name: str, spec: RemoteSpec) -> ModelCard:
    """Return the card of a definition's remote model: what is known of it, under what the definition says."""
    card = _card(spec.backend, spec.model, _base_url(spec.backend, spec.base_url))
    return replace(
        card,
        name=name,
        price=spec.price.to_price() if spec.price else card.price,
        quality=spec.quality,
        usd_per_call=spec.usd_per_call,
        context_window=spec.context_window or card.context_window,
        max_output_tokens=spec.max_output_tokens or card.max_output_tokens,
        image_tokens=spec.image_tokens or card.image_tokens,
        capabilities=replace(card.capabilities, **spec.capabilities),
    )


def _card(provider: str, model: str, base_url: str) -> ModelCard:
    """The card of a model by what is known of it; the table's price holds only at its maker's own address."""
    from agentkit.backends.families import family_of

    family = family_of(provider, model)
    return ModelCard(
        model,
        provider,
        model,
        prices.lookup(model, base_url),
        family.context_window,
        family.max_output_tokens,
        capabilities=family.capabilities,
        image_tokens=family.image_tokens,
    )


def _dialect(
    provider: str,
    base_url: str,
    price: Price | None,
    *,
    token_cap_field: TokenCapField | None = None,
    api_version: str | None = None,
) -> Dialect:
    if provider == "openai":
        from agentkit.backends.openai_chat import OpenAIChat

        return OpenAIChat(token_cap_field or _cap_field(base_url), _service_tier(base_url, price))
    if provider == "openai-responses":
        from agentkit.backends.openai_responses import OpenAIResponses

        return OpenAIResponses(_service_tier(base_url, price))
    if provider == "anthropic":
        from agentkit.backends.anthropic import Anthropic

        return Anthropic()
    if provider == "gemini":
        from agentkit.backends.gemini import Gemini

        return Gemini()
    from agentkit.backends.azure import API_VERSION, AzureChat

    return AzureChat(api_version=api_version or os.environ.get("OPENAI_API_VERSION") or API_VERSION)


def _cap_field(base_url: str) -> TokenCapField:
    host = urlsplit(base_url).hostname or ""
    newer = host.endswith((".openai.com", ".openai.azure.com"))
    return "max_completion_tokens" if newer else "max_tokens"


def _service_tier(base_url: str, price: Price | None) -> str | None:
    """Return the tier to ask for at OpenAI: a project may be set to one that is dearer than the price tells."""
    tells_tiers = price is not None and not {"batch"}.issuperset(price.multipliers)
    host = urlsplit(base_url).hostname or ""
    return None if tells_tiers or not f".{host}".endswith(".api.openai.com") else "default"


def _base_url(provider: str, given: str | None) -> str:
    known = PROVIDERS[provider]
    if given:
        return given
    if from_environment := os.environ.get(known.url_variable, "").rstrip("/"):
        return from_environment.removesuffix(known.version) + known.version
    if known.base_url:
        return known.base_url
    raise ConfigError(f"a model of {provider} needs an address; give it a base_url or set {known.url_variable}")


def _key(provider: str, base_url: str | None, key: str | None, wanted_by: str) -> str | None:
    """Return the key to send; one of the environment goes to the provider or the environment's address only.

    Providers need a key; a compatible server of one's own may not.
    """
    known, url = PROVIDERS[provider], _base_url(provider, base_url).rstrip("/")
    if base_url is None or url == known.base_url:
        key = key or next(filter(None, map(os.environ.get, known.key_variables)), None)
    if not key and known.base_url in (url, None):
        raise MissingSecret(known.key_variables[0], wanted_by)
    return key


def _local_from_spec(name: str, spec: LocalModelSpec) -> Backend:
    return local(
        zoo=spec.zoo,
        path=spec.path,
        name=name,
        price=spec.price.to_price() if spec.price else None,
        usd_per_call=spec.usd_per_call,
        quality=spec.quality,
        device=spec.device,
        threads=spec.threads or 1,
    )
