"""Structured output, turns that go back, cached prompts, errors: the official clients and our dialects agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors as google_errors
from google.genai import types as google
from pydantic import BaseModel

from agentkit.backends import RemoteBackend
from agentkit.backends.base import assemble
from agentkit.backends.provider import Fault, Model, Provider, Reply
from agentkit.backends.provider.server import Dialect
from agentkit.errors import BackendError, BackendUnavailable, BadRequest, ContextOverflow, Overloaded, RateLimited
from agentkit.messages import Message, ToolCall, ToolResult, tool_message, user
from agentkit.types import Request, ToolSpec
from tests.backends.dialects import DIALECTS, remote
from tests.backends.provider.clients import CLIENTS, TASK
from tests.backends.provider.test_clients import ours

pytestmark = pytest.mark.anyio

NO_ARGUMENTS = {"type": "object", "properties": {}}
TIME = "9:30"


class Tide(BaseModel):
    """What the typed replies are."""

    hour: int
    place: str


TIDE = Tide(hour=12, place="Brest")


def script(request: Request) -> Reply:
    if request.output_schema is not None:
        return Reply(TIDE.model_dump_json())
    if request.messages[-1].role == "tool":
        return Reply("High at noon.")
    return Reply("Let me look.", (ToolCall("", "now", "{}"),), thinking="What time is it?")


def chat_client(provider: Provider) -> openai.OpenAI:
    return openai.OpenAI(base_url=provider.url("openai"), api_key="key", max_retries=0)


def azure_client(provider: Provider) -> openai.AzureOpenAI:
    return openai.AzureOpenAI(
        azure_endpoint=provider.origin, api_key="key", api_version="2024-10-21", max_retries=0
    )


def anthropic_client(provider: Provider) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=provider.origin, api_key="key", max_retries=0)


def google_client(provider: Provider) -> genai.Client:
    return genai.Client(api_key="key", http_options=google.HttpOptions(base_url=provider.origin))


# ---------------------------------------------------------------- structured output
def chat_parses(provider: Provider, client: Any = chat_client) -> Any:
    asked: Any = [{"role": "user", "content": TASK}]
    with client(provider) as made:
        said = made.chat.completions.parse(model="m", messages=asked, response_format=Tide)
    return said.choices[0].message.parsed


def responses_parse(provider: Provider) -> Any:
    with chat_client(provider) as client:
        return client.responses.parse(model="m", input=TASK, text_format=Tide).output_parsed


def anthropic_parses(provider: Provider) -> Any:
    asked: Any = [{"role": "user", "content": TASK}]
    with anthropic_client(provider) as client:
        said = client.messages.parse(model="m", max_tokens=99, messages=asked, output_format=Tide)
    return said.parsed_output


def google_parses(provider: Provider) -> Any:
    config = google.GenerateContentConfig(
        response_mime_type="application/json", response_json_schema=Tide.model_json_schema()
    )
    with google_client(provider) as client:
        return Tide.model_validate(client.models.generate_content(model="m", contents=TASK, config=config).parsed)


PARSES: Mapping[str, Callable[[Provider], Any]] = {
    "openai": chat_parses,
    "openai-responses": responses_parse,
    "anthropic": anthropic_parses,
    "gemini": google_parses,
    "azure": lambda provider: chat_parses(provider, azure_client),
}


def plain(schema: Any) -> Any:
    """Return what a schema demands, without titles and the order of its keys."""
    if isinstance(schema, list):
        return [plain(part) for part in schema]
    if isinstance(schema, Mapping):
        return {key: plain(part) for key, part in sorted(schema.items()) if key != "title"}
    return schema


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_schema_is_asked_for_and_answered_alike(dialect: Dialect) -> None:
    wanted: list[Any] = []

    def noted(request: Request) -> Reply:
        wanted.append(plain(request.output_schema))
        return script(request)

    schema = Tide.model_json_schema() | ({} if dialect == "gemini" else {"additionalProperties": False})
    with Provider(noted) as provider:
        assert PARSES[dialect](provider) == TIDE
        backend = remote(dialect, provider)
        request = Request(messages=(user(TASK),), max_output_tokens=99, output_schema=schema)
        completion = await backend.complete(request)
        await backend.aclose()
    assert Tide.model_validate_json(completion.message.text) == TIDE
    assert wanted[0] == wanted[1] != None  # noqa: E711 - a schema, and the same one


# ---------------------------------------------------------------- turns that go back
def anthropic_goes_on(provider: Provider) -> None:
    asked: Any = [{"role": "user", "content": TASK}]
    tools: Any = [{"name": "now", "input_schema": NO_ARGUMENTS}]
    with anthropic_client(provider) as client:
        said = client.messages.create(model="m", max_tokens=99, messages=asked, tools=tools)
        call = next(block for block in said.content if block.type == "tool_use")
        result = {"type": "tool_result", "tool_use_id": call.id, "content": TIME}
        turns = [*asked, {"role": "assistant", "content": said.content}, {"role": "user", "content": [result]}]
        client.messages.create(model="m", max_tokens=99, messages=turns, tools=tools)


def responses_go_on(provider: Provider) -> None:
    tools: Any = [{"type": "function", "name": "now", "parameters": NO_ARGUMENTS, "strict": False}]
    with chat_client(provider) as client:
        said = client.responses.create(model="m", input=TASK, tools=tools, store=False)
        call = next(item for item in said.output if item.type == "function_call")
        result = {"type": "function_call_output", "call_id": call.call_id, "output": TIME}
        items: Any = [{"role": "user", "content": TASK}, *said.output, result]
        client.responses.create(model="m", input=items, tools=tools, store=False)


def google_goes_on(provider: Provider) -> None:
    declared = google.Tool(function_declarations=[google.FunctionDeclaration(name="now")])
    config = google.GenerateContentConfig(tools=[declared])
    with google_client(provider) as client:
        said: Any = client.models.generate_content(model="m", contents=TASK, config=config)
        result = google.Part.from_function_response(name="now", response={"result": TIME})
        asked = google.Content(role="user", parts=[google.Part(text=TASK)])
        turns = [asked, said.candidates[0].content, google.Content(role="user", parts=[result])]
        client.models.generate_content(model="m", contents=turns, config=config)


GOES_ON: Mapping[str, tuple[str, Callable[[Provider], None]]] = {
    "openai-responses": ("input", responses_go_on),
    "anthropic": ("messages", anthropic_goes_on),
    "gemini": ("contents", google_goes_on),
}
"""By dialect: where a body has its turns, and what asks, and asks again with the reply and the tool's result.

