"""Router-R1's turns: read strictly, wherever the text is cut and whatever it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.routers.rounds import ENDS, NotATurn, Search, read_turn, without_tags

POOL = ("small", "Large-70B")
ASKS = "<think>I lack the year.</think>\n<search> Large-70B: In which year: 1932 or 1937? </search>"
ANSWERS = "<think>All is known.</think><answer>It is 1932: the arch.</answer>"
READ = {ASKS: Search("Large-70B", "In which year: 1932 or 1937?"), ANSWERS: "It is 1932: the arch."}


@pytest.mark.parametrize("text", READ)
def test_a_turn_is_read(text: str) -> None:
    assert read_turn(text, POOL) == READ[text]
    assert read_turn(f"\n {text}", POOL) == READ[text]
    assert read_turn(text.replace("Large-70B", "large-70b"), POOL) == READ[text]


@pytest.mark.parametrize("text", READ)
@pytest.mark.parametrize("more", ["<information>made up</information>", "<answer>no</answer>", ASKS, "</think>"])
def test_what_follows_an_action_does_not_count(text: str, more: str) -> None:
    assert read_turn(text + more, POOL) == READ[text]


@pytest.mark.parametrize("text", READ)
def test_every_split_is_the_turn_or_a_shorter_one_or_none(text: str) -> None:
    body = len(text) - len(next(end for end in ENDS if text.endswith(end)))
    whole = READ[text]
    for cut in range(len(text) + 1):
        try:
            found = read_turn(text[:cut], POOL)
        except NotATurn:
            assert cut < len(text)
            continue
        if cut == body or cut == len(text):  # a server that stops at the closing tag leaves it out
            assert found == whole
        elif isinstance(found, Search):  # never another model, never another question than the beginning of it
            assert isinstance(whole, Search) and found.model == whole.model
            assert whole.query.startswith(found.query.split("<")[0].strip())
        else:
            assert isinstance(whole, str) and whole.startswith(found.split("<")[0].strip())


MALFORMED = {
    "no tags": "It is 1932.",
    "no thought": "<search>small: x?</search>",
    "empty thought": "<think> </think><answer>x</answer>",
    "empty answer": "<think>t</think><answer> </answer>",
    "thought not closed": "<think>t<answer>x</answer>",
    "nested": "<think>a <think>b</think></think><answer>x</answer>",
    "an action in the thought": "<think>a <search>small: x</search></think><answer>x</answer>",
    "text before": "Well. <think>t</think><answer>x</answer>",
    "text between": "<think>t</think> so <answer>x</answer>",
    "two thoughts": "<think>t</think><think>u</think><answer>x</answer>",
    "closed by the other tag": "<think>t</think><answer>x</search>",
    "invented information": "<think>t</think><information>x</information><answer>x</answer>",
    "no colon": "<think>t</think><search>small</search>",
    "no query": "<think>t</think><search>small: </search>",
    "a placeholder": "<think>t</think><search>small: Query</search>",
    "an unknown model": "<think>t</think><search>gpt: x?</search>",
    "no model": "<think>t</think><search>: x?</search>",
    "empty": "",
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_malformed_turns_are_refused_with_a_reason(text: str) -> None:
    with pytest.raises(NotATurn, match=r"\w+ "):
        read_turn(text, POOL)


PIECES = st.lists(
    st.sampled_from(
        [
            "<think>",
            "</think>",
            "<search>",
            "</search>",
            "<answer>",
            "</answer>",
            "<information>",
            "small",
            ":",
            "x",
        ]
    )
    | st.text(max_size=4),
    max_size=12,
)


@given(PIECES.map("".join))
def test_whatever_is_written_is_a_turn_or_refused(text: str) -> None:
    try:
        found = read_turn(text, POOL)
    except NotATurn:
        assert "<think>" not in without_tags(text)
        return
    assert text.lstrip().startswith("<think>")
    said = found.query if isinstance(found, Search) else found
    assert said and said == said.strip() and said in text
    assert not any(tag in said for tag in ("<think>", "<search>", "<answer>", *ENDS))
    assert not isinstance(found, Search) or found.model in POOL


@pytest.mark.parametrize(
    ("text", "worth"),
    [
        ("It is 1932.", "It is 1932."),
        ("<think>hm</think> 1932", "1932"),
        ("<answer>1932</answer> <answer>1937", "1937"),
        ("<think>never closed", ""),
        ("<search>small: x?</search>", ""),
    ],
)
def test_what_an_unreadable_text_is_worth(text: str, worth: str) -> None:
    assert without_tags(text) == worth
