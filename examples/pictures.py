"""Pictures in a conversation: they stand in user turns before the task, and the budget counts them like text.

The provider is a fake on loopback that tells what it was shown. Where nothing is known of the most that a picture
may cost, `image_tokens` says it.
"""

import base64
from decimal import Decimal

import anyio

from agentkit import Agent, Budget, ModelCard, Price
from agentkit.backends import RemoteBackend
from agentkit.backends.anthropic import Anthropic
from agentkit.backends.gemini import Gemini
from agentkit.backends.openai_chat import OpenAIChat
from agentkit.backends.openai_responses import OpenAIResponses
from agentkit.backends.provider import Provider
from agentkit.messages import Image, Message
from agentkit.types import Request

DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg=="
)
SHOWN = Message("user", images=(Image("image/png", DOT), Image(url="https://example.org/tide.png")))


def looks(request: Request) -> str:
    seen = [image for message in request.messages for image in message.images]
    return " and ".join(image.url or f"{len(image.data)} bytes of {image.media_type}" for image in seen)


async def main() -> None:
    with Provider(looks) as provider:
        for dialect in (OpenAIChat(), OpenAIResponses(), Anthropic(), Gemini()):
            price = Price(Decimal(1), Decimal(4))
            card = ModelCard(dialect.name, dialect.name, "model-1", price=price, image_tokens=1_500)
            agent = Agent(RemoteBackend(card, dialect, base_url=provider.url(dialect.name), api_key="key"))
            answer = await agent.run("What is this?", history=(SHOWN,), budget=Budget(usd="0.05"))
            await agent.aclose()
            print(f"{dialect.name}: {answer.text}")


if __name__ == "__main__":
    anyio.run(main)
