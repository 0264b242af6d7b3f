"""Stop strings against a search of the whole text."""

from hypothesis import given
from hypothesis import strategies as st

from agentkit.local_models.stops import StopStrings, partial_match

LETTERS = st.text("ab", max_size=12)
NEEDLES = st.lists(st.text("ab", min_size=1, max_size=5), max_size=3)


def naive(text: str, needles: list[str]) -> str:
    for end in range(len(text) + 1):
        starts = [end - len(needle) for needle in needles if text[:end].endswith(needle)]
        if starts:
            return text[: min(starts)]
    return text


@given(pieces=st.lists(LETTERS, max_size=6), needles=NEEDLES)
def test_any_split_shows_what_a_search_of_the_whole_text_shows(pieces: list[str], needles: list[str]) -> None:
    stops = StopStrings(needles)
    shown = [stops.feed(piece) for piece in pieces]
    text = "".join(pieces)
    assert "".join(shown) + stops.close() == naive(text, needles)
    assert stops.found == any(needle in text for needle in needles)


@given(text=LETTERS, needles=NEEDLES)
def test_no_more_is_held_back_than_could_become_a_stop_string(text: str, needles: list[str]) -> None:
    stops = StopStrings(needles)
    shown = stops.feed(text)
    held = text[len(shown) :]
    assert stops.found or not held or any(needle.startswith(held) for needle in needles)


@given(text=LETTERS, needle=st.text("ab", min_size=1, max_size=6))
def test_the_longest_partial_match_counts(text: str, needle: str) -> None:
    assert partial_match(text, needle) == max(n for n in range(len(needle)) if text.endswith(needle[:n]))


def test_an_empty_stop_string_stops_nothing() -> None:
    stops = StopStrings(["", "x"])
    assert stops.feed("abc") + stops.close() == "abc"
