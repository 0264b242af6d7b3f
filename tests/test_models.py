"""Model names to backends: which interface, which address, which price, and where the environment's key may go."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter

from agentkit.backends import RemoteBackend
from agentkit.errors import ConfigError, MissingSecret
from agentkit.local_models.zoo import CARDS
from agentkit.model_spec import Capability, LocalModelSpec, ModelSpec
from agentkit.models import PROVIDERS, from_spec, resolve
from agentkit.types import Request

ELSEWHERE = "http://127.0.0.1:9/v1"
AZURE = "https://me.openai.azure.com"
MAKER_FLAGS = set(get_args(Capability)) - {"prefill", "stop_ends_billing", "streams_every_billed_token"}
KEY_HEADERS = {
    "openai": ("authorization", "Bearer {}"),
    "openai-responses": ("authorization", "Bearer {}"),
    "anthropic": ("x-api-key", "{}"),
    "gemini": ("x-goog-api-key", "{}"),
    "azure": ("api-key", "{}"),
}


def spec(backend: str = "openai", **fields: Any) -> Any:
    adapter: TypeAdapter[Any] = TypeAdapter(ModelSpec)
    return adapter.validate_python({"backend": backend, "model": "m", **fields})


def remote(backend: str = "openai", **fields: Any) -> RemoteBackend:
    made = from_spec("mine", spec(backend, **fields))
    assert isinstance(made, RemoteBackend)
    return made


def sent(backend: object) -> dict[str, str]:
    """The headers a remote backend sends."""
    headers = backend._endpoint._headers  # type: ignore[attr-defined]  # no public view, and it must not have one
    return dict(headers)


def key(backend: object, provider: str = "openai") -> str | None:
    return sent(backend).get(KEY_HEADERS[provider][0])


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for known in PROVIDERS.values():
        monkeypatch.delenv(known.url_variable, raising=False)
        for variable in known.key_variables:
            monkeypatch.setenv(variable, f"from-{variable}")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", AZURE)


# ---------------------------------------------------------------- addresses and keys
@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_gets_its_own_key_at_its_own_address(provider: str) -> None:
    known = PROVIDERS[provider]
    wanted = KEY_HEADERS[provider][1].format(f"from-{known.key_variables[0]}")
    for backend in (resolve(f"{provider}:m"), from_spec("m", spec(provider))):
        assert isinstance(backend, RemoteBackend)
        assert backend.base_url == (known.base_url or AZURE)
        assert key(backend, provider) == wanted
        assert (backend.dialect.name, backend.card.backend) == (provider, provider)
        secrets = [value for value in sent(backend).values() if "from-" in value]
        assert secrets == [wanted]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_environments_key_never_goes_to_an_address_of_the_definition(provider: str) -> None:
    own = remote(provider, base_url=ELSEWHERE, api_key="own")
    assert key(own, provider) == KEY_HEADERS[provider][1].format("own")
    if provider == "azure":  # every address of Azure's needs a key
        with pytest.raises(MissingSecret, match="AZURE_OPENAI_API_KEY"):
            remote(provider, base_url=ELSEWHERE)
    else:
        assert not any("from-" in value for value in sent(remote(provider, base_url=ELSEWHERE)).values())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_environments_address_gets_the_environments_key(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = PROVIDERS[provider]
    monkeypatch.setenv(known.url_variable, "http://127.0.0.1:9/")
    backend = remote(provider)
    # the clients of some providers take the address without the version, so their users set it that way
    assert backend.base_url == f"http://127.0.0.1:9{known.version}"
    assert key(backend, provider) is not None
    monkeypatch.setenv(known.url_variable, f"http://127.0.0.1:9{known.version}")
    assert remote(provider).base_url == backend.base_url


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_without_a_key_is_refused(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in PROVIDERS[provider].key_variables:
        monkeypatch.delenv(variable)
    wanted = PROVIDERS[provider].key_variables[0]
    for base_url in {None, PROVIDERS[provider].base_url}:
        with pytest.raises(MissingSecret, match=wanted):
            remote(provider, base_url=base_url)
    with pytest.raises(MissingSecret, match=wanted):
        resolve(f"{provider}:m")
    header = remote(provider, headers={"Authorization": "Bearer token"})
    assert sent(header)["authorization"] == "Bearer token"


def test_the_second_variable_serves_where_the_first_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    assert key(resolve("gemini:m"), "gemini") == "from-GOOGLE_API_KEY"


def test_azure_without_an_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_OPENAI_ENDPOINT")
    with pytest.raises(ConfigError, match="AZURE_OPENAI_ENDPOINT"):
        resolve("azure:gpt")


def test_headers_and_limits_of_a_definition_are_kept() -> None:
    backend = remote(headers={"X-Title": "mine"}, timeouts={"total": 7})
    assert sent(backend)["x-title"] == "mine"
    limits = backend._endpoint._timeouts
    assert (limits.total, limits.connect) == (7, 10)


# ---------------------------------------------------------------- the card
@pytest.mark.parametrize(
    ("base_url", "field"),
    [
        (None, "max_completion_tokens"),
        ("https://us.api.openai.com/v1", "max_completion_tokens"),
        ("https://me.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("https://openrouter.ai/api/v1", "max_tokens"),
        ("http://localhost:8000/v1", "max_tokens"),
        ("https://api.openai.com.evil.example/v1", "max_tokens"),
    ],
)
def test_the_cap_field_follows_the_host(base_url: str | None, field: str) -> None:
    backend = remote(base_url=base_url)
    body = backend.dialect.build_request(Request(messages=(), max_output_tokens=5), backend.card)
    assert body[field] == 5 and len({"max_tokens", "max_completion_tokens"} & set(body)) == 1


@pytest.mark.parametrize("provider", ["openai", "openai-responses"])
@pytest.mark.parametrize(
    ("base_url", "price", "tier"),
    [
        (None, None, "default"),
        ("https://eu.api.openai.com/v1", {"input": 1, "output": 2, "multipliers": {"batch": 0.5}}, "default"),
        (None, {"input": 1, "output": 2, "multipliers": {"priority": 2}}, None),  # its bound tells
        (ELSEWHERE, None, None),
        ("https://me.openai.azure.com/openai/v1", None, None),
        ("https://evil-api.openai.com.example/v1", None, None),
    ],
)
def test_a_project_of_openais_does_not_choose_a_dearer_tier(
    provider: str, base_url: str | None, price: Any, tier: str | None
) -> None:
    backend = remote(provider, base_url=base_url, price=price)
    body = backend.dialect.build_request(Request(messages=(), max_output_tokens=5), backend.card)
    assert body.get("service_tier") == tier and (tier is not None or "service_tier" not in body)


def test_the_cap_field_may_be_said() -> None:
    backend = remote(base_url=ELSEWHERE, token_cap_field="max_completion_tokens")
    assert "max_completion_tokens" in backend.dialect.build_request(
        Request(messages=(), max_output_tokens=5), backend.card
    )


@pytest.mark.parametrize(
    ("provider", "base_url", "priced"),
    [
        ("openai", None, True),
        ("openai", "https://api.openai.com/v1", True),
        ("openai-responses", None, True),
        ("openai", "https://openrouter.ai/api/v1", False),
        ("openai", ELSEWHERE, False),
        ("azure", None, False),
    ],
)
def test_the_price_table_holds_only_at_the_makers_own_address(
    provider: str, base_url: str | None, priced: bool
) -> None:
    assert (remote(provider, model="gpt-5-mini", base_url=base_url).card.price is not None) is priced


def test_a_definitions_own_price_holds_anywhere() -> None:
    price = remote(model="gpt-5-mini", base_url=ELSEWHERE, price={"input": 1, "output": 2}).card.price
    assert price is not None and (price.input, price.output) == (Decimal(1), Decimal(2))


def test_an_address_of_the_environment_has_no_list_price(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", ELSEWHERE)
    assert resolve("openai:gpt-5-mini").card.price is None


@pytest.mark.parametrize(
    ("provider", "model", "window", "off"),
    [
        ("openai", "gpt-5-mini", 400_000, {"temperature", "stop", "logprobs", "cache_control"}),
        ("openai", "openai/gpt-5.4", 400_000, {"temperature", "stop", "logprobs", "cache_control"}),
        ("openai", "gpt-5-chat-latest", 128_000, {"reasoning_effort", "cache_control"}),
        ("openai-responses", "o3-mini", 200_000, {"temperature", "stop", "logprobs", "cache_control", "images"}),
        ("azure", "gpt-4.1", 1_047_576, {"reasoning_effort", "cache_control"}),
        ("openai", "some-open-model", 128_000, {"logprobs", "reasoning_effort", "cache_control"}),
        ("anthropic", "claude-sonnet-4-5", 200_000, {"seed", "logprobs"}),
        ("anthropic", "claude-opus-4-8", 1_000_000, {"seed", "logprobs"}),
        (
            "anthropic",
            "claude-3-5-haiku-20241022",
            200_000,
            {"seed", "logprobs", "json_schema", "reasoning_effort"},
        ),
        ("gemini", "gemini-3.5-flash", 1_048_576, {"logprobs", "cache_control"}),
    ],
)
def test_what_is_known_of_a_model(provider: str, model: str, window: int, off: set[str]) -> None:
    card = remote(provider, model=model).card
    can = card.capabilities
    assert card.context_window == window
    assert {name for name in MAKER_FLAGS if not getattr(can, name)} == off


def test_what_a_definition_says_goes_before_what_is_known() -> None:
    said: dict[str, Any] = {"context_window": 9, "max_output_tokens": 8, "image_tokens": 7, "quality": 0.5}
    card = remote(model="gpt-5", capabilities={"temperature": True}, **said).card
    assert {name: getattr(card, name) for name in said} == said
    assert card.capabilities.temperature and not card.capabilities.stop
    assert (card.name, card.model) == ("mine", "gpt-5")


def test_a_quality_of_zero_is_a_quality() -> None:
    assert from_spec("m", LocalModelSpec(backend="local", zoo="pico", quality=0)).card.quality == 0
    assert from_spec("m", LocalModelSpec(backend="local", zoo="pico")).card.quality == CARDS["pico"].quality


@pytest.mark.parametrize("name", ["gpt-5", "mystery:gpt-5", "zoo:giant", ":x", "openai:"])
def test_a_name_that_cannot_be_resolved_says_what_to_write(name: str) -> None:
    with pytest.raises(ConfigError, match=r"openai:MODEL|pico"):
        resolve(name)
