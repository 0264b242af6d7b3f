"""What votes say, in the words that models use."""

import pytest

from agentkit.routers.vote_reading import read_vote


@pytest.mark.parametrize(
    ("text", "vote"),
    [
        ("It adds up. The AI generated answer is correct.", True),
        ("It does not. The AI generated answer is incorrect.", False),
        ("Yes.", True),
        ("No, the bridge is older.", False),
        ("It seems right at first, but 3 is wrong", False),
        ("That is not correct.", False),
        ("no: it is right", True),  # the last word counts
        ("The AI generated answer is incorrect. The right one is 24.", False),
        ("The AI generated answer is incorrect. It would be correct with 24.", False),
        ("The AI generated answer is correct. There is no doubt.", True),
        ("The AI generated answer is correct, and no other reading fits.", True),
        ("The AI generated answer is correct: nothing in it is wrong", True),
        ("At first the answer is correct. No: the AI generated answer is incorrect.", False),
        ("The AI generated answer is **incorrect**.", False),
        ("**Incorrect**. The correct value would be 7", False),
        ("It is incorrect: the correct answer is 24.", False),
        ("It is wrong. The answer to give is the right one, 24.", False),
        ("The answer isn't correct.", False),
        ("The answer isn’t correct.", False),
        ("The AI generated answer is not entirely correct.", False),
        ("It is not quite right", False),
        ("It cannot be correct", False),
        ("The answer cannot be correct, as there are three.", False),
        ("That can't be right.", False),
        ("The answer is not incorrect.", True),
        ("There is nothing wrong with it.", True),
        ("Not 5 but 4, so it is correct.", True),
        ("Nothing missing and correct.", True),
        ("The AI generated answer is clearly correct", True),
        ("The answer is neither correct nor incorrect.", None),
        ("The AI generated answer is correct or incorrect.", None),
        ("The answer is not entirely incorrect.", None),
        ("The answer is partly correct.", None),
        ("It may be right.", None),
        ("It is never not right.", None),
        ("I cannot tell whether the AI generated answer is correct.", None),
        ("I don't think the answer is correct.", None),
        ("Is the AI generated answer correct? No.", False),
        ("Is the answer correct? No, the capital is Paris.", False),
        ("Is it correct? Yes.", True),
        ("The AI generated answer is far from correct.", None),
        ("The AI generated answer is anything but correct.", None),
        ("It fails to be correct.", None),
        ("The AI generated answer is too low to be correct.", None),
        ("To be correct, the answer should be 36.", None),
        ("The AI generated answer is correct only if it was 1930.", None),
        ("The right angle has 90 degrees.", None),
        ("There is no doubt.", None),
        ("I could not say. Nothing is known yet.", None),
        ("Nothing corrected.", None),
        ("", None),
    ],
)
def test_what_a_vote_says(text: str, vote: bool | None) -> None:
    assert read_vote(text) is vote
