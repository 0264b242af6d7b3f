# mypy: ignore-errors
# (its packages are in another environment)
"""LiteLLM in process, without the download of prices that it starts with otherwise."""

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm

litellm.telemetry = False
ASK = {
    "model": "openai/m",
    "messages": [{"role": "user", "content": "When is high tide?"}],
    "max_completion_tokens": 500,
    "api_key": "key",
}


async def run(port: int, stream: bool) -> str:
    """Return the text of a reply, whole or streamed."""
    url = f"http://127.0.0.1:{port}/v1"
    if not stream:
        return (await litellm.acompletion(**ASK, api_base=url)).choices[0].message.content
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = await litellm.acompletion(**ASK, api_base=url, **options)
    return "".join([choice.delta.content or "" async for chunk in chunks for choice in chunk.choices])
