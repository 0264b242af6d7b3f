"""Tool calls in text: every split, and everything that is not quite a call."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.local_models.toolcalls import MALFORMED_CALL, ToolCallParser

ONE = '<tool_call>\n{"name": "look", "arguments": {"id": 7, "s": "é<&"}}\n</tool_call>'
TWO = '<tool_call>{"name": "b", "arguments": {}}</tool_call>'
FRAGMENTS = [ONE, TWO, "<tool_call>", "</tool_call>", "<tool", "_call>", "<", " ", "\n", "text", "{", '"name"']


def parse(pieces: Sequence[str]) -> tuple[str, list[tuple[int, str, str]]]:
    parser = ToolCallParser()
    steps = [*(parser.feed(piece) for piece in pieces), parser.close()]
    calls = [call for _, some in steps for call in some]
    return "".join(text for text, _ in steps), [(call.index, call.name, call.arguments) for call in calls]


def parse_block(block: str) -> tuple[str, str]:
    _, [(_, name, arguments)] = parse([f"<tool_call>{block}</tool_call>"])
    return name, arguments


def test_text_and_calls_are_told_apart() -> None:
    text, calls = parse([f"I look. \n{ONE}\n{TWO}\n"])
    assert text == "I look."
    assert calls == [(0, "look", '{"id": 7, "s": "é<&"}'), (1, "b", "{}")]


@pytest.mark.parametrize(
    "text", [f"Hm, {ONE} and\n {TWO} done. ", f"{TWO}{ONE}", "a <tool_cal> b </tool_call>", "<tool_c"]
)
def test_every_split_in_two_reads_the_same(text: str) -> None:
    whole = parse([text])
    assert all(parse([text[:at], text[at:]]) == whole for at in range(len(text) + 1))
    assert parse(list(text)) == whole


@given(data=st.data(), text=st.lists(st.sampled_from(FRAGMENTS), max_size=8).map("".join))
def test_any_split_reads_the_same(data: st.DataObject, text: str) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert parse(pieces) == parse([text])


@given(text=st.text("<tol_ca>/ \nx", max_size=40))
def test_text_without_a_block_is_kept_to_the_letter(text: str) -> None:
    assert parse([text]) == (text, []) or "<tool_call>" in text


@pytest.mark.parametrize(
    "block",
    [
        "not json",
        '{"name": "f", "arguments": {"a": 1}',
        '{"arguments": {}}',
        '{"name": 5, "arguments": {}}',
        '{"name": "", "arguments": {}}',
        "[1]",
        '"f"',
        "",
        '{"name": "f", "arguments": {"a": NaN}}',
        '{"name": "f", "arguments": {"a": 1e999}}',
        '{"name": "f", "arguments": {"a": "\\ud800"}}',
        '{"name": "f", "arguments": ' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
    ids=lambda block: block[:40],
)
def test_a_malformed_block_is_a_call_that_fails_visibly(block: str) -> None:
    assert parse_block(block) == (MALFORMED_CALL, block)


def test_arguments_are_the_json_text_of_what_the_model_wrote() -> None:
    assert parse_block('{"name": "f"}') == ("f", "{}")
    assert parse_block('{"arguments": [1, 2.50, null], "name": "f"}') == ("f", "[1, 2.5, null]")
    assert parse_block(json.dumps({"name": "f", "arguments": '{"a": 1}'})) == ("f", '{"a": 1}')  # encoded twice


def test_a_block_without_its_end_is_read_as_it_stands() -> None:
    assert parse([TWO.removesuffix("</tool_call>")]) == ("", [(0, "b", "{}")])
    assert parse(['<tool_call>{"name": "b", "argu']) == ("", [(0, MALFORMED_CALL, '{"name": "b", "argu')])


def test_text_around_a_call_is_shown_as_soon_as_it_is_certain() -> None:
    parser = ToolCallParser()
    assert parser.feed("Let me see <tool")[0] == "Let me see"
    assert parser.feed("box> ")[0] == " <toolbox>"


def test_ids_are_unique() -> None:
    parser = ToolCallParser()
    _, calls = parser.feed(TWO * 20)
    assert len({call.id for call in calls}) == 20


def test_an_opening_that_the_prompt_holds_is_counted_in() -> None:
    parser = ToolCallParser("<tool_call>")
    _, [call] = parser.feed('{"name": "f", "arguments": {}}</tool_call>')
    assert (call.name, call.arguments) == ("f", "{}")
