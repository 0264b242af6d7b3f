"""The floor: httpx with nothing around it but the parsing of JSON."""

import json

import httpx

BODY = {
    "model": "m",
    "messages": [{"role": "user", "content": "When is high tide?"}],
    "max_completion_tokens": 500,
}
limits = httpx.Limits(max_connections=None)
client = httpx.AsyncClient(headers={"authorization": "Bearer key"}, timeout=60, limits=limits)


async def run(port: int, stream: bool) -> str:
    """Return the text of a reply, whole or streamed."""
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    if not stream:
        answer = (await client.post(url, json=BODY)).json()
        return str(answer["choices"][0]["message"]["content"])
    text = []
    async with client.stream("POST", url, json=BODY | {"stream": True}) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: ") and line != "data: [DONE]":
                for choice in json.loads(line[6:])["choices"]:
                    text.append(choice["delta"].get("content") or "")
    return "".join(text)
