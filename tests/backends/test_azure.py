"""Azure's deployments: what differs from OpenAI's own chat completions."""

from __future__ import annotations

from agentkit.backends.azure import AzureChat
from agentkit.messages import user
from agentkit.types import ModelCard, Request
from tests.backends.streams import replay


def test_azure_has_a_path_a_version_and_a_header_of_its_own() -> None:
    azure = AzureChat(api_version="2024-10-21")
    deployment = ModelCard("m", "azure", "my gpt/4")
    assert azure.path(deployment, stream=True) == (
        "openai/deployments/my%20gpt%2F4/chat/completions?api-version=2024-10-21"
    )
    assert azure.headers("key-1") == {"api-key": "key-1"} and azure.headers(None) == {}
    assert (
        azure.build_request(Request(messages=(user("x"),), max_output_tokens=9), deployment)[
            "max_completion_tokens"
        ]
        == 9
    )
    first = {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}
    last = {"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]}
    assert replay(azure, first, last).message.text == "hi"
