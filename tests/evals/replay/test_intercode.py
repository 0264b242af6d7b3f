"""InterCode's recordings: how they are read, and what a replay takes from them."""

from collections.abc import Sequence
from statistics import fmean

import pytest

from agentkit.evals.benches import Options, load
from agentkit.evals.public_data import data_folder
from agentkit.evals.replay.intercode import LIMIT, Episode, Policy, episodes, kind, play, read_path
from agentkit.planner.turns import Choice, Decision, Turn

here = data_folder("intercode_sql")
recorded = pytest.mark.skipif(here is None, reason="the recordings are not here")

SOLVED = {
    "actions": ["SELECT x", "DESC t", "SELECT y"],
    "observations": ["Error: no x", "[('y',)]", "[(3,)]"],
    "valid": [False, True, True],
    "rewards": [0, 0, 1],
}
SUBMITTED = {
    "actions": ["execute[SELECT y]", "submit"],
    "observations": ["[(3,)]", "[(3,)]"],
    "valid": [True, True],
    "rewards": [0, 1],
}
EPISODE = Episode(
    "q", {"chat": read_path(SOLVED), "react": read_path(SUBMITTED)}, {"chat": (30, 20, 10), "react": (10, 5)}
)


def at(turn: int, then: Choice) -> Policy:
    """Return the policy that goes on to `turn` of every path, then does `then`."""

    def decide(earlier: Sequence[str | None], turns: Sequence[Turn], left: float) -> Decision:
        return Decision("continue" if len(turns) < turn else then, len(earlier))

    return decide


@pytest.mark.parametrize(
    ("action", "seen", "valid", "found"),
    [
        ("submit", "[(3,)]", True, "submitted"),
        ("SELECT x", "Error executing query", False, "failed"),
        ("SELECT x", "Error executing query", True, "failed"),
        ("execute[DESC t]", "[('a',)]", True, "looked"),
        ("show tables", "[('a',)]", True, "looked"),
        ("SELECT x", "[]", True, "empty"),
        ("SELECT x", "[(0,)]", True, "answered"),
    ],
)
def test_how_a_turn_went(action: str, seen: str, valid: bool, found: str) -> None:
    assert kind(action, seen, valid) == found


def test_an_answer_is_right_when_it_reads_like_the_rewarded_one() -> None:
    assert EPISODE.paths["chat"].right == (False, False, True)
    assert EPISODE.paths["react"].right == (True, True)
    assert (EPISODE.paths["chat"].affirms, EPISODE.paths["react"].affirms) == (LIMIT - 3, 0)


def taken(policy: Policy, budget: float, *names: str, **how: object) -> tuple[bool, int, int, int]:
    played = play(EPISODE, names or ("chat", "react"), policy, budget, **{"checked": False, **how})  # type: ignore[arg-type]
    return played.right, played.turns, played.tokens, played.pivots


def test_stopping_going_on_and_pivoting() -> None:
    assert taken(at(2, "stop"), 20) == (False, 2, 50, 0)
    assert taken(at(3, "stop"), 20) == (True, 3, 60, 0)
    assert taken(at(1, "pivot"), 20) == (True, 2, 40, 1)


def test_a_turn_that_does_not_fit_is_not_taken() -> None:
    assert taken(at(9, "stop"), 2) == (False, 2, 50, 0)
    assert taken(at(9, "stop"), 5.5, unit=10) == (False, 2, 50, 0)
    assert taken(at(9, "stop"), 0) == (False, 0, 0, 0)


def test_who_is_not_told_affirms_to_the_limit_and_pays_for_it() -> None:
    assert taken(at(99, "stop"), 20) == (True, LIMIT, 60 + 7 * 10, 0)
    assert taken(at(99, "stop"), 5) == (True, 5, 60 + 2 * 10, 0)
    assert taken(at(99, "stop"), 20, checked=True) == (True, 3, 60, 0)


def test_only_a_blind_policy_is_asked_beyond_the_recording() -> None:
    assert taken(at(5, "stop"), 20, blind=True) == (True, 5, 80, 0)
    assert taken(at(5, "stop"), 20)[1] == LIMIT


def test_a_policy_sees_past_turns_only() -> None:
    seen: list[tuple[int, tuple[str | None, ...]]] = []

    def watch(earlier: Sequence[str | None], turns: Sequence[Turn], left: float) -> Decision:
        seen.append((len(turns), tuple(earlier)))
        return Decision("pivot" if len(turns) == 2 else "continue", len(earlier))

    taken(watch, 20)
    assert seen == [(1, ()), (2, ()), (1, (None,)), (2, (None,))]


def test_nobody_decides_after_the_environment_has_told() -> None:
    assert taken(at(3, "pivot"), 20, checked=True) == (True, 3, 60, 0)
    assert taken(at(3, "pivot"), 20) == (True, 5, 75, 1)


def test_an_unsubmitted_answer_is_not_told_to_be_right() -> None:
    assert taken(at(1, "stop"), 20, "react", checked=True) == (True, 1, 10, 0)


@recorded
def test_the_recordings_give_the_published_success() -> None:
    assert here is not None
    found = episodes(here)
    assert len(found) == 605
    shares = {name: fmean(one.paths[name].right[-1] for one in found) for name in found[0].paths}
    assert shares == {
        "gpt-4_multiturn_10": pytest.approx(445 / 605),
        "gpt-3.5_multiturn_10": pytest.approx(297 / 605),
        "gpt-3.5_react_10": pytest.approx(368 / 605),
    }


@recorded
def test_the_bench() -> None:
    found = load("intercode")(Options(quick=True))
    key = "unchecked_10_turns_price_2_pct"
    assert found.metrics[f"{key}_policy_turns"] < found.metrics[f"{key}_never_turns"] <= LIMIT
    low, high = found.intervals[f"{key}_policy_over_never_turns"]
    assert low < found.metrics[f"{key}_policy_over_never_turns"] < high < 0
