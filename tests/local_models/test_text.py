"""Chat templates and detokenisation of a folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models

from agentkit.errors import LocalModelError
from agentkit.local_models.text import ChatTemplate, ChatTokenizer, Detokenizer
from agentkit.messages import ToolCall, assistant, user
from agentkit.types import ToolSpec
from tests.local_models.tiny import SPECIAL, tiny_tokenizer

TOKENIZER = ChatTokenizer(tiny_tokenizer(), ChatTemplate(""))


def stream(tokenizer: ChatTokenizer, ids: list[int]) -> list[str]:
    detokenizer = Detokenizer(tokenizer)
    return [*(detokenizer.feed(token) for token in ids), detokenizer.close()]


@given(text=st.text(max_size=30))
def test_streamed_text_is_the_text(text: str) -> None:
    assert "".join(stream(TOKENIZER, TOKENIZER.encode(text))) == text


@given(ids=st.lists(st.integers(0, TOKENIZER.size - 1), max_size=30))
def test_any_tokens_stream_to_what_they_decode_to_as_a_whole(ids: list[int]) -> None:
    assert "".join(stream(TOKENIZER, ids)) == TOKENIZER.decode(ids)


def test_a_character_appears_when_its_last_byte_does() -> None:
    ids = TOKENIZER.encode("🙂a")
    assert stream(TOKENIZER, ids) == ["", "", "", "🙂", "a", ""]
    assert stream(TOKENIZER, ids[:2]) == ["", "", TOKENIZER.decode(ids[:2])]


def test_broken_byte_fallback_runs_do_not_stop_the_stream() -> None:
    vocabulary = {"<0x41>": 0, "<0xFF>": 1, "▁b": 2}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    text = "".join(stream(ChatTokenizer(tokenizer, ChatTemplate("")), [2, 2, 0, 1, 2, 2]))
    assert text.startswith("b bA") and text.endswith(" b b")


def test_special_tokens_are_single_tokens_and_stay_in_the_text() -> None:
    text = "".join(SPECIAL)
    ids = TOKENIZER.encode(text)
    assert len(ids) == len(SPECIAL)
    assert TOKENIZER.decode(ids) == text


def test_stored_truncation_and_padding_do_not_touch_prompts() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=64)
    text = "the cat sat on the mat and then some"
    assert ChatTokenizer(tokenizer, ChatTemplate("")).encode(text) == TOKENIZER.encode(text)


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(LocalModelError, match="surrogates"):
        TOKENIZER.encode("a\ud800")


def test_templates_see_arguments_as_an_object_or_else_as_text() -> None:
    template = ChatTemplate("{{ messages[0].tool_calls[0].function.arguments | tojson }}")

    def shown(arguments: str) -> str:
        return template.render([assistant("", (ToolCall("c", "f", arguments),))])

    assert shown('{"b":1,"a":"é"}') == '{"b": 1, "a": "é"}'
    assert shown("[1]") == '"[1]"'
    assert shown("{broken") == '"{broken"'


def test_schemas_of_any_mapping_render() -> None:
    parameters: Mapping[str, Any] = MappingProxyType({"type": "object", "properties": MappingProxyType({})})
    rendered = ChatTemplate("{{ tools | tojson }}").render([], [ToolSpec("f", "d", parameters)])
    function = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}
    assert json.loads(rendered) == [{"type": "function", "function": function}]


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("{{ raise_exception('no system turn') }}", "no system turn"),
        ("{{ messages[0].content.nope.deeper }}", "nope"),
        ("{{ messages[0].content + 1 }}", "refuses"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe"),
    ],
)
def test_a_template_that_refuses_says_why(source: str, complaint: str) -> None:
    with pytest.raises(LocalModelError, match=complaint):
        ChatTemplate(source).render([user("x")])


def test_a_template_with_a_syntax_error_says_what_to_mend() -> None:
    with pytest.raises(LocalModelError, match=r"chat_template\.jinja"):
        ChatTemplate("{% if %}")


def test_the_template_may_be_in_tokenizer_config(random_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").symlink_to(random_folder / "tokenizer.json")
    with pytest.raises(LocalModelError, match="no chat template"):
        ChatTokenizer.from_folder(tmp_path)
    config = {
        "chat_template": "{{ bos_token }}{{ eos_token }}!",
        "bos_token": "<s>",
        "eos_token": {"content": "</s>"},
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    assert ChatTokenizer.from_folder(tmp_path).template.render([]) == "<s></s>!"
    (tmp_path / "chat_template.jinja").write_text("the file wins", encoding="utf-8")
    assert ChatTokenizer.from_folder(tmp_path).template.render([]) == "the file wins"


@pytest.mark.parametrize(
    ("generation", "model", "stop_ids"),
    [({"eos_token_id": [1, 2]}, {"eos_token_id": 3}, {1, 2}), ({}, {"eos_token_id": 3}, {3}), (None, {}, set())],
)
def test_stop_tokens_come_from_the_generation_config_first(
    random_folder: Path, tmp_path: Path, generation: object, model: object, stop_ids: set[int]
) -> None:
    for name in ("tokenizer.json", "chat_template.jinja"):
        (tmp_path / name).symlink_to(random_folder / name)
    (tmp_path / "config.json").write_text(json.dumps(model), encoding="utf-8")
    if generation is not None:
        (tmp_path / "generation_config.json").write_text(json.dumps(generation), encoding="utf-8")
    assert ChatTokenizer.from_folder(tmp_path).stop_ids == stop_ids


@pytest.mark.parametrize("content", [None, "{", '{"model": 1}'])
def test_an_unreadable_tokenizer_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(LocalModelError, match=r"tokenizer\.json"):
        ChatTokenizer.from_folder(tmp_path)


def test_a_text_that_is_gone_on_with_keeps_the_space_at_the_seam() -> None:
    """Tokenizers in the manner of Llama 2 drop the space that a text begins with."""
    pieces = Tokenizer(models.WordLevel({"\u2581Hello": 0, "\u2581world": 1}, unk_token="\u2581Hello"))
    pieces.decoder = decoders.Metaspace()
    tokenizer = ChatTokenizer(pieces, ChatTemplate(""))
    assert Detokenizer(tokenizer).feed(1) == "world"
    assert Detokenizer(tokenizer, before=[0]).feed(1) == " world"
