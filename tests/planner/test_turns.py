"""When a tool loop stops, goes on or takes another path, by its turns alone."""

import pytest

from agentkit.errors import ConfigError
from agentkit.planner.turns import Decision, Kind, Path, Turn, TurnPolicy, standing, state

FAILED = Turn("SELECT 1", "failed")
TABLES = Turn("SHOW TABLES", "looked", "a, b")


def answer(result: str, kind: Kind = "answered", action: str = "") -> Turn:
    return Turn(action or f"SELECT {result}", kind, result)


def path(*turns: Turn, right: str = "", affirms: int = 0, told: bool = False) -> Path:
    """Return a path whose answer is right where it reads `right`."""
    marks = tuple(standing(turns[: count + 1]) == right for count in range(len(turns)))
    return Path(turns, marks, affirms, told)


def decided(policy: TurnPolicy, *turns: Turn, left: float = 10) -> str:
    return policy.decide((), turns, left).choice


def test_the_answer_that_stands_is_the_last_result() -> None:
    assert standing([TABLES, FAILED]) is None
    assert standing([answer("3"), TABLES, FAILED]) == "3"
    assert standing([answer("3"), answer("[]", "empty")]) == "[]"


@pytest.mark.parametrize(
    ("turns", "failures"),
    [
        ([TABLES], 0),
        ([FAILED, TABLES], 0),
        ([TABLES, FAILED, answer("[]", "empty")], 2),
        ([TABLES, answer("3"), answer("3")], 1),  # done before
        ([answer("3"), answer("3", "submitted")], 0),
        ([FAILED] * 9, 3),
    ],
)
def test_failures_in_a_row(turns: list[Turn], failures: int) -> None:
    assert state((), turns).failures == failures


@pytest.mark.parametrize(
    ("earlier", "agreement"), [((), "none"), ((None,), "none"), (("4",), "differs"), (("4", "3"), "agrees")]
)
def test_agreement_with_earlier_answers(earlier: tuple[str | None, ...], agreement: str) -> None:
    assert state(earlier, [answer("3")]).agreement == agreement


def test_it_stops_at_what_was_right_and_goes_on_where_nothing_was_found() -> None:
    policy = TurnPolicy.fit([[path(TABLES, answer("3"), right="3", affirms=8)]] * 20, turns=10, price=0.02)
    assert decided(policy, TABLES) == "continue"
    assert decided(policy, TABLES, answer("3")) == "stop"
    assert decided(policy, TABLES, left=0.1) == "continue"
    assert decided(policy, TABLES, left=0) == "stop"


def test_it_pivots_where_failures_led_nowhere() -> None:
    stuck = [path(*[FAILED] * 6), path(answer("3"), right="3")]
    policy = TurnPolicy.fit([stuck] * 20, turns=10, price=0.02)
    assert decided(policy, FAILED) == "pivot"
    assert policy.decide((None,), (answer("3"),), 8) == Decision("stop", 1)


def test_a_price_above_what_there_is_to_gain_ends_the_work() -> None:
    hopeful = [[path(TABLES, answer("3"), right="3" if place % 4 == 0 else "")] for place in range(40)]
    assert decided(TurnPolicy.fit(hopeful, turns=10, price=0.2), TABLES) == "continue"
    assert decided(TurnPolicy.fit(hopeful, turns=10, price=0.3), TABLES) == "stop"


def test_what_is_hard_on_one_path_is_hard_on_the_next() -> None:
    """The second path looks the same either way: pooled by its states it would be worth a pivot from a failure."""
    easy = [path(TABLES, answer("3"), right="3"), path(TABLES, answer("3"), right="3")]
    hard = [path(FAILED, FAILED), path(TABLES, answer("3"))]
    policy = TurnPolicy.fit([easy] * 20 + [hard] * 20, turns=5, price=0.05)
    assert decided(policy, FAILED) == "stop"


def test_an_agreeing_answer_is_worth_more_and_the_better_path_answers() -> None:
    agree = [path(answer("3"), right="3"), path(answer("3"), right="3")]
    differ = [path(answer("3"), right="3"), path(answer("4"), right="3")]
    policy = TurnPolicy.fit([agree] * 20 + [differ] * 20, turns=5, price=0.0)
    assert policy.decide(("3",), (answer("4"),), 3) == Decision("stop", 0)


def test_nobody_decides_after_being_told() -> None:
    policy = TurnPolicy.fit([[path(TABLES, answer("3"), right="3", told=True)]] * 20, turns=5, price=0.02)
    assert decided(policy, TABLES) == "continue"
    assert decided(policy, TABLES, left=0) == "stop"


def test_an_unknown_state_goes_on_while_it_can() -> None:
    policy = TurnPolicy.fit([[path(TABLES)]], turns=5, price=0.0)
    assert decided(policy, FAILED, FAILED) == "continue"
    assert decided(policy, FAILED, FAILED, left=0) == "stop"
    assert decided(policy, FAILED, answer("3", "submitted")) == "stop"


@pytest.mark.parametrize(("recordings", "price"), [([], 0.0), ([[path(TABLES)]], -0.1)])
def test_what_cannot_be_fitted(recordings: list[list[Path]], price: float) -> None:
    with pytest.raises(ConfigError, match="one recording or more"):
        TurnPolicy.fit(recordings, turns=5, price=price)


def test_a_path_without_marks() -> None:
    with pytest.raises(ConfigError, match="1 turns and 0 marks"):
        Path((TABLES,), ())
