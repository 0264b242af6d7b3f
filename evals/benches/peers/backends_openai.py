# mypy: ignore-errors
# (its packages are in another environment)
"""The official client of OpenAI."""

from functools import cache

from openai import AsyncOpenAI

ASK = {
    "model": "m",
    "messages": [{"role": "user", "content": "When is high tide?"}],
    "max_completion_tokens": 500,
}


@cache
def client(port: int) -> AsyncOpenAI:
    """Return the client, which keeps its connections."""
    return AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="key")


async def run(port: int, stream: bool) -> str:
    """Return the text of a reply, whole or streamed."""
    completions = client(port).chat.completions
    if not stream:
        return (await completions.create(**ASK)).choices[0].message.content
    chunks = await completions.create(**ASK, stream=True, stream_options={"include_usage": True})
    return "".join([choice.delta.content or "" async for chunk in chunks for choice in chunk.choices])
