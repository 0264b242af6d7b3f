"""Model names to backends, and where the environment's key may go."""

import pytest

from agentkit.errors import ConfigError, MissingSecret
from agentkit.local_models.zoo import CARDS
from agentkit.models import OPENAI_URL, from_spec, resolve
from agentkit.spec import LocalModelSpec, OpenAIModelSpec


def header(backend: object) -> str | None:
    """The Authorization header a remote backend sends."""
    headers = backend._endpoint._headers  # type: ignore[attr-defined]  # no public view, and it must not have one
    return dict(headers).get("authorization")


def spec(**fields: str) -> OpenAIModelSpec:
    return OpenAIModelSpec.model_validate({"backend": "openai", "model": "m", **fields})


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "from-environment")


def test_the_environments_key_goes_to_openai() -> None:
    assert header(from_spec("m", spec())) == "Bearer from-environment"
    assert header(resolve("openai:m")) == "Bearer from-environment"


def test_the_environments_key_never_goes_to_an_address_of_the_definition() -> None:
    assert header(from_spec("m", spec(base_url="http://127.0.0.1:9/v1"))) is None
    assert header(from_spec("m", spec(base_url="http://127.0.0.1:9/v1", api_key="own"))) == "Bearer own"


def test_openai_without_a_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(MissingSecret, match="OPENAI_API_KEY"):
        from_spec("m", spec())
    with pytest.raises(MissingSecret, match="OPENAI_API_KEY"):
        from_spec("m", spec(base_url=OPENAI_URL))


def test_a_quality_of_zero_is_a_quality() -> None:
    assert from_spec("m", LocalModelSpec(backend="local", zoo="pico", quality=0)).card.quality == 0
    assert from_spec("m", LocalModelSpec(backend="local", zoo="pico")).card.quality == CARDS["pico"].quality


@pytest.mark.parametrize("name", ["gpt-5", "mystery:gpt-5", "zoo:giant", ":x", "openai:"])
def test_a_name_that_cannot_be_resolved_says_what_to_write(name: str) -> None:
    with pytest.raises(ConfigError, match=r"openai:MODEL|pico"):
        resolve(name)