OpenAI's own client sends no reasoning back in chat completions: it is hidden there.
"""


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("dialect", GOES_ON)
async def test_what_the_model_said_goes_back_as_the_official_client_sends_it(
    dialect: Dialect, stream: bool
) -> None:
    """Thinking, signatures and sealed reasoning among it, to the letter."""
    field, go_on = GOES_ON[dialect]
    with Provider(script) as provider:
        go_on(provider)
        theirs = provider.requests[-1].body[field]
    with Provider(script) as provider:
        backend = remote(dialect, provider, model="m")
        tools = (ToolSpec("now", "", NO_ARGUMENTS),)
        request = Request(messages=(user(TASK),), max_output_tokens=99, tools=tools)
        said = await (streamed(backend, request) if stream else whole(backend, request))
        result = tool_message(ToolResult(said.tool_calls[0].id, "now", TIME))
        again = Request(messages=(user(TASK), said, result), max_output_tokens=99, tools=tools)
        await backend.complete(again)
        await backend.aclose()
        mine = provider.requests[-1].body[field]
    assert bare(mine) == bare(theirs)


async def whole(backend: RemoteBackend, request: Request) -> Message:
    return (await backend.complete(request)).message


async def streamed(backend: RemoteBackend, request: Request) -> Message:
    return assemble([delta async for delta in backend.stream(request)]).message


def bare(value: Any) -> Any:
    """Return turns without marks for the cache, text that stands alone being a list of one block or itself."""
    if isinstance(value, list):
        return [bare(part) for part in value]
    if not isinstance(value, Mapping):
        return value
    kept = {key: bare(part) for key, part in value.items() if key != "cache_control"}
    content = kept.get("content")
    if isinstance(content, list) and len(content) == 1 and content[0].keys() == {"type", "text"}:
        kept["content"] = content[0]["text"]
    return kept


# ---------------------------------------------------------------- cached prompts
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_cached_prompt_is_counted_alike(dialect: Dialect, stream: bool) -> None:
    with Provider({"m": "High tide is at noon."}, cache_from=1) as provider:
        for _ in range(2):
            theirs = CLIENTS[dialect](provider, "m", 99, stream)
        their_line = provider.bill[-1]
    with Provider({"m": "High tide is at noon."}, cache_from=1) as provider:
        for _ in range(2):
            mine = await ours(dialect, provider, "m", 99, stream)
        my_line = provider.bill[-1]
    for seen, line in ((theirs, their_line), (mine, my_line)):
        assert seen.tokens[:2] == (line.usage.total_input, line.usage.cache_read_tokens)
        assert line.usage.cache_read_tokens > 0


# ---------------------------------------------------------------- errors
THEIRS: Mapping[str, tuple[type[Exception], int]] = {
    "rate_limited": (openai.RateLimitError, 429),
    "server_error": (openai.InternalServerError, 500),
    "overloaded": (openai.InternalServerError, 503),
    "context": (openai.BadRequestError, 400),
    "unknown": (openai.NotFoundError, 404),
}
OURS: Mapping[str, type[BackendError]] = {
    "rate_limited": RateLimited,
    "server_error": BackendUnavailable,
    "overloaded": Overloaded,
    "context": ContextOverflow,
    "unknown": BadRequest,
}
REFUSED: Mapping[str, Fault] = {
    "rate_limited": "rate_limited",
    "server_error": "server_error",
    "overloaded": "overloaded",
}


def expected(dialect: str, what: str) -> tuple[type[Exception], int]:
    """Return the class and the status of the official client's error."""
    sort, status = THEIRS[what]
    if dialect == "gemini":
        return (google_errors.ServerError if status >= 500 else google_errors.ClientError), status
    if dialect == "anthropic":
        status = 529 if status == 503 else status
        return (anthropic.APIStatusError if status == 529 else getattr(anthropic, sort.__name__)), status
    return sort, status


@pytest.mark.parametrize("what", THEIRS)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_error_is_one_for_the_official_client_too(dialect: Dialect, what: str) -> None:
    sort, status = expected(dialect, what)
    models = {"m": Model("ok", context_window=1 if what == "context" else 10_000)}
    name = "absent" if what == "unknown" else "m"
    with Provider(models, faults=[REFUSED.get(what)] * 2) as provider:
        with pytest.raises(sort) as theirs:
            CLIENTS[dialect](provider, name, 99, False)
        with pytest.raises(OURS[what]) as mine:
            await ours(dialect, provider, name, 99, False)
        assert provider.bill == []
    error: Any = theirs.value
    assert (error.code if dialect == "gemini" else error.status_code) == status
    assert mine.value.may_be_billed == (what == "server_error")  # which may have begun to work
